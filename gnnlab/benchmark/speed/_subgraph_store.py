"""Rows of ``gnnlab bench subgraph``: pairs of whole datasets, and refinements of BREC."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, InMemoryDataset

from gnnlab.benchmark.speed import _reference_subgraph as reference
from gnnlab.benchmark.speed._molecules import molecules
from gnnlab.benchmark.speed.measure import Comparison, interleave, ratio
from gnnlab.data import GraphStore, load_dataset
from gnnlab.errors import BudgetError, GnnlabError, SourceError
from gnnlab.graph import graph_classes
from gnnlab.lifting import NodePairs

__all__ = ["MAX_DISTANCE", "ego_networks", "pairs", "refinements", "zinc"]

MAX_DISTANCE = 5

_SAMPLE, _FASTER = 300, 20
_FIVE_MINUTES = 300.0
_METHODS = ("wl", "swl-vs", "swl-sv", "pswl-vs", "pswl-sv", "gswl", "sswl")
_HOPS = (2, 3)


def pairs(options: argparse.Namespace) -> list[Comparison]:
    """Pairs and distances of all graphs of ZINC as a store; the other way on a sample, its time scaled per graph."""
    store, name = zinc(options.graphs)
    draw = torch.Generator().manual_seed(0)
    sample = torch.randperm(len(store), generator=draw)[:_SAMPLE].sort().values
    transform = NodePairs(marking="distance", max_distance=MAX_DISTANCE)
    union, graphs = transform(store[sample]), _single(store[sample])
    detail = f"{len(store):,} graphs of {store.num_nodes / len(store):.0f} nodes on average"
    if len(graphs) < len(store):
        detail += f"; the peer on {len(graphs)} at random, time scaled per graph"
    rows = []
    for peer, distances in _PEERS.items():
        theirs = partial(_one_by_one, graphs, distances)
        found = Batch.from_data_list(theirs())
        if not (torch.equal(found.pair_index, union.pair_index) and torch.equal(found.pair_mark, union.pair_mark)):
            raise GnnlabError("gnnlab and its peer find other pairs or distances", where="gnnlab bench subgraph")
        collated = partial(_collated, theirs)
        times = interleave({"ours": lambda: store.map(transform), "theirs": collated}, options.rounds)
        scaled = [len(store) / len(graphs) * seconds for seconds in times["theirs"]]
        medians = statistics.median(times["ours"]), statistics.median(scaled)
        what = f"pairs and distances, all of {name}"
        rows.append(Comparison(what, peer, *medians, ratio(scaled, times["ours"]), _FASTER, detail=detail))
    return rows


def _one_by_one(graphs: list[tuple[Tensor, int]], distances: Callable[[Tensor, int], Tensor]) -> list[Data]:
    return [reference.node_pairs(edges, nodes, MAX_DISTANCE, distances) for edges, nodes in graphs]


def _collated(graphs: Callable[[], list[Data]]) -> tuple:
    return InMemoryDataset.collate(graphs())


_PEERS = {
    "Floyd-Warshall in torch, graph by graph": reference.distances_torch,
    "Floyd-Warshall in numpy, graph by graph": reference.distances_numpy,
}


def refinements(options: argparse.Namespace) -> list[Comparison]:
    """1-WL and the classes of subgraph networks on all pairs of BREC, once."""
    store = _at_hand("brec")
    if store is None:
        return []
    chosen = torch.arange(2 * min(options.graphs or len(store), len(store) // 2))
    union, separated = store[chosen], {}
    start = time.perf_counter()
    for method in _METHODS:
        first, second = graph_classes(union.edge_index, union.ptr, method).view(-1, 2).unbind(1)
        separated[method] = int((first != second).sum())
    seconds = time.perf_counter() - start
    counts = ", ".join(f"{method} {count}" for method, count in separated.items())
    detail = f"{len(chosen) // 2} pairs, of which each separates: {counts}"
    what = f"{len(_METHODS)} exact refinements of BREC"
    return [Comparison(what, "five minutes", seconds, _FIVE_MINUTES, _FIVE_MINUTES / seconds, 1.0, detail=detail)]


def ego_networks(options: argparse.Namespace) -> list[Comparison]:
    """Pairs within ego networks of all of peptides-func: the estimate, then the memory, in a process of its own."""
    store = _at_hand("peptides-func")
    if store is None:
        return []
    graphs = min(options.graphs or len(store), len(store))
    part = store[torch.arange(graphs)]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    rows = []
    for hops in _HOPS:
        try:
            NodePairs(hops=hops)(part)
        except BudgetError as error:  # the estimate
            print(f"all pairs of peptides-func: {error}", file=sys.stderr)
        run = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(graphs), str(hops)], stdout=subprocess.PIPE, text=True, check=True
        )
        count, grown, seconds = map(float, run.stdout.split())
        detail = f"{graphs:,} graphs, {part.num_nodes:,} nodes, {count:,.0f} pairs, {seconds:.1f} s"
        what = f"ego networks of {hops} hops, all of peptides-func, memory"
        rows.append(
            Comparison(what, "this machine's memory", grown, machine, machine / grown, 1.0, unit="B", detail=detail)
        )
    return rows


_SCRIPT = r"""
import re, sys, time
import torch
from gnnlab.data import load_dataset
from gnnlab.lifting import NodePairs
def peak(): return 1024 * int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1])
store = load_dataset("peptides-func").subset(torch.arange(int(sys.argv[1])))
before, start = peak(), time.perf_counter()
lifted = store.map(NodePairs("ego", hops=int(sys.argv[2]), marking="distance"))
print(lifted.column("pair_mark").numel(), peak() - before, time.perf_counter() - start)
"""


def zinc(count: int | None = None) -> tuple[GraphStore, str]:
    """The first graphs of ZINC (all by default) where its files are at hand, else of molecules of its size."""
    store = _at_hand("zinc-12k")
    if store is not None:
        return (store if count is None else store.subset(torch.arange(min(count, len(store))))), "ZINC"
    draw = torch.Generator().manual_seed(0)
    edges, ptr = molecules(count or 12000, 23)
    graphs = [
        Data(
            x=torch.randint(28, (nodes, 1), generator=draw),
            edge_index=edge_index,
            edge_attr=torch.randint(4, (edge_index.size(1), 1), generator=draw),
        )
        for edge_index, nodes in _single(Data(edge_index=edges, ptr=ptr))
    ]
    return GraphStore.from_data_list(graphs), "molecules"


def _at_hand(name: str) -> GraphStore | None:
    try:
        return load_dataset(name)
    except SourceError as error:
        print(f"{name} is not at hand: {error.what}", file=sys.stderr)
        return None


def _single(union: Data) -> list[tuple[Tensor, int]]:
    """Edges and number of nodes of every graph."""
    owner = torch.searchsorted(union.ptr, union.edge_index[0], right=True) - 1
    counts = torch.bincount(owner, minlength=union.ptr.numel() - 1).tolist()
    parts = union.edge_index[:, owner.argsort(stable=True)].split(counts, 1)
    return [(part - low, high - low) for part, (low, high) in zip(parts, pairwise(union.ptr.tolist()), strict=True)]
