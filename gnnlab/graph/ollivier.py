"""Ollivier-Ricci curvature of edges: how far apart the neighbourhoods of the two ends are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import _transport
from gnnlab.graph._engine import engine
from gnnlab.graph._neighbours import Neighbours, over_edges, slices
from gnnlab.graph.undirected import undirected_edges

__all__ = ["ollivier_ricci_curvature"]

_CELLS, _SLICE = 1 << 20, 1 << 23  # cells of a stack of problems, and of the problems of a range of edges
_LARGEST = 1 << 31  # cells of all problems together: hours
_LONGEST = 1 << 28  # paths of two steps from the nodes around a range of edges: 2 GiB

Solver = Callable[[Tensor, Tensor, Tensor], Tensor]


class Transports(NamedTuple):
    """The optimal transport at every undirected edge: its cost, and the pair of nodes that contributes most to it.

    Args:
        distance: [M] float64, Wasserstein-1 distance of the two measures.
        pair: [2, M] long, the pair with the largest cost x mass of the plan found (the ends of the edge where
            nothing has to move).
    """

    distance: Tensor
    pair: Tensor


@torch.no_grad()
def ollivier_ricci_curvature(edge_index: Tensor, ptr: Tensor, alpha: float = 0.0, symmetrise: bool = False) -> Tensor:
    r"""Ollivier-Ricci curvature (Ollivier, "Ricci curvature of Markov chains on metric spaces", Journal of Functional
    Analysis 2009).

    .. math:: \kappa_\alpha(i, j) = 1 - W_1(\mu_i, \mu_j)

    for edges, where :math:`\mu_i` puts :math:`\alpha` on i and :math:`(1 - \alpha) / d_i` on every neighbour.
    :math:`W_1` is the exact cost of the best transport along shortest paths. What both measures share stays; the
    rest is a problem of integer masses at costs 1, 2 and 3, and edges of similar degrees are solved in one stack.

    The graph is taken as simple: duplicates count once and get the value of their pair, a self-loop counts for
    nothing and gets 0.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        alpha: Mass that stays, at least 0 and below 1; taken as the nearest fraction with a denominator of at most
            a million.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        returns [E] float64

    Raises:
        GraphError: an edge without its reverse, or tensors that do not describe a union.
        ConfigError: ``alpha`` outside [0, 1).
        BudgetError: neighbourhoods so large that the problems have more than 2^31 cells.

    Example:
        >>> triangle = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
        >>> ollivier_ricci_curvature(triangle, torch.tensor([0, 3]))[0].item()
        0.5
    """
    if not 0 <= alpha < 1:
        raise ConfigError(f"alpha must be at least 0 and below 1, got {alpha}", where="ollivier_ricci_curvature")
    pairs, num_nodes = undirected_edges(edge_index, ptr, symmetrise), int(ptr[-1])
    found = neighbourhood_transports(Neighbours.of(pairs, num_nodes), pairs, alpha)
    return over_edges(1 - found.distance, pairs, edge_index, num_nodes)


def neighbourhood_transports(
    graph: Neighbours, pairs: Tensor, alpha: float, transport: Solver | None = None
) -> Transports:
    """Transport between the measures of the ends of every edge ``pairs`` [2, M] of a simple graph."""
    transport = transport or engine(pairs.device, _transport.transport, "gnnlab.graph._transport_numba:transport")
    degree = graph.degree
    d_u, d_v = degree[pairs]
    cells = int((d_u * d_v).sum())
    if cells > _LARGEST:
        raise BudgetError(
            f"the optimal transports of {pairs.size(1):,} edges have {cells:,} cells",
            hint=f"up to {_LARGEST:,} are solved; balanced_forman_curvature grows with the paths of two steps only",
        )
    share = Fraction(alpha).limit_denominator(10**6)
    distance = torch.zeros(pairs.size(1), dtype=torch.float64, device=pairs.device)
    pair = pairs.clone()
    ends = torch.where(d_u <= d_v, pairs, pairs.flip(0))  # few nodes around the first one, whose distances are wanted
    for part in slices(d_u * d_v, _SLICE):
        source, target = (_excess(graph, ends[:, part], share, end) for end in (0, 1))
        near = _two_steps(graph, source.node.unique())
        for edges in _stacks(source.count, target.count):
            rows, supply = source.padded(edges)
            columns, demand = target.padded(edges)
            cost = _distances(graph, near, rows, columns)
            work = cost * transport(cost, supply, demand)
            most = work.flatten(1).argmax(1)
            row, column = most // columns.size(1), most % columns.size(1)
            place = torch.arange(edges.numel(), device=edges.device)
            where = edges + part.start
            distance[where] = work.sum((1, 2)) / (share.denominator * d_u * d_v)[where]
            pair[:, where] = torch.stack([rows[place, row], columns[place, column]])
    return Transports(distance, pair)


class _Masses(NamedTuple):
    """Masses at nodes, edge after edge: ``count`` [M] of them at every edge, ``start`` [M] the first."""

    count: Tensor
    start: Tensor
    node: Tensor
    mass: Tensor

    def padded(self, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes and masses [B, width] of some edges; the padding repeats a node with mass 0."""
        counts = self.count[edges, None]
        place = torch.arange(int(counts.max()), device=edges.device)
        slot = self.start[edges, None] + torch.minimum(place, counts - 1)
        return self.node[slot], torch.where(place < counts, self.mass[slot], 0)


def _excess(graph: Neighbours, pairs: Tensor, share: Fraction, end: int) -> _Masses:
    """What the measure of one end of every edge has in excess of that of the other end, times the common denominator
    of both."""
    here, there = pairs[end], pairs[1 - end]
    edges = torch.arange(here.numel(), device=here.device)
    edge, node = graph.expand(here)
    edge, node = torch.cat([edge, edges]), torch.cat([node, here])
    order = edge.argsort(stable=True)
    edge, node = edge[order], node[order]
    mine, others = (
        _mass(graph, node, centre[edge], other[edge], share) for centre, other in ((here, there), (there, here))
    )
    keep = mine > others
    edge, node, mass = edge[keep], node[keep], (mine - others)[keep]
    count = torch.bincount(edge, minlength=here.numel())
    return _Masses(count, count.cumsum(0) - count, node, mass.double())


def _mass(graph: Neighbours, node: Tensor, centre: Tensor, other: Tensor, share: Fraction) -> Tensor:
    """Mass at ``node`` of the measure of ``centre``, times denominator x both degrees."""
    degree = graph.degree
    around = (share.denominator - share.numerator) * degree[other] * graph.joined(centre, node)
    return torch.where(node == centre, share.numerator * degree[centre] * degree[other], around)


def _two_steps(graph: Neighbours, nodes: Tensor) -> Tensor:
    """Increasing keys row x N + column of the pairs of one of ``nodes`` and one with a common neighbour."""
    first, middle = graph.expand(nodes)
    paths = int(graph.degree[middle].sum())
    if paths > _LONGEST:
        raise BudgetError(
            f"{paths:,} paths of two steps start around an edge, {8 * paths / 2**30:.1f} GiB",
            hint=f"up to {_LONGEST:,} are held; balanced_forman_curvature needs a few at a time",
        )
    step, end = graph.expand(middle)
    return (nodes[first[step]] * (graph.ptr.numel() - 1) + end).unique()


def _distances(graph: Neighbours, near: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[B, r, c] float64, distances of nodes around the two ends of an edge; they are at most 3."""
    u, v = torch.broadcast_tensors(rows[:, :, None], columns[:, None, :])
    key = u * (graph.ptr.numel() - 1) + v
    if near.numel() == 0:
        far = torch.ones_like(key, dtype=torch.bool)
    else:
        far = near[torch.searchsorted(near, key).clamp(max=near.numel() - 1)] != key
    return torch.where(graph.joined(u, v), 1, torch.where(far, 3, 2)).double()


def _stacks(rows: Tensor, columns: Tensor) -> Iterator[Tensor]:
    """Edges with something to move, in groups of problems of similar shape."""
    active = ((rows > 0) & (columns > 0)).nonzero().flatten()
    if active.numel() == 0:
        return
    high, wide = (_rounded(sizes[active]) for sizes in (rows, columns))
    shape = high * (int(wide.max()) + 1) + wide
    order = shape.argsort(stable=True)
    _, counts = torch.unique_consecutive(shape[order], return_counts=True)
    cells = (high * wide)[order]
    stop = 0
    for count in counts.tolist():
        start, stop = stop, stop + count
        for part in slices(cells[start:stop], _CELLS):
            yield active[order[start:stop][part]]


def _rounded(sizes: Tensor) -> Tensor:
    """Sizes up to 8 as they are, larger ones up to the next of a few per doubling."""
    step = torch.ones_like(sizes) << (sizes.double().log2().floor().long() - 2).clamp(min=0)
    return (sizes + step - 1) // step * step
