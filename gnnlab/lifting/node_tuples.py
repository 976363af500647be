"""Sets and tuples of several nodes: what networks on graphs with labelled nodes work on."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, GraphError, nearest
from gnnlab.graph import k_hop_pairs, undirected_edges
from gnnlab.graph._strata import group_noise, strata, taken
from gnnlab.lifting._subsets import binomials, cliques, in_orders, subsets
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.transform import Transform, graph_ptr

__all__ = ["NodeTuples"]

_KINDS = ("all", "near", "adjacent")
_LARGEST = 8
_COUNTABLE = 2.0**52
"""Numbers of sets that float64 holds exactly."""


@dataclass(frozen=True, repr=False)
class NodeTuples(Transform):
    r"""Sets or tuples of ``size`` nodes, labelled together by :class:`gnnlab.nn.KLGNN` and :class:`gnnlab.nn.I2GNN`.

    "From Relational Pooling to Subgraph GNNs: A Universal Framework for More Expressive Graph Neural Networks" (Zhou,
    Wang, Zhang; ICML 2023, arXiv 2305.04963) runs a network on copies of the graph in which the nodes of a tuple bear
    labels. The kinds are

    * ``all``: of n nodes the :math:`\binom{n}{l}` sets, or the :math:`n! / (n - l)!` tuples (``ordered``);
    * ``near``: those whose nodes are at most ``max_distance`` apart, two and two;
    * ``adjacent``: pairs of a node and a neighbour (``ordered``: a root and every neighbour of it, as in I2-GNN). A
      node without neighbours is a pair with itself.

    Distances and neighbours do not ask for the direction of edges. A node that stands in a tuple again bears no second
    label: a graph of fewer than ``size`` nodes has the one set of all its nodes, the last of them repeated. A graph
    without nodes has none.

    A sample (``rate``) takes one tuple from each of equal strata of them, by a hash of ``seed`` and the graph, so that
    every tuple is as likely as any other, and writes how many it stands for, by which sums are to be weighted
    (Horvitz and Thompson).

    Cost: ``all`` takes memory and time for the sampled tuples alone: each is computed from its number. ``near`` joins
    pairs at most ``max_distance`` apart, one node after the other, and takes memory for the candidates of a step;
    ``adjacent`` takes that of the edges. Either is refused with its estimate before it is allocated: the pairs of a
    graph of 1e5 nodes take 298 GiB, its ``adjacent`` ones no more than its edges.

    Args:
        size: l, nodes of a tuple, from 1 to 8; 2 if ``adjacent``.
        kind: ``all``, ``near`` or ``adjacent``.
        max_distance: Of ``near``, in hops.
        ordered: Tuples in every order, or increasing.
        rate: Share of the tuples of every graph, at least one.
        seed: Of the sample.
        max_gigabytes: Most memory (GiB) of the tuples of a union.

    Shapes:
        * writes ``tuple_index`` [l, S] long, graph after graph; sets increase downwards;
        * writes ``tuple_weight`` [S] float32 if ``rate`` is below 1: the tuples of the graph by those taken.

    Raises:
        ConfigError: unknown settings, or out of range.
        BudgetError: more than ``max_gigabytes``.
        GraphError: features of tuples are there already, which belong to other tuples.

    Example:
        >>> ring = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> graph = Data(edge_index=ring, num_nodes=4)
        >>> NodeTuples(2)(graph).tuple_index.tolist()
        [[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 3]]
        >>> NodeTuples(2, kind="adjacent", ordered=True)(graph).tuple_index.t()[:2].tolist()
        [[0, 1], [0, 3]]
    """

    size: int = 2
    kind: Literal["all", "near", "adjacent"] = "all"
    max_distance: int = 3
    ordered: bool = False
    rate: float = 1.0
    seed: int = 0
    max_gigabytes: float = 4.0

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError(f"unknown kind '{self.kind}'", where="NodeTuples", hint=nearest(str(self.kind), _KINDS))
        if not 1 <= self.size <= _LARGEST or (self.kind == "adjacent" and self.size != 2):
            raise ConfigError(
                f"size must be 1 to {_LARGEST}, and 2 if kind is 'adjacent', got {self.size}", where="NodeTuples"
            )
        if self.max_distance < 1 or not 0 < self.rate <= 1 or not self.max_gigabytes > 0:
            raise ConfigError(
                f"max_distance must be at least 1, rate above 0 and at most 1, and max_gigabytes positive, got "
                f"{self.max_distance}, {self.rate} and {self.max_gigabytes}",
                where="NodeTuples",
            )

    @property
    def equivariance(self) -> str:
        """Sets are the same under any numbering, but it orders their nodes, and a sample follows it."""
        return "exact" if self.ordered and self.rate == 1 else "up to ties"

    def check_budget(self, nodes: Tensor) -> None:
        if self.kind == "all":
            counts = self._counts(nodes)
            self._check(float((counts * self.rate).ceil().sum()), "take kind='near', a smaller rate")
            if counts.numel() and float(counts.max()) > _COUNTABLE:
                raise BudgetError(
                    f"a graph has {float(counts.max()):.2g} tuples, too many to number",
                    where="NodeTuples",
                    hint="take kind='near', or smaller tuples",
                )

    def forward(self, data: Data) -> Data:
        other = [key for key in data.to_dict() if key.startswith("tuple_") and key not in ("tuple_index", _WEIGHT)]
        if other:
            raise GraphError(
                f"the graph has features of tuples already ({', '.join(other)})",
                where="NodeTuples",
                hint="lift first and encode tuples afterwards",
            )
        ptr, edges = graph_ptr(data), data.edge_index
        if self.kind == "all":
            self.check_budget(ptr.diff())
            counts = self._counts(ptr.diff()).long()
        else:
            found = self._adjacent(edges, ptr) if self.kind == "adjacent" else self._near(edges, ptr)
            sets = torch.bincount(expand_ptr(ptr)[found[0]], minlength=ptr.numel() - 1)
            counts = sets * self._orders(ptr.diff()).long()
        sample = counts if self.rate == 1 else taken(counts, self.rate)
        graph = torch.repeat_interleave(sample)
        if self.rate == 1:
            rank = ragged_arange(counts, graph.numel())
        else:
            rank = strata(counts, sample, group_noise(sample, edges, ptr, self.seed))
        nodes = ptr.diff()[graph]
        orders = self._orders(nodes).long()
        number = torch.div(rank, orders, rounding_mode="floor")
        if self.kind == "all":
            tuples = subsets(number, nodes, self.size) + ptr[graph]
        else:
            tuples = found[:, (sets.cumsum(0) - sets)[graph] + number]
        data.tuple_index = in_orders(tuples, rank % orders, nodes) if self._permuted else tuples
        data.pop(_WEIGHT, None)
        if self.rate < 1:
            data[_WEIGHT] = (counts.double() / sample)[graph].float()
        return data

    @property
    def _permuted(self) -> bool:
        """Whether orders of a set are made from it; pairs of neighbours are found in both."""
        return self.ordered and self.kind != "adjacent"

    def _orders(self, nodes: Tensor) -> Tensor:
        """[G] float64, orders of a set."""
        if not self._permuted:
            return torch.ones_like(nodes, dtype=torch.double)
        table = torch.tensor([factorial(k) for k in range(self.size + 1)], dtype=torch.double, device=nodes.device)
        return table[nodes.clamp(max=self.size)]

    def _counts(self, nodes: Tensor) -> Tensor:
        """[G] float64, tuples of graphs of so many nodes, all of them."""
        sets = torch.where(nodes < self.size, (nodes > 0).double(), binomials(nodes, self.size))
        return sets * self._orders(nodes)

    def _adjacent(self, edge_index: Tensor, ptr: Tensor) -> Tensor:
        """[2, S] neighbours, and nodes without any twice; sorted."""
        self._check(2 * edge_index.size(1) + int(ptr[-1]), "sample")
        pairs = undirected_edges(edge_index, ptr, symmetrise=True)
        lonely = torch.ones(int(ptr[-1]), dtype=torch.bool, device=ptr.device)
        lonely[pairs.flatten()] = False
        own = lonely.nonzero().flatten().expand(2, -1)
        pairs = torch.cat([pairs, pairs.flip(0), own] if self.ordered else [pairs, own], 1)
        return pairs[:, (pairs[0] * lonely.numel() + pairs[1]).argsort()]

    def _near(self, edge_index: Tensor, ptr: Tensor) -> Tensor:
        """[l, S] sets of nodes that are near each other, graph after graph."""
        graph, sizes = expand_ptr(ptr), ptr.diff()
        tuples = torch.arange(graph.numel(), device=ptr.device)[None]
        tuples = tuples[:, sizes[graph] >= self.size]
        if self.size > 1:
            edges = undirected_edges(edge_index, ptr, symmetrise=True)
            room = int(self.max_gigabytes * 2**30 / _PAIR_BYTES)
            near = k_hop_pairs(torch.cat([edges, edges.flip(0)], 1), ptr, self.max_distance, max_pairs=room).pairs
            keys = (near[0] * graph.numel() + near[1])[near[0] < near[1]].sort().values
            first = torch.arange(graph.numel() + 1, device=ptr.device) * graph.numel()
            pointers = torch.searchsorted(keys, first)
            for _ in range(self.size - 1):
                self._check(float(pointers.diff()[tuples[-1]].sum()), "take a smaller max_distance")
                tuples = cliques(tuples, pointers, keys % max(graph.numel(), 1), keys)
        small = ((sizes > 0) & (sizes < self.size)).nonzero().flatten()
        slots = torch.arange(self.size, device=ptr.device)[:, None]
        tuples = torch.cat([tuples, ptr[small] + torch.minimum(slots, sizes[small] - 1)], 1)
        return tuples[:, graph[tuples[0]].argsort(stable=True)]

    def _check(self, count: float, hint: str) -> None:
        gigabytes = 8 * (2 * self.size + 4) * count / 2**30
        if gigabytes > self.max_gigabytes:
            raise BudgetError(
                f"{count:,.0f} tuples of {self.size} nodes take {gigabytes:.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where="NodeTuples",
                hint=f"{hint}, lift batch by batch (data.batch_transforms), or raise max_gigabytes",
            )


_WEIGHT = "tuple_weight"
_PAIR_BYTES = 24
