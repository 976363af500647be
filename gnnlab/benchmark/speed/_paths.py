"""Rows of ``gnnlab bench models``: all paths of a union at once against one node after the other."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from itertools import pairwise
from typing import Any

import networkx as nx
import torch
from torch import Tensor

from gnnlab.benchmark.speed import _reference_models as reference
from gnnlab.benchmark.speed._molecules import molecules
from gnnlab.benchmark.speed.measure import Comparison, compare
from gnnlab.errors import GnnlabError
from gnnlab.graph import enumerate_paths, path_edges

__all__ = ["KINDS", "rows"]

_LENGTH = 5
_WORKLOADS = ((1000, 25), (200, 150))
"""Graphs, and nodes of each on average."""

KINDS = {"shortest": "SP", "all_shortest": "SP+", "simple": "AP"}
_GOAL = 20


@dataclass(frozen=True)
class _Peer:
    """A package that finds paths node by node in graphs it has made of lists of edges."""

    name: str
    build: Callable[[list[list[int]], int], Any]
    paths: Callable[[Any, int, str], list[list[list[int]]]]


def rows(options: argparse.Namespace) -> list[Comparison]:
    """Every kind of paths on molecules and on larger ones, against every package that is at hand."""
    result = []
    for count, nodes in _WORKLOADS:
        union = molecules(options.graphs or count, nodes)
        for peer in _peers():
            graphs = [peer.build(edges, size) for edges, size in _single(*union)]
            result += [_row(union, graphs, peer, kind, options.rounds) for kind in KINDS]
    return result


def _row(union: tuple[Tensor, Tensor], graphs: list[Any], peer: _Peer, kind: str, rounds: int) -> Comparison:
    edge_index, ptr = union
    ours = partial(enumerate_paths, edge_index, int(ptr[-1]), _LENGTH, kind, ptr=ptr)

    def theirs() -> list[list[list[list[int]]]]:
        return [peer.paths(graph, _LENGTH, kind) for graph in graphs]

    tables = ours()
    for table in tables:
        path_edges(table, edge_index, int(ptr[-1]))  # raises where a path does not follow the edges
    what = f"paths of up to {_LENGTH} edges, {KINDS[kind]}"
    if not _same(tables, _joined(theirs(), ptr), ends_only=kind == "shortest"):
        raise GnnlabError(f"gnnlab and {peer.name} find other paths: {what}", where="gnnlab bench models")
    detail = (
        f"{len(graphs)} graphs of {int(ptr[-1]) / len(graphs):.0f} nodes on average, {sum(map(len, tables)):,} paths"
    )
    name = f"{peer.name}, node by node"
    return compare(what, ours, theirs, name, rounds=rounds, goal=_GOAL, detail=detail)


def _single(edge_index: Tensor, ptr: Tensor) -> Iterator[tuple[list[list[int]], int]]:
    """Undirected edges and number of nodes of every graph."""
    once = edge_index[:, edge_index[0] < edge_index[1]]
    owner = torch.searchsorted(ptr, once[0], right=True) - 1
    order = owner.argsort(stable=True)
    parts = once[:, order].split(torch.bincount(owner, minlength=ptr.numel() - 1).tolist(), 1)
    for part, (low, high) in zip(parts, pairwise(ptr.tolist()), strict=True):
        yield (part - low).t().tolist(), high - low


def _joined(graphs: list[list[list[list[int]]]], ptr: Tensor) -> list[Tensor]:
    """Tables of every length, with nodes of the union."""
    tables = []
    for length in range(_LENGTH):
        parts = [
            torch.tensor(paths[length], dtype=torch.long).view(-1, length + 2) + low
            for paths, low in zip(graphs, ptr.tolist(), strict=False)
        ]
        tables.append(torch.cat(parts))
    return tables


def _same(found: list[Tensor], wanted: list[Tensor], ends_only: bool) -> bool:
    """Whether both have the same paths, in whatever order; of single shortest paths only the ends are settled."""
    for mine, other in zip(found, wanted, strict=True):
        if ends_only:
            mine, other = mine[:, [0, -1]], other[:, [0, -1]]
        if mine.shape != other.shape or not torch.equal(mine.unique(dim=0), other.unique(dim=0)):
            return False
    return True


def _networkx(edges: list[list[int]], num_nodes: int) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edges)
    return graph


def _igraph(edges: list[list[int]], num_nodes: int) -> Any:
    import igraph

    return igraph.Graph(num_nodes, edges)


def _peers() -> list[_Peer]:
    """networkx, and igraph where a version is installed that can bound the length of simple paths by name."""
    peers = [_Peer("networkx", _networkx, reference.networkx_paths)]
    try:
        recent = int(metadata.version("igraph").split(".")[0]) >= 1
    except metadata.PackageNotFoundError:
        recent = False
    return [*peers, _Peer("igraph", _igraph, reference.igraph_paths)] if recent else peers
