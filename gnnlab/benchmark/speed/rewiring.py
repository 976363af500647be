"""``gnnlab bench rewiring``: rewirings of all graphs at once against the authors' way, graph by graph."""

from __future__ import annotations

import argparse
import random
import shlex
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.benchmark.speed import _large_graphs
from gnnlab.benchmark.speed import _reference_rewiring as reference
from gnnlab.benchmark.speed._molecules import molecules
from gnnlab.benchmark.speed.measure import Comparison, in_one_thread, interleave, ratio, show, write
from gnnlab.data import load_dataset
from gnnlab.errors import GnnlabError, SourceError
from gnnlab.graph import undirected_edges
from gnnlab.graph._noise import pair_noise
from gnnlab.rewiring import GTR, LASER, FoSR, Rewiring

__all__ = ["main"]

_NODES_AT_ONCE = 200_000
_PEER = "the authors' way, graph by graph"

Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class _Graphs:
    """Graphs as unions of at most so many nodes, and the numbers of those a reference is given."""

    name: str
    unions: list[tuple[Tensor, Tensor]]
    sample: list[int]

    @property
    def count(self) -> int:
        return sum(ptr.numel() - 1 for _, ptr in self.unions)

    def one(self, number: int) -> tuple[Tensor, int]:
        """``edge_index`` and the number of nodes of a graph."""
        for edge_index, ptr in self.unions:
            if number < ptr.numel() - 1:
                first, last = ptr[number : number + 2].tolist()
                inside = (edge_index[0] >= first) & (edge_index[0] < last)
                return edge_index[:, inside] - first, last - first
            number -= ptr.numel() - 1
        raise IndexError(number)


_Single = Callable[..., Pairs]


def main(argv: list[str]) -> int:
    """Print (and with ``--json`` save) the ratios; returns 0."""
    parser = argparse.ArgumentParser(prog="gnnlab bench rewiring", description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=3, help="rounds per comparison (median is reported)")
    parser.add_argument("--graphs", type=int, default=100, help="graphs per dataset a reference is given; 0: all")
    parser.add_argument("--json", type=Path, help="write the figures, hardware and versions to this file")
    options = parser.parse_args(argv)

    rows = [row(graphs, options.rounds) for graphs in _datasets(options.graphs) for row in _ROWS[graphs.name]]
    rows += _large_graphs.rows(options)
    show(f"gnnlab bench rewiring ({torch.get_num_threads()} threads)", rows)
    if options.json:
        write(options.json, rows, shlex.join(["gnnlab", "bench", "rewiring", *argv]))
    return 0


def _gtr(graphs: _Graphs, rounds: int, num_edges: int, goal: float) -> Comparison:
    transform = GTR(num_edges=num_edges, component_weight="none")

    def single(edge_index: Tensor, num_nodes: int) -> _Single:
        return lambda follow=None: reference.gtr(edge_index, num_nodes, num_edges, follow)

    return _compared(f"GTR, {num_edges} edges, {graphs.name}", graphs, transform, single, rounds, goal)


def _fosr(graphs: _Graphs, rounds: int, num_edges: int, goal: float | None = None) -> Comparison:
    transform = FoSR(num_edges=num_edges, across_components=True)

    def single(edge_index: Tensor, num_nodes: int) -> _Single:
        ptr, nodes = torch.tensor([0, num_nodes]), torch.arange(num_nodes).expand(2, -1)
        start = pair_noise(nodes, undirected_edges(edge_index, ptr), ptr, transform.seed).numpy() - 0.5
        steps = transform.num_power_steps
        return lambda follow=None: reference.fosr(edge_index, num_nodes, num_edges, steps, start, follow)

    return _compared(f"FoSR, {num_edges} edges, {graphs.name}", graphs, transform, single, rounds, goal)


def _laser(graphs: _Graphs, rounds: int, goal: float) -> Comparison:
    transform = LASER(num_snapshots=3, density=0.5)

    def single(edge_index: Tensor, num_nodes: int) -> _Single:
        ptr = torch.tensor([0, num_nodes])
        pairs = torch.cartesian_prod(torch.arange(num_nodes), torch.arange(num_nodes)).t()
        noise = pair_noise(pairs, edge_index, ptr, transform.seed).view(num_nodes, num_nodes).numpy()
        return lambda follow=None: reference.laser(edge_index, num_nodes, 3, 0.5, noise)

    return _compared(f"LASER, 3 snapshots, {graphs.name}", graphs, transform, single, rounds, goal)


def _compared(
    what: str,
    graphs: _Graphs,
    transform: Rewiring,
    single: Callable[[Tensor, int], _Single],
    rounds: int,
    goal: float | None,
) -> Comparison:
    """All graphs by ours, the sample by the reference; first of all, both choose the same edges or tied ones."""
    alone = [graphs.one(number) for number in graphs.sample]
    singles = [single(*graph) for graph in alone]
    tied = sum(_differs(transform, *graph, call) for graph, call in zip(alone, singles, strict=True))
    unions = [Data(edge_index=edge_index, ptr=ptr, num_nodes=int(ptr[-1])) for edge_index, ptr in graphs.unions]
    times = interleave(
        {
            "ours": lambda: [transform(union) for union in unions],
            "theirs": lambda: [call() for call in singles],
            "theirs, one thread": lambda: in_one_thread(singles),
        },
        rounds,
    )
    scale = graphs.count / len(graphs.sample)
    # Threads of BLAS slow small matrices down: the peer gets what is best for it.
    best = min(times["theirs"], times["theirs, one thread"], key=statistics.median)
    theirs = [scale * seconds for seconds in best]
    nodes = sum(int(ptr[-1]) for _, ptr in graphs.unions) / graphs.count
    detail = f"{graphs.count} graphs of {nodes:.0f} nodes on average"
    if scale > 1:
        detail += f"; the reference on {len(graphs.sample)} at random, time scaled per graph"
    detail += "; same edges" + (f", but for ties in {tied} of {len(alone)}" if tied else "")
    medians = map(statistics.median, (times["ours"], theirs))
    return Comparison(what, _PEER, *medians, ratio(theirs, times["ours"]), goal, detail=detail)


def _differs(transform: Rewiring, edge_index: Tensor, num_nodes: int, call: _Single) -> bool:
    """Whether the reference breaks a tie in another way; raises if ours is not a choice it could have made."""
    edits = transform.edits(edge_index, torch.tensor([0, num_nodes]))
    half = edits.added.size(1) // 2  # both ways
    pairs, order = edits.added[:, :half].t(), edits.order[:half].argsort(stable=True)
    mine = [(min(pair), max(pair)) for pair in pairs[order].tolist()]
    theirs = [(min(pair), max(pair)) for pair in call()]
    if mine == theirs or (isinstance(transform, LASER) and sorted(mine) == sorted(theirs)):
        return False
    followed = call(follow=mine)
    if followed != mine:
        raise GnnlabError(
            f"{type(transform).__name__} and the reference add other edges", where="gnnlab bench rewiring"
        )
    return True


def _datasets(limit: int) -> list[_Graphs]:
    hub = nx.barabasi_albert_graph(1000, 2, seed=0)
    edges = torch.tensor(list(hub.edges)).t()
    single = [(torch.cat([edges, edges.flip(0)], 1), torch.tensor([0, 1000]))]
    return [
        _Graphs("molecule-like", [molecules(1000, 25)], _sample(1000, limit)),
        *(_loaded(name, limit) for name in ("enzymes", "peptides-func")),
        _Graphs("Barabási-Albert, 1000 nodes", single, [0]),
    ]


def _loaded(name: str, limit: int) -> _Graphs:
    """The real dataset where its files are at hand, else graphs of its size."""
    try:
        store = load_dataset(name)
    except SourceError as error:
        print(f"{name} is not at hand ({error.what}); generated graphs of its size stand in", file=sys.stderr)
        count, nodes = _LIKE[name]
        return _Graphs(name, [molecules(count, nodes)], _sample(count, limit))
    ends = store.sizes("node").cumsum(0)
    marks = torch.tensor(range(_NODES_AT_ONCE, int(ends[-1]), _NODES_AT_ONCE), dtype=torch.long)
    cuts = torch.searchsorted(ends, marks).tolist()
    unions = []
    for first, last in zip([0, *cuts], [*cuts, len(store)], strict=True):
        batch = store[torch.arange(first, last)]
        unions.append((batch.edge_index, batch.ptr))
    return _Graphs(name, unions, _sample(len(store), limit))


_LIKE = {"enzymes": (600, 33), "peptides-func": (2000, 150)}


def _sample(count: int, limit: int) -> list[int]:
    return sorted(random.Random(0).sample(range(count), min(limit or count, count)))


_ROWS: dict[str, list[Callable[[_Graphs, int], Comparison]]] = {
    "molecule-like": [
        lambda graphs, rounds: _gtr(graphs, rounds, 10, goal=25),
        lambda graphs, rounds: _laser(graphs, rounds, goal=30),
        lambda graphs, rounds: _fosr(graphs, rounds, 50),
    ],
    "enzymes": [lambda graphs, rounds: _gtr(graphs, rounds, 10, goal=10)],
    "peptides-func": [
        lambda graphs, rounds: _laser(graphs, rounds, goal=10),
        lambda graphs, rounds: _gtr(graphs, rounds, 10, goal=3),
    ],
    "Barabási-Albert, 1000 nodes": [
        lambda graphs, rounds: _gtr(graphs, rounds, 50, goal=3),
        lambda graphs, rounds: _fosr(graphs, rounds, 50),
    ],
}
