"""Over-smoothing of node states: Dirichlet energy, mean average distance, rank, and the share in the limit."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.graph import connected_components, undirected_edges
from gnnlab.graph._check import check_union
from gnnlab.graph.buckets import size_buckets
from gnnlab.ops import CSR, aggregate, expand_ptr, ragged_arange

__all__ = [
    "AverageDistance",
    "Ranks",
    "dirichlet_energy",
    "limit_alignment",
    "mean_average_distance",
    "rayleigh_quotient",
    "state_ranks",
]

_CELLS = 1 << 22  # numbers at a time
_SAME = 1e-20  # cosine distances below it are rounding of 0

_SCALES = {
    None: torch.ones_like,
    "gcn": lambda degree: (1 + degree).sqrt(),
    "sym": lambda degree: degree.clamp(min=1).sqrt(),
}
"""What the states of a component are proportional to once they are smooth, by normalisation."""


class AverageDistance(NamedTuple):
    """[G] float64 each, but ``exact`` [G] bool: MAD over all pairs, pairs near and far, the gap, and a mean distance.

    ``exact`` says whether all rows were taken; otherwise the values are means over a sample of rows.
    """

    all: Tensor
    near: Tensor
    far: Tensor
    gap: Tensor
    distance: Tensor
    exact: Tensor


class Ranks(NamedTuple):
    """``effective`` and ``stable`` [G] float64, ``numerical`` [G] long; all 0 where the states are 0."""

    effective: Tensor
    stable: Tensor
    numerical: Tensor


@torch.no_grad()
def dirichlet_energy(x: Tensor, edge_index: Tensor, ptr: Tensor, normalization: str | None = "gcn") -> Tensor:
    r"""How much the states of neighbours differ (Cai and Wang, "A note on over-smoothing for graph neural networks",
    2020, arXiv 2006.13318).

    .. math:: E(X) = \sum_{\{i, j\} \in E} \lVert x_i / s_i - x_j / s_j \rVert^2

    with :math:`s_i = \sqrt{1 + d_i}` (``"gcn"``), :math:`\sqrt{d_i}` (``"sym"``) or 1 (``None``). Zero exactly if
    x is proportional to s on every component. The graph is taken as simple and undirected. A GCN step without weights
    multiplies the first by at most :math:`\max_{\lambda \ne 0} (1 - \lambda)^2` over the eigenvalues of its
    Laplacian.

    Args:
        x: [N, d] or [N], states.
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        normalization: ``"gcn"``, ``"sym"`` or ``None``.

    Shapes:
        returns [G] float64

    Raises:
        ConfigError: unknown normalisation.
        GraphError: states of other nodes, or tensors that do not describe a union.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> x, ptr = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0, 3])
        >>> [round(dirichlet_energy(x, path, ptr, kind).item(), 6) for kind in ("gcn", None)]
        [0.666667, 2.0]
    """
    x, batch, pairs, scale = _inputs(x, edge_index, ptr, normalization)
    scaled = x / scale[:, None]
    energy = (scaled[pairs[0]] - scaled[pairs[1]]).square().sum(1)
    return _per_graph(energy, batch[pairs[0]], ptr)


@torch.no_grad()
def rayleigh_quotient(x: Tensor, edge_index: Tensor, ptr: Tensor, normalization: str | None = "gcn") -> Tensor:
    r""":math:`E(X) / \lVert X \rVert^2`: the energy without the scale of the states, whose decay looks like smoothing.

    Arguments, shapes and errors as :func:`dirichlet_energy`; 0 where the states are 0.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> rayleigh_quotient(torch.tensor([0.0, 5.0, 0.0]), path, torch.tensor([0, 3]), None).item()
        2.0
    """
    # Scaled by a power of the largest entry first, as squares of tiny states would vanish.
    x, batch = _states(x, edge_index, ptr)
    x = _unit_scale(x, batch, ptr)
    energy = dirichlet_energy(x, edge_index, ptr, normalization)
    return _ratio(energy, _per_graph(x.square().sum(1), batch, ptr))


@torch.no_grad()
def limit_alignment(x: Tensor, edge_index: Tensor, ptr: Tensor, normalization: str | None = "gcn") -> Tensor:
    r"""Cosine between the states and their projection onto what repeated smoothing leaves.

    .. math:: \lVert P X \rVert / \lVert X \rVert

    where P projects onto the vectors proportional to s (see :func:`dirichlet_energy`) on every component. 1 if the
    states are smooth, also if they are 0. Arguments, shapes and errors as :func:`dirichlet_energy`.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> limit_alignment(torch.tensor([1.0, 1.0, 1.0]), path, torch.tensor([0, 3]), None).item()
        1.0
    """
    x, batch, pairs, scale = _inputs(x, edge_index, ptr, normalization)
    x = _unit_scale(x, batch, ptr)
    component = connected_components(torch.cat([pairs, pairs.flip(0)], 1), batch.numel())
    count = int(component.max()) + 1 if component.numel() else 0
    along = x.new_zeros(count, x.size(1)).index_add_(0, component, x * scale[:, None])
    length = x.new_zeros(count).index_add_(0, component, scale.square())
    kept = (along.square().sum(1) / length)[component] * scale.square() / length[component]
    total = _per_graph(x.square().sum(1), batch, ptr)
    return torch.where(total > 0, _ratio(_per_graph(kept, batch, ptr), total), 1.0).clamp(max=1).sqrt()


@torch.no_grad()
def mean_average_distance(
    x: Tensor,
    edge_index: Tensor,
    ptr: Tensor,
    near: int = 3,
    far: int = 8,
    *,
    max_pairs: int = 10**6,
    seed: int = 0,
) -> AverageDistance:
    r"""MAD and MADGap (Chen et al., "Measuring and relieving the over-smoothing problem for graph neural networks
    from the topological view", AAAI 2020, arXiv 1909.03211), and the mean distance of pairs.

    The cosine distance :math:`1 - \cos(x_i, x_j)`, averaged over the chosen j where it is not 0, then over the rows i
    that have such a j; 0 if there is none. A state that is 0 has distance 0 to all. Chosen are all nodes of the graph,
    those at most ``near`` hops away, or at least ``far`` hops away in the same component; MADGap is far less
    near. ``distance`` is the mean of :math:`\lVert x_i - x_j \rVert` over :math:`i \ne j`.

    Cost: n^2 (d + far) per graph in time, some 100 MB at a time. A graph of more than ``max_pairs`` ordered pairs is
    represented by ``max_pairs / n`` of its rows, at least 8 (drawn with replacement by the seed): not ``exact``.

    Args:
        x: [N, d] or [N], states.
        edge_index: [2, E] long, node ids of the union; taken as undirected.
        ptr: [G + 1] long, first node of every graph.
        near: Hops, at least 1.
        far: Hops, more than ``near``.
        max_pairs: Ordered pairs of a graph up to which all are looked at.
        seed: Of the sampled rows.

    Shapes:
        returns :class:`AverageDistance` of [G]

    Raises:
        ConfigError: not 1 <= near < far, or no pairs allowed.
        GraphError: states of other nodes, or tensors that do not describe a union.

    Example:
        >>> ring = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> mean_average_distance(torch.eye(4), ring, torch.tensor([0, 4])).all.item()
        1.0
    """
    if not 1 <= near < far or max_pairs < 1:
        raise ConfigError(
            f"needs 1 <= near < far and max_pairs >= 1, got {near}, {far}, {max_pairs}", where="mean_average_distance"
        )
    x, batch, pairs, _ = _inputs(x, edge_index, ptr, None)
    edges = torch.cat([pairs, pairs.flip(0)], 1)
    component = connected_components(edges, batch.numel())
    adjacency, sizes = CSR.from_edge_index(edges, batch.numel()), ptr.diff()
    exact = sizes.double().square() <= max_pairs
    rows = torch.where(exact, sizes, (max_pairs // sizes.clamp(min=1)).clamp(min=8))
    unit = _unit_scale(x, batch, ptr)
    length = unit.norm(dim=1, keepdim=True)
    unit = torch.where(length > 0, unit / length, 0.0)
    draws = torch.rand(int(rows.max()) if rows.numel() else 0, generator=torch.Generator().manual_seed(seed))
    step = max(_CELLS // max(x.numel(), batch.numel(), 1), 1)
    sums, counts = x.new_zeros(ptr.numel() - 1, 4), x.new_zeros(ptr.numel() - 1, 4)
    for first in range(0, draws.numel(), step):
        column = torch.arange(first, min(first + step, draws.numel()), device=x.device)
        drawn = (draws.to(x.device)[column] * sizes[:, None]).long()
        place = torch.where(exact[:, None], column, drawn)
        valid = (column < rows[:, None]) & (place < sizes[:, None])
        source = (ptr[:-1, None] + place.clamp(max=sizes[:, None] - 1).clamp(min=0)).clamp(max=batch.numel() - 1)
        hops = _hops(adjacency, source, valid, batch, far - 1)
        source, taken = source[batch], valid[batch]
        cosine = (unit[:, None] - unit[source]).square().sum(2) / 2
        real = (length[:, 0, None] > 0) & (length[source, 0] > 0)
        cosine = torch.where(real & taken & (cosine > _SAME), cosine, 0.0)
        beyond = (hops < 0) & (component[:, None] == component[source])
        for slot, chosen in enumerate((None, (hops >= 0) & (hops <= near), beyond)):
            values = cosine if chosen is None else torch.where(chosen, cosine, 0.0)
            found = _per_graph((values > 0).double(), batch, ptr)
            sums[:, slot] += _ratio(_per_graph(values, batch, ptr), found).sum(1)
            counts[:, slot] += (found > 0).sum(1)
        apart = (x[:, None] - x[source]).norm(dim=2)
        sums[:, 3] += _per_graph(torch.where(taken, apart, 0.0), batch, ptr).sum(1)
        counts[:, 3] += valid.sum(1) * (sizes - 1).clamp(min=0)
    every, close, remote, distance = _ratio(sums, counts).unbind(1)
    return AverageDistance(every, close, remote, remote - close, distance, exact)


@torch.no_grad()
def state_ranks(x: Tensor, ptr: Tensor, tolerance: float = 1e-6) -> Ranks:
    r"""Ranks of the states [n, d] of every graph, which fall to 1 as they collapse.

    From the singular values :math:`\sigma`: ``effective`` is :math:`\exp H(\sigma / \sum \sigma)` with the
    entropy H (Roy and Vetterli, EUSIPCO 2007), ``stable`` is :math:`\sum \sigma^2 / \sigma_1^2`, and ``numerical`` the
    number of them above ``tolerance`` times the largest. Graphs of similar size are decomposed in one stack.

    Args:
        x: [N, d] or [N], states.
        ptr: [G + 1] long, first node of every graph.
        tolerance: Relative to the largest singular value.

    Shapes:
        returns :class:`Ranks` of [G]

    Raises:
        GraphError: states of other nodes.

    Example:
        >>> ranks = state_ranks(torch.cat([torch.eye(3), torch.ones(2, 3)]), torch.tensor([0, 3, 5]))
        >>> ranks.effective.round(decimals=6).tolist(), ranks.numerical.tolist()
        ([3.0, 1.0], [3, 1])
    """
    no_edges = torch.empty(2, 0, dtype=torch.long, device=ptr.device)
    x, batch = _states(x, no_edges, ptr)
    x, sizes = _unit_scale(x, batch, ptr), ptr.diff()
    order = sizes.argsort(stable=True)
    sizes = sizes[order]
    place = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    rows = ptr[:-1][order].repeat_interleave(sizes) + ragged_arange(sizes, batch.numel())
    out = x.new_zeros(sizes.numel(), 3)
    for first, last in size_buckets(place, sizes, _CELLS // max(x.size(1), 1), growth=1.5):
        width = int(sizes[last - 1])
        if width == 0 or x.size(1) == 0:
            continue
        padded = x.new_zeros(last - first, width, x.size(1))
        mine = slice(int(place[first]), int(place[last]))
        block = expand_ptr(place[first : last + 1] - place[first])
        padded[block, ragged_arange(sizes[first:last], block.numel())] = x[rows[mine]]
        out[order[first:last]] = _ranks(torch.linalg.svdvals(padded), tolerance)
    return Ranks(out[:, 0], out[:, 1], out[:, 2].long())


def _ranks(values: Tensor, tolerance: float) -> Tensor:
    largest = values[:, :1]
    share = _ratio(values, values.sum(1, keepdim=True))
    effective = torch.where(largest[:, 0] > 0, torch.special.entr(share).sum(1).exp(), 0.0)
    stable = _ratio(values.square().sum(1), largest[:, 0].square())
    return torch.stack([effective, stable, ((values > tolerance * largest) & (values > 0)).sum(1).double()], 1)


def _hops(adjacency: CSR, source: Tensor, valid: Tensor, batch: Tensor, cutoff: int) -> Tensor:
    """[N, c] distance from the sources [G, c] of every graph, -1 beyond the cutoff or out of reach."""
    reached = torch.zeros(batch.numel(), source.size(1), device=batch.device)
    graph, column = valid.nonzero().t()
    reached[source[graph, column], column] = 1
    hops = torch.where(reached > 0, 0, -1)
    for distance in range(1, cutoff + 1):
        fresh = (aggregate(reached, adjacency) > 0) & (reached == 0)
        if not bool(fresh.any()):
            break
        hops[fresh] = distance
        reached[fresh] = 1
    return hops


def _states(x: Tensor, edge_index: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    """States [N, d] in float64 and the graph of every node."""
    batch = check_union(edge_index, ptr)
    if x.dim() not in (1, 2) or x.size(0) != batch.numel():
        raise GraphError(f"states must be [{batch.numel()}, d], a row per node, got {list(x.shape)}")
    return (x[:, None] if x.dim() == 1 else x).double(), batch


def _inputs(
    x: Tensor, edge_index: Tensor, ptr: Tensor, normalization: str | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States [N, d], the graph of every node, undirected edges [2, M], and the scale [N]."""
    if normalization not in _SCALES:
        raise ConfigError(
            f"unknown normalization {normalization!r}", hint=nearest(str(normalization), ["gcn", "sym", "None"])
        )
    x, batch = _states(x, edge_index, ptr)
    pairs = undirected_edges(edge_index, ptr, symmetrise=True)
    degree = torch.bincount(pairs.flatten(), minlength=batch.numel()).double()
    return x, batch, pairs, _SCALES[normalization](degree)


def _unit_scale(x: Tensor, batch: Tensor, ptr: Tensor) -> Tensor:
    """The states of every graph divided by the largest entry."""
    size = x.abs().amax(1) if x.size(1) else x.new_zeros(x.size(0))
    largest = x.new_zeros(ptr.numel() - 1).scatter_reduce_(0, batch, size, "amax")
    return x / torch.where(largest > 0, largest, 1.0)[batch, None]


def _per_graph(values: Tensor, graph: Tensor, ptr: Tensor) -> Tensor:
    return values.new_zeros(ptr.numel() - 1, *values.shape[1:]).index_add_(0, graph, values)


def _ratio(over: Tensor, under: Tensor) -> Tensor:
    """0 where the denominator is 0."""
    return torch.where(under > 0, over / torch.where(under > 0, under, 1.0), 0.0)
