"""Paths of every length from every node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph import enumerate_paths, path_distances, path_edges
from gnnlab.graph.paths import PathKind
from gnnlab.transform import Transform, graph_ptr

__all__ = ["Paths"]


@dataclass(frozen=True, repr=False)
class Paths(Transform):
    r"""The paths that :class:`gnnlab.nn.PathNN` reads, for every length from 1 to ``length``.

    "Path Neural Networks: Expressive and Accurate Graph Neural Networks" (Michel, Nikolentzos, Lutzeyer,
    Vazirgiannis; ICML 2023, arXiv 2306.05955). A path is a sequence of distinct nodes :math:`(p_0, \dots, p_l)`,
    root first, with an edge from every :math:`p_{i+1}` to :math:`p_i`: all edges lead to the root, as messages do.

    * ``simple`` (the paper's AP): all paths.
    * ``all_shortest`` (SP+): all shortest paths.
    * ``shortest`` (SP): one shortest path for every pair of nodes. **Not invariant** to the numbering of the nodes,
      by which one of several is chosen: of the square 0-1-2-3, the paths between 0 and 2 lead through 1 whichever
      corner is called 1. The choice is deterministic, and the same in every batch. Each direction has its own: the
      path back need not be the same one reversed, as it is in the released code.

    Time and memory follow the number of paths (about :math:`N \Delta^l` simple ones), which is known before every
    step; more than ``max_paths`` in a graph are refused. Edges change what paths there are, so rewiring comes first.
    Batches of these attributes are made by :class:`gnnlab.data.GraphStore`; PyG's own collation does not know that
    they count nodes and edges.

    Args:
        length: Most edges of a path, K. (The released code states K + 1, the nodes of it.)
        kind: ``shortest``, ``all_shortest`` or ``simple``.
        distances: Also write how far from the root every node of a path is (in the graph; along a shortest path it
            is its position).
        edges: Also write which edge leads from every node of a path to the one before it; of parallel edges the first.
        max_paths: Most candidates of one length in one graph: ways to prolong its paths of the length before.
        max_gigabytes: Most memory (GiB) of the candidates of one length in a union of graphs.

    Shapes:
        * writes ``path_<l>`` [P_l, l + 1] long, l = 1, ..., ``length``;
        * ``distances``: ``path_<l>_distance`` [P_l, l + 1] long;
        * ``edges``: ``path_<l>_edge`` [P_l, l] long.

    Raises:
        ConfigError: an unknown kind, sizes below 1, or ``max_gigabytes`` that is not positive.
        BudgetError: more than ``max_paths`` candidates in a graph, or ``max_gigabytes`` of them in a union.

    Example:
        >>> import torch
        >>> square = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]]), num_nodes=4)
        >>> lifted = Paths(length=2)(square)
        >>> lifted.path_1.shape, lifted.path_2[:2].tolist()
        (torch.Size([8, 2]), [[2, 1, 0], [2, 3, 0]])
    """

    length: int = 3
    kind: PathKind = "all_shortest"
    distances: bool = False
    edges: bool = False
    max_paths: int = 10**6
    max_gigabytes: float = 8.0

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.kind not in get_args(PathKind):
            raise ConfigError(f"unknown kind '{self.kind}'", where="Paths", hint=nearest(self.kind, get_args(PathKind)))
        if self.length < 1 or self.max_paths < 1:
            raise ConfigError(
                f"length and max_paths must be at least 1, got {self.length} and {self.max_paths}", where="Paths"
            )
        if not self.max_gigabytes > 0:
            raise ConfigError(f"max_gigabytes must be positive, got {self.max_gigabytes}", where="Paths")

    @property
    def equivariance(self) -> str:
        """One of several shortest paths is chosen by the numbers of the nodes."""
        return "up to ties" if self.kind == "shortest" else "exact"

    def forward(self, data: Data) -> Data:
        ptr, num_nodes, outwards = graph_ptr(data), data.num_nodes, data.edge_index.flip(0)
        limits = {"max_paths": self.max_paths, "max_gigabytes": self.max_gigabytes}
        tables = enumerate_paths(outwards, num_nodes, self.length, self.kind, ptr=ptr, **limits)
        for length, paths in enumerate(tables, start=1):
            name = f"path_{length}"
            data[name] = paths
            if self.distances:
                data[f"{name}_distance"] = path_distances(paths, outwards, ptr)
            if self.edges:
                data[f"{name}_edge"] = path_edges(paths, outwards, num_nodes)
        return data
