"""Homomorphisms of patterns of tree-width two, by summing over one vertex after the other."""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._neighbours import Neighbours
from gnnlab.graph._pattern import Pattern
from gnnlab.graph._sparse_matrix import SparseMatrix

__all__ = ["Homomorphisms", "at_edges", "elimination_order"]


@lru_cache(maxsize=4096)
def elimination_order(pattern: Pattern, roots: tuple[int, ...]) -> tuple[int, ...] | None:
    """Vertices in an order in which none has more than two neighbours left when it is summed over.

    Roots remain. Leaves go first, then vertices between two that are adjacent already, then those whose
    product reaches least far: these cost least. ``None`` if there is no such order: together with the
    roots (taken as adjacent), the tree-width is larger than two.
    """
    reach = {frozenset(edge): 1 for edge in pattern.edges}  # steps of a walk along a factor
    order: list[int] = []

    def around(vertex: int) -> list[int]:
        return sorted(u for edge in reach if vertex in edge for u in edge - {vertex})

    def cost(vertex: int) -> tuple[int, bool, int, int]:
        ends = around(vertex)
        steps = sum(reach[frozenset((vertex, u))] for u in ends)
        return len(ends), len(ends) == 2 and frozenset(ends) not in reach, steps, vertex

    while rest := [v for v in range(pattern.size) if v not in roots and v not in order]:
        length, new, steps, vertex = min(map(cost, rest))
        if length > 2:
            return None
        ends = around(vertex)
        for u in ends:
            del reach[frozenset((vertex, u))]
        if new:
            reach[frozenset(ends)] = steps
        order.append(vertex)
    return tuple(order)


class Homomorphisms:
    """Counts of homomorphisms into one union of graphs, and the scalar products spent on them.

    Args:
        graph: The simple undirected graph.
        limit: Most scalar products to compute.
        option: Name of the limit, for errors.
        where: Named in errors.
    """

    def __init__(self, graph: Neighbours, limit: int, option: str, where: str) -> None:
        ones = graph.key.new_ones(graph.key.numel(), dtype=torch.float64)
        self.adjacency = SparseMatrix(graph.ptr, graph.key, ones)
        self.limit, self.option, self.where, self.spent = limit, option, where, 0

    @cached_property
    def _square(self) -> SparseMatrix:
        return self.adjacency.times(self.adjacency, self.spend)

    def spend(self, products: int) -> None:
        """Note products that are about to be computed.

        Raises:
            BudgetError: they are too many.
        """
        self.spent += products
        if self.spent > self.limit:
            raise BudgetError(
                f"at least {self.spent:,} scalar products, more than {self.option}={self.limit:,}",
                where=self.where,
                hint=f"raise {self.option} (1e6 to 1e7 a second, up to 24 bytes each), or take smaller graphs",
            )

    def count(self, pattern: Pattern, roots: tuple[int, ...]) -> Tensor:
        """Number of homomorphisms with the roots (one vertex, or two that are adjacent) at given nodes.

        The pattern must have an elimination order.

        Shapes:
            returns [N] float64 for one root; for two, one per entry of the adjacency matrix.
        """
        at_node: dict[int, Tensor] = {}
        between: dict[tuple[int, int], SparseMatrix] = dict.fromkeys(pattern.edges, self.adjacency)

        def rows_of(a: int, b: int) -> SparseMatrix:
            """The factor of a and b with a as its rows, taken away."""
            found = between.pop((min(a, b), max(a, b)))
            return found if a < b or found is self.adjacency else found.transpose()

        for vertex in elimination_order(pattern, roots):
            ends = sorted({a + b - vertex for a, b in between if vertex in (a, b)})
            weight = at_node.pop(vertex, None)
            left = rows_of(ends[0], vertex)
            if weight is not None:
                left = left._replace(value=left.value * weight[left.column])
            if len(ends) == 1:
                total = left.row_sums()
                at_node[ends[0]] = total * at_node[ends[0]] if ends[0] in at_node else total
            elif tuple(ends) in between:
                right = rows_of(ends[1], vertex)
                between[tuple(ends)] = between[tuple(ends)].at_product(left, right, self.spend)
            else:
                right = rows_of(vertex, ends[1])
                plain = left is self.adjacency and right is self.adjacency
                between[tuple(ends)] = self._square if plain else left.times(right, self.spend)
        ones = self.adjacency.value.new_ones(self.adjacency.size)
        weights = [at_node.get(root, ones) for root in roots]
        if len(roots) == 1:
            return weights[0]
        final = rows_of(*roots)
        # Summing over vertices multiplies the entries of this factor and never removes one.
        return final.value * weights[0][final.row] * weights[1][final.column]


def at_edges(counts: Tensor, adjacency: SparseMatrix, edge_index: Tensor) -> Tensor:
    """Rows of ``counts`` (one per entry of the adjacency matrix) for the edges of the caller; 0 for self-loops."""
    padded = torch.cat([counts, counts.new_zeros(1, counts.size(1))])
    place = torch.searchsorted(adjacency.key, edge_index[0] * adjacency.size + edge_index[1])
    return padded[torch.where(edge_index[0] == edge_index[1], counts.size(0), place)]
