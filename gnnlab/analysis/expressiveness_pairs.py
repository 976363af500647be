"""Pairs of graphs that colour refinement cannot tell apart, with a name each: what papers draw on a blackboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import networkx as nx
import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.data import GraphStore

__all__ = ["NAMED_PAIRS", "named_pairs"]


def named_pairs(names: Iterable[str] | None = None) -> GraphStore:
    """A store of pairs (graphs 2p and 2p + 1) with constant features.

    Graph columns: ``y`` (which of the two) and ``pair``.

    Args:
        names: Of :data:`NAMED_PAIRS`; all of them by default.

    Example:
        >>> store = named_pairs(["C6, two C3"])
        >>> store.sizes("node").tolist(), store.sizes("edge").tolist()
        ([6, 6], [12, 12])
    """
    graphs = []
    for number, name in enumerate(NAMED_PAIRS if names is None else names):
        for which, graph in enumerate(NAMED_PAIRS[name]()):
            y, pair = torch.tensor([which]), torch.tensor([number])
            size = graph.number_of_nodes()
            graphs.append(Data(x=torch.ones(size, 1), edge_index=_edges(graph), y=y, pair=pair, num_nodes=size))
    return GraphStore.from_data_list(graphs, name="named pairs")


def _edges(graph: nx.Graph) -> Tensor:
    place = {node: number for number, node in enumerate(graph)}
    one_way = torch.tensor([[place[a], place[b]] for a, b in graph.edges]).t()
    return torch.cat([one_way, one_way.flip(0)], 1)


def _rings(*sizes: int) -> nx.Graph:
    return nx.disjoint_union_all([nx.cycle_graph(size) for size in sizes])


def _with_edges(graph: nx.Graph, *edges: tuple[int, int]) -> nx.Graph:
    graph.add_edges_from(edges)
    return graph


def _prism(size: int) -> nx.Graph:
    return nx.cartesian_product(nx.cycle_graph(size), nx.path_graph(2))


def _skips(size: int, skip: int) -> nx.Graph:
    return nx.circulant_graph(size, [1, skip])


def _shrikhande() -> nx.Graph:
    steps = ((0, 1), (1, 0), (1, 1))
    nodes = [(a, b) for a in range(4) for b in range(4)]
    return nx.Graph([((a, b), ((a + c) % 4, (b + d) % 4)) for a, b in nodes for c, d in steps])


def _rook() -> nx.Graph:
    return nx.cartesian_product(nx.complete_graph(4), nx.complete_graph(4))


NAMED_PAIRS: dict[str, Callable[[], tuple[nx.Graph, nx.Graph]]] = {
    "C6, two C3": lambda: (_rings(6), _rings(3, 3)),
    "C8, two C4": lambda: (_rings(8), _rings(4, 4)),
    "C7, C3 and C4": lambda: (_rings(7), _rings(3, 4)),
    "decalin, bicyclopentyl": lambda: (_with_edges(_rings(10), (0, 5)), _with_edges(_rings(5, 5), (0, 5))),
    "K33, prism": lambda: (nx.complete_bipartite_graph(3, 3), _prism(3)),
    "CSL(11, 2), CSL(11, 3)": lambda: (_skips(11, 2), _skips(11, 3)),
    "CSL(41, 2), CSL(41, 3)": lambda: (_skips(41, 2), _skips(41, 3)),
    "CSL(41, 3), CSL(41, 4)": lambda: (_skips(41, 3), _skips(41, 4)),
    "Petersen, pentagonal prism": lambda: (nx.petersen_graph(), _prism(5)),
    "dodecahedron, Desargues": lambda: (nx.dodecahedral_graph(), nx.desargues_graph()),
    "rook, Shrikhande": lambda: (_rook(), _shrikhande()),
}
"""Name -> the two graphs. All but the last pair are told apart by every network with marked subgraphs; the last one,
strongly regular, is not by 3-WL."""
