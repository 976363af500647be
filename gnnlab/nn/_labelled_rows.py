"""Rows of copies of the graph in which the nodes of a tuple bear labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from math import factorial

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, GraphError
from gnnlab.graph import k_hop_pairs
from gnnlab.graph._strata import group_noise, strata, taken
from gnnlab.nn._tuple_store import Tuples
from gnnlab.ops import CSR, expand_ptr, gather, ragged_arange

__all__ = ["LabelledRows", "RowBudget", "graph_rows", "label_rows", "node_tuples", "sampled", "tuple_rows"]


@dataclass(frozen=True)
class RowBudget:
    """Refuses rows that would take too much memory.

    Args:
        where: Who asks.
        bytes_per_row: Bytes of all states of a row.
        max_gigabytes: Most memory.
    """

    where: str
    bytes_per_row: int
    max_gigabytes: float

    def __call__(self, count: int, hint: str) -> None:
        gigabytes = count * self.bytes_per_row / 2**30
        if gigabytes > self.max_gigabytes:
            raise BudgetError(
                f"{count:,} rows of tuples and nodes take about {gigabytes:.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where=self.where,
                hint=f"{hint}, sample tuples (rate), take smaller batches or fewer channels, or raise max_gigabytes",
            )


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """A copy of the graph for every order of the labels of every tuple.

    Args:
        subsets: Rows (tuple, node).
        copies: Rows (tuple, order, node); the root of order i of tuple s is s l! + i.
        label: [P] long, label of the node in every row of ``copies``, 0 for none.
        place: [Q, l!] long, the rows of ``copies`` that every row of ``subsets`` stands for.
    """

    subsets: Tuples
    copies: Tuples
    label: Tensor
    place: Tensor

    def over_orders(self, h: Tensor) -> Tensor:
        """[Q, d], mean of the states [P, d] over the orders of the labels."""
        if self.place.size(1) == 1:
            return h
        return gather(h, self.place.flatten()).view(*self.place.shape, h.size(1)).mean(1)


def node_tuples(batch: Data, size: int, where: str, hint: str) -> Tensor:
    """[size, S] long, the tuples that a batch brings.

    Raises:
        GraphError: there are none, or of other sizes.
    """
    tuples = batch.get("tuple_index")
    if tuples is None or tuples.size(0) != size:
        found = "does not have" if tuples is None else f"has for tuples of {tuples.size(0)} nodes"
        raise GraphError(
            f"{where} reads 'tuple_index' of {size} nodes each, which the batch {found}",
            hint=f"add {hint} to data.transforms",
        )
    return tuples


def sampled(
    tuples: Tensor, weight: Tensor | None, adj: CSR, ptr: Tensor, rate: float, training: bool
) -> tuple[Tensor, Tensor]:
    """A share of the tuples of every graph, and how many each stands for: drawn in training, else by a hash.

    Returns:
        [l, S'] long and [S'] float64.
    """
    graph = expand_ptr(ptr, adj.num_nodes)[tuples[0]]
    counts = torch.bincount(graph, minlength=ptr.numel() - 1)
    sample = taken(counts, rate)
    noise = group_noise(sample, adj.edge_index.long(), ptr, seed=0)
    rank = strata(counts, sample, torch.rand_like(noise) if training else noise)
    owner = torch.repeat_interleave(sample, output_size=rank.numel())
    chosen = graph.argsort(stable=True)[(counts.cumsum(0) - counts)[owner] + rank]
    factor = (counts.double() / sample)[owner]
    return tuples[:, chosen], factor if weight is None else factor * weight[chosen]


def graph_rows(ptr: Tensor, num_nodes: int) -> Tuples:
    """One root for every graph, with all of its nodes: the graph itself."""
    node = torch.arange(num_nodes, device=ptr.device)
    return Tuples.of(expand_ptr(ptr, num_nodes), node, ptr.numel() - 1, ptr)


def tuple_rows(tuples: Tensor, centres: Tensor, adj: CSR, ptr: Tensor, hops: int | None, check: RowBudget) -> Tuples:
    """Rows (tuple, node): all nodes of the graph, or those ``hops`` around a centre, and the tuple itself.

    Args:
        tuples: [l, S] long.
        centres: [c, S] long, nodes of the tuples.
        adj: The graph.
        ptr: [G + 1] long.
        hops: Edges followed from a centre.
        check: What the rows may take.
    """
    num_nodes, count = adj.num_nodes, tuples.size(1)
    if hops is None:
        graph = expand_ptr(ptr, num_nodes)[tuples[0]]
        sizes = ptr.diff()[graph]
        total = int(sizes.sum())
        check(total, "give hops")
        root = torch.repeat_interleave(sizes, output_size=total)
        return Tuples.of(root, ptr[graph][root] + ragged_arange(sizes, total), count, ptr)
    near = k_hop_pairs(adj.edge_index.long(), ptr, hops).pairs
    first = torch.searchsorted(near[0].contiguous(), torch.arange(num_nodes + 1, device=near.device))
    sizes = first.diff()[centres.flatten()]
    total = int(sizes.sum())
    check(total + tuples.numel(), "give fewer hops")
    slot = torch.repeat_interleave(sizes, output_size=total)
    node = near[1][first[centres.flatten()][slot] + ragged_arange(sizes, total)]
    own = torch.arange(count, device=tuples.device).repeat(tuples.size(0))
    key = torch.cat([slot % max(count, 1) * num_nodes + node, own * num_nodes + tuples.flatten()]).unique()
    return Tuples.of(key // max(num_nodes, 1), key % max(num_nodes, 1), count, ptr)


def label_rows(subsets: Tuples, tuples: Tensor) -> LabelledRows:
    """All orders of the labels 1 to l; a node that stands in a tuple again is not labelled twice.

    Args:
        subsets: Rows (tuple, node), the nodes of the tuple among them.
        tuples: [l, S] long; l = 0 labels nothing.
    """
    size, count = tuples.shape
    orders = _orders(size).to(tuples.device)
    copies, place = _repeated(subsets, orders.size(0))
    label = torch.zeros_like(copies.root)
    if size:
        row = subsets.place(torch.arange(count, device=tuples.device).expand_as(tuples).flatten(), tuples.flatten())
        slot = torch.arange(size, device=tuples.device).repeat_interleave(count)
        fresh = ~_again(tuples).flatten()
        label[place[row[fresh]].flatten()] = (orders.t() + 1)[slot[fresh]].flatten()
    return LabelledRows(subsets, copies, label, place)


def _again(tuples: Tensor) -> Tensor:
    """[l, S] bool, whether a node stands in its tuple before."""
    same = tuples[:, None] == tuples[None]
    earlier = torch.ones(same.shape[:2], dtype=torch.bool, device=same.device).tril(-1)
    return (same & earlier[:, :, None]).any(1)


def _repeated(rows: Tuples, times: int) -> tuple[Tuples, Tensor]:
    """Every root ``times`` over, one after the other, and the rows [Q, times] that every row becomes."""
    each = torch.arange(times, device=rows.root.device)
    if times == 1:
        return rows, torch.arange(rows.num_rows, device=rows.root.device)[:, None]
    sizes = rows.root_ptr.diff()
    start = rows.root_ptr[:-1] * times
    within = torch.arange(rows.num_rows, device=rows.root.device) - rows.root_ptr[rows.root]
    place = (start[rows.root] + within)[:, None] + sizes[rows.root][:, None] * each
    root, node = (torch.empty(place.numel(), dtype=torch.long, device=place.device) for _ in range(2))
    root[place], node[place] = rows.root[:, None] * times + each, rows.node[:, None].expand_as(place)
    return Tuples.of(root, node, rows.num_roots * times, rows.ptr), place


@lru_cache
def _orders(size: int) -> Tensor:
    """[size!, size] long, label (from 0) of every place of a tuple."""
    return torch.tensor(list(permutations(range(size))), dtype=torch.long).view(factorial(size), size)
