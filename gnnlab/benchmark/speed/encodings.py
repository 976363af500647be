"""``gnnlab bench encodings``: encodings of all graphs at once against the usual way, graph by graph."""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE

from gnnlab.benchmark.speed import _reference_encodings as reference
from gnnlab.benchmark.speed._molecules import molecules
from gnnlab.benchmark.speed.measure import Comparison, in_one_thread, interleave, ratio, show, write
from gnnlab.data import load_dataset
from gnnlab.encodings import RRWP, CycleCounts, HeatKernelPE, LaplacianPE, RandomWalkPE, ResistancePE
from gnnlab.errors import GnnlabError, SourceError
from gnnlab.graph import propagate_features
from gnnlab.ops import segment_reduce

__all__ = ["main"]

_WORKLOADS = ((1000, 25, 0), (200, 150, 1))
"""Graphs, nodes of each on average, and which goal is theirs."""

_THREE_MINUTES = 180.0

_TURN = 0.3
"""Seconds of a turn: a single short call would mostly measure how cold the other one left the caches."""


@dataclass(frozen=True)
class _Work:
    """Graphs as one union and one by one."""

    union: Batch
    graphs: list[Data]

    @property
    def detail(self) -> str:
        return f"{len(self.graphs)} graphs of {self.union.num_nodes / len(self.graphs):.0f} nodes on average"


def main(argv: list[str]) -> int:
    """Print (and with ``--json`` save) the ratios; returns 0."""
    parser = argparse.ArgumentParser(prog="gnnlab bench encodings", description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5, help="rounds per comparison (median is reported)")
    parser.add_argument("--graphs", type=int, help="graphs per workload, instead of 1000 and 200")
    parser.add_argument("--dataset", default="peptides-func", help="dataset that is encoded as a whole; '' for none")
    parser.add_argument("--json", type=Path, help="write the figures, hardware and versions to this file")
    options = parser.parse_args(argv)

    rows = []
    for count, nodes, goal in _WORKLOADS:
        work = _work(options.graphs or count, nodes)
        rows += [row(work, options.rounds, goal) for row in _ROWS]
    if options.dataset:
        rows += _whole(options.dataset)
    show(f"gnnlab bench encodings ({torch.get_num_threads()} threads)", rows)
    if options.json:
        write(options.json, rows, shlex.join(["gnnlab", "bench", "encodings", *argv]))
    return 0


def _work(count: int, nodes: int) -> _Work:
    edge_index, ptr = molecules(count, nodes)
    owner = torch.searchsorted(ptr, edge_index[0], right=True) - 1
    order = owner.argsort(stable=True)
    counts = torch.bincount(owner, minlength=count).tolist()
    edges = edge_index[:, order].split(counts, 1)
    graphs = [
        Data(edge_index=part - low, num_nodes=high - low)
        for part, (low, high) in zip(edges, pairwise(ptr.tolist()), strict=True)
    ]
    return _Work(Batch.from_data_list(graphs), graphs)


def _walks(work: _Work, rounds: int, goal: int) -> Comparison:
    theirs = AddRandomWalkPE(20, attr_name="pe")
    return _compared(
        "random walks, 20 steps",
        "PyG's transform",
        work,
        lambda: RandomWalkPE(20)(work.union).pe_rwse,
        [partial(lambda graph: theirs(graph).pe, graph) for graph in work.graphs],
        rounds,
        (8, 7)[goal],
    )


def _eigenvectors(work: _Work, rounds: int, goal: int) -> Comparison:
    ours = LaplacianPE(8, normalization="sym", include_trivial=False)
    theirs = AddLaplacianEigenvectorPE(8, attr_name="pe", is_undirected=True)
    return _compared(
        "Laplacian, 8 eigenpairs",
        "PyG's transform, undirected",
        work,
        lambda: ours(work.union).pe_lap,
        [partial(lambda graph: theirs(graph).pe, graph) for graph in work.graphs],
        rounds,
        (7, 4)[goal],
        same=_same_spaces(ours(work.union)),
    )


def _propagation(normalization: str, work: _Work, rounds: int, goal: int) -> Comparison:
    union, k = work.union, (8, 16)[goal]
    start = torch.randn(union.num_nodes, k, generator=torch.Generator().manual_seed(0))
    starts = start.split(union.ptr.diff().tolist())
    normalise = {"l2": _unit_columns, "qr": _orthonormal}[normalization]
    return _compared(
        f"random features, {k} for 16 steps, {normalization.upper()}",
        "a loop over the graphs, dense",
        work,
        lambda: propagate_features(union.edge_index, union.ptr, start, 16, normalization=normalization),
        [
            partial(reference.propagation, graph.edge_index, own, 16, normalise)
            for graph, own in zip(work.graphs, starts, strict=True)
        ],
        rounds,
        (4, 2)[goal] if normalization == "l2" else None,
        # Orthogonal iteration in float32 turns within eigenspaces that hardly differ.
        same=None
        if normalization == "l2"
        else lambda ours, theirs: torch.allclose(ours[:, :3], theirs[:, :3], atol=1e-3),
    )


def _pairs(work: _Work, rounds: int, goal: int) -> Comparison:
    def ours() -> Tensor:
        encoded = RRWP(21)(work.union)
        return torch.cat([encoded.pe_rrwp, encoded.edge_pe_rrwp])

    def joined(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
        return torch.cat([torch.cat(part) for part in zip(*parts, strict=True)])

    singles = [partial(reference.rrwp, graph.edge_index, graph.num_nodes, 21) for graph in work.graphs]
    what = "RRWP of nodes and edges, 21 powers"
    return _compared(what, "dense powers, graph by graph", work, ours, singles, rounds, joined=joined)


def _heat(work: _Work, rounds: int, goal: int) -> Comparison:
    times = [float(time) for time in range(1, 21)]
    return _compared(
        "heat kernel, 20 times",
        "dense eigenpairs, graph by graph",
        work,
        lambda: HeatKernelPE()(work.union).pe_hk,
        [partial(reference.heat_kernel, graph.edge_index, graph.num_nodes, times) for graph in work.graphs],
        rounds,
    )


def _resistance(work: _Work, rounds: int, goal: int) -> Comparison:
    return _compared(
        "resistance of the edges",
        "pseudo-inverses, graph by graph",
        work,
        lambda: ResistancePE(node=False)(work.union).edge_pe_resistance[:, 0],
        [partial(reference.resistance, graph.edge_index, graph.num_nodes) for graph in work.graphs],
        rounds,
    )


def _cycles(work: _Work, rounds: int, goal: int) -> Comparison:
    return _compared(
        "cycles of 3 to 6 nodes through every node",
        "networkx lists them",
        work,
        lambda: CycleCounts(normalise=None)(work.union).pe_cycles,
        [partial(reference.cycles, graph.edge_index, graph.num_nodes, 6) for graph in work.graphs],
        rounds,
    )


_ROWS: list[Callable[[_Work, int, int], Comparison]] = [
    _walks,
    _eigenvectors,
    partial(_propagation, "l2"),
    partial(_propagation, "qr"),
    _pairs,
    _heat,
    _resistance,
    _cycles,
]


def _compared(
    what: str,
    peer: str,
    work: _Work,
    ours: Callable[[], Tensor],
    singles: list[Callable[[], Tensor]],
    rounds: int,
    goal: float | None = None,
    same: Callable[[Tensor, Tensor], bool] | None = None,
    joined: Callable[[list], Tensor] = torch.cat,
) -> Comparison:
    """All graphs by ours against one after the other; first of all, both compute the same."""
    same = same or (lambda mine, other: torch.allclose(mine.double(), other.double(), rtol=1e-3, atol=1e-4))
    if not same(ours(), joined([single() for single in singles])):
        raise GnnlabError(f"gnnlab and its peer do not agree: {what}", where="gnnlab bench encodings")
    times = interleave(
        {
            "ours": ours,
            "theirs": lambda: [single() for single in singles],
            "theirs, one thread": lambda: in_one_thread(singles),
        },
        rounds,
        least=_TURN,
    )
    # Threads of BLAS slow small matrices down: the peer gets what is best for it.
    theirs = min(times["theirs"], times["theirs, one thread"], key=statistics.median)
    medians = statistics.median(times["ours"]), statistics.median(theirs)
    return Comparison(what, peer, *medians, ratio(theirs, times["ours"]), goal, detail=work.detail)


def _same_beginning(ours: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(ours[:, :3], theirs[:, :3], atol=1e-3)


def _same_spaces(encoded: Batch) -> Callable[[Tensor, Tensor], bool]:
    """Whether eigenvectors span the same eigenspaces, which is all that is determined; one that k cuts may differ."""
    first = encoded.ptr[:-1]
    group, whole = encoded.pe_lap_group[first], encoded.pe_lap_whole[first]
    together = group[:, :, None] == group[:, None, :]

    def same(ours: Tensor, theirs: Tensor) -> bool:
        products = segment_reduce((ours[:, :, None] * theirs[:, None, :]).double().flatten(1), encoded.ptr, "sum")
        # Of a unit vector the squares of its coordinates in a basis of its eigenspace add up to 1.
        length = (products.view(together.shape).square() * together).sum(1)
        return torch.allclose(length[whole], torch.ones_like(length[whole]), atol=1e-3)

    return same


def _unit_columns(x: Tensor) -> Tensor:
    return x / x.norm(dim=0).clamp(min=1e-12)


def _orthonormal(x: Tensor) -> Tensor:
    q, r = torch.linalg.qr(x)
    sign = torch.where(r.diagonal() < 0, -1.0, 1.0)
    return torch.nn.functional.pad(q * sign, (0, x.size(1) - q.size(1)))


def _whole(name: str) -> list[Comparison]:
    """Both usual encodings of a whole dataset in a process of its own: time against three minutes, and memory."""
    try:
        store = load_dataset(name)
    except SourceError as error:
        print(f"{name} is not at hand: {error.what}", file=sys.stderr)
        return []
    script = (
        "import re, sys, time\n"
        "from gnnlab.data import load_dataset\n"
        "from gnnlab.encodings import LaplacianPE, RandomWalkPE\n"
        "from gnnlab.transform import Compose\n"
        "def peak(): return 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "store = load_dataset(sys.argv[1])\n"
        "before, start = peak(), time.perf_counter()\n"
        "store.map(Compose((RandomWalkPE(20), LaplacianPE(10))), progress=True)\n"
        "print(time.perf_counter() - start, peak() - before)"
    )
    run = subprocess.run([sys.executable, "-c", script, name], stdout=subprocess.PIPE, text=True, check=True)
    seconds, grown = map(float, run.stdout.split())
    detail = f"{len(store)} graphs, {store.num_nodes:,} nodes; memory grew by {grown / 2**30:.2f} GiB"
    what = f"20 steps and 10 eigenpairs, all of {name}"
    return [Comparison(what, "three minutes", seconds, _THREE_MINUTES, _THREE_MINUTES / seconds, 1.0, detail=detail)]
