"""``gnnlab bench analysis``: Jacobians, ceilings and topology of many graphs at once against one after the other."""

from __future__ import annotations

import argparse
import math
import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.benchmark.speed import _reference_analysis as reference
from gnnlab.benchmark.speed._molecules import molecules
from gnnlab.benchmark.speed._options import Options, one_of, positive
from gnnlab.benchmark.speed.measure import Comparison, compare, interleave, ratio, show, write
from gnnlab.data import GraphStore, load_dataset
from gnnlab.errors import GnnlabError, SourceError
from gnnlab.nn import GNN, GCNConv
from gnnlab.ops import CSR

__all__ = ["Measures", "main"]

_GRAPHS, _NODES, _WIDTH, _LAYERS = 64, 25, 16, 4
_SAMPLE = 2  # graphs all of whose nodes a peer looks at
_DATASETS, _ITERATIONS = {"proteins": 2000, "nci1": 5000, "reddit-binary": 400}, 3
_PROFILED = 128
_JACOBIAN_GOAL, _CEILING_GOAL = 15, 8
_TOLERANCE = 1e-4
"""Largest difference from the peer, as a part of the largest value."""


class Measures(NamedTuple):
    """The functions of ``gnnlab.analysis`` that are measured, which the caller knows and the benchmark does not."""

    sensitivity: Callable[..., Any]
    ceilings: Callable[..., Any]
    topology_profile: Callable[..., Any]


def main(argv: list[str], measures: Measures) -> int:
    """Print (and with ``--json`` save) the ratios; returns 0."""
    parser = Options(prog="gnnlab bench analysis", description=__doc__)
    parts = one_of("part", _PARTS)
    parser.add_argument("--part", nargs="+", type=parts, default=list(_PARTS), help="what to measure (default: all)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds per comparison (median is reported)")
    parser.add_argument("--graphs", type=positive, help="graphs per workload, instead of the goals'")
    parser.add_argument("--json", type=Path, help="write the figures, hardware and versions to this file")
    options = parser.parse_args(argv)

    rows = [row for part in dict.fromkeys(options.part) for row in _PARTS[part](options, measures)]
    show(f"gnnlab bench analysis ({torch.get_num_threads()} threads)", rows)
    if options.json:
        write(options.json, rows, shlex.join(["gnnlab", "bench", "analysis", *argv]))
    return 0


def _jacobians(options: argparse.Namespace, measures: Measures) -> list[Comparison]:
    """The sensitivity of one node of every graph, and of all nodes, to all features."""
    batch = _molecules(options.graphs or _GRAPHS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GNN(1, _WIDTH, _LAYERS, GCNConv, in_channels=_WIDTH).eval()
    singles = [(_states(model, data), data.x) for data in batch.to_data_list()]
    sizes, first = batch.ptr.diff().tolist(), batch.ptr.tolist()
    workloads = {
        "one node of every graph": ([[nodes // 2] for nodes in sizes], len(sizes)),
        "all nodes": ([range(nodes) for nodes in sizes], _SAMPLE),
    }
    rows = []
    for what, (targets, sample) in workloads.items():
        wanted = torch.tensor([start + node for start, local in zip(first, targets, strict=False) for node in local])
        ours = partial(measures.sensitivity, model, batch, wanted)
        detail = f"{len(sizes)} graphs, {batch.num_nodes:,} nodes, {_LAYERS} layers of {_WIDTH} channels"
        if sample < len(sizes):
            detail += f"; the peer on {sample} of them, time scaled per node"
        asked = sum(map(len, targets[:sample]))
        peers = {
            name: partial(_one_by_one, way, singles[:sample], targets[:sample])
            for name, (way, _) in _JACOBIAN_PEERS.items()
        }
        found = ours().value
        for theirs in peers.values():
            table = nn.utils.rnn.pad_sequence([line for part in theirs() for line in part], batch_first=True)
            _check(f"sensitivity of {what}", found[:asked, : table.size(1)], table)
        times = interleave({"ours": ours, **peers}, options.rounds)
        for peer, (_, goal) in _JACOBIAN_PEERS.items():
            scaled = [len(wanted) / asked * seconds for seconds in times[peer]]
            rows.append(_row(f"sensitivity of {what}", peer, times["ours"], scaled, goal, detail))
    return rows


def _one_by_one(way: Callable[..., Tensor], singles: Sequence[tuple], targets: Sequence[Sequence[int]]) -> list[Tensor]:
    return [way(function, x, target) for (function, x), target in zip(singles, targets, strict=True)]


def _states(model: nn.Module, data: Data) -> Callable[[Tensor], Tensor]:
    adj = CSR.from_edge_index(data.edge_index, data.num_nodes)
    return lambda x: model.states(Data(x=x, edge_index=data.edge_index, adj=adj))[-1]


_JACOBIAN_PEERS = {
    "torch.autograd.functional.jacobian, graph by graph": (reference.by_jacobian, None),
    "torch.autograd.grad, node by node": (reference.by_node, _JACOBIAN_GOAL),
}


def _ceilings(options: argparse.Namespace, measures: Measures) -> list[Comparison]:
    """Identifiable graphs and best accuracy of 1-WL without features; the peer's graphs are made before."""
    rows = []
    for name, store in _stores(options.graphs):
        batch, labels = store[torch.arange(len(store))], store.column("y").reshape(-1).tolist()
        graphs = _networkx(batch.edge_index, batch.ptr)
        find = partial(measures.ceilings, store, "wl", (_ITERATIONS,), node_features=False, edge_features=False)
        theirs = partial(_scores, graphs, labels)
        candidates = {"exact": find, "hashed": partial(find, hashed=True)}
        expected = theirs()
        for ours in candidates.values():
            (row,) = ours().ceilings
            _check(f"ceilings of {name}", (row.classes, row.identifiable, row.accuracy), expected)
        times = interleave({**candidates, _HASHING: theirs}, options.rounds)
        detail = f"{len(store):,} graphs, {batch.num_nodes:,} nodes, {_ITERATIONS} rounds"
        rows += [
            _row(f"1-WL ceiling of {name}, {kind}", _HASHING, times[kind], times[_HASHING], goal, detail)
            for kind, goal in {"exact": None, "hashed": _CEILING_GOAL}.items()
        ]
    return rows


_HASHING = "networkx.weisfeiler_lehman_graph_hash, graph by graph"


def _scores(graphs: list[nx.Graph], labels: list[int]) -> tuple[int, int, float]:
    return reference.scores(reference.hashes(graphs, _ITERATIONS), labels)


def _profiles(options: argparse.Namespace, measures: Measures) -> list[Comparison]:
    """Ten measures by the peer; ours has some thirty, Cheeger bounds among them."""
    batch = _molecules(options.graphs or _PROFILED)
    graphs = _networkx(batch.edge_index, batch.ptr)
    ours = partial(measures.topology_profile, batch)
    theirs = partial(_topologies, graphs)
    found = ours().values
    _check("topology profile", torch.stack([found[name] for name in reference.MEASURES], 1), theirs())
    detail = (
        f"{len(graphs)} graphs, {batch.num_nodes:,} nodes; {len(found)} measures, of the peer {len(reference.MEASURES)}"
    )
    peer = "networkx, numpy and scipy, graph by graph"
    return [compare("topology profile", ours, theirs, peer, rounds=options.rounds, detail=detail)]


def _topologies(graphs: list[nx.Graph]) -> list[list[float]]:
    return [reference.topology(graph) for graph in graphs]


def _row(what: str, peer: str, ours: list[float], theirs: list[float], goal: float | None, detail: str) -> Comparison:
    return Comparison(
        what, peer, statistics.median(ours), statistics.median(theirs), ratio(theirs, ours), goal, detail=detail
    )


def _check(what: str, ours: Any, theirs: Any) -> None:
    ours, theirs = (torch.as_tensor(values, dtype=torch.float64) for values in (ours, theirs))
    error = float((ours - theirs).abs().max() / theirs.abs().max()) if ours.shape == theirs.shape else math.inf
    # NaN is no less than anything.
    if not error <= _TOLERANCE:
        raise GnnlabError(f"gnnlab and its peer do not agree: {what}, off by {error:.2g} of the largest value")


def _molecules(count: int) -> Batch:
    edge_index, ptr = molecules(count, _NODES)
    owner = torch.bucketize(edge_index[0], ptr[1:], right=True)
    generator = torch.Generator().manual_seed(0)
    graphs = [
        Data(x=torch.randn(end - begin, _WIDTH, generator=generator), edge_index=edge_index[:, owner == graph] - begin)
        for graph, (begin, end) in enumerate(pairwise(ptr.tolist()))
    ]
    return Batch.from_data_list(graphs)


def _stores(count: int | None) -> list[tuple[str, GraphStore]]:
    """Data sets of the goal whose files are at hand, else molecules with labels at random."""
    found = []
    for name, most in _DATASETS.items():
        try:
            store = load_dataset(name)
        except SourceError as error:
            print(f"{name} is not at hand: {error.what}", file=sys.stderr)
            continue
        found.append((name, store.subset(torch.arange(min(count or most, len(store))))))
    if found:
        return found
    graphs = _molecules(count or 1000).to_data_list()
    for label, data in enumerate(graphs):
        data.y = torch.tensor([label % 2])
    return [("molecules", GraphStore.from_data_list(graphs))]


def _networkx(edge_index: Tensor, ptr: Tensor) -> list[nx.Graph]:
    whole = nx.Graph(edge_index.t().tolist())
    graphs = []
    for begin, end in pairwise(ptr.tolist()):
        graph = nx.Graph()
        graph.add_nodes_from(range(end - begin))
        graph.add_edges_from((u - begin, v - begin) for u in range(begin, end) if u in whole for v in whole[u] if u < v)
        graphs.append(graph)
    return graphs


_PARTS = {"jacobians": _jacobians, "ceilings": _ceilings, "topology": _profiles}
