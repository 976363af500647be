"""Measures of the graphs of one batch, each with its standard error and whether it is exact."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.graph import (
    balanced_forman_curvature,
    cheeger_bounds,
    connected_components,
    effective_resistance,
    ollivier_ricci_curvature,
    resistance_curvature,
    undirected_edges,
)
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.rewiring.report import graph_measures
from gnnlab.transform import graph_ptr

__all__ = ["KINDS", "Measured", "Settings", "measure"]

KINDS = ("exact", "estimate", "lower bound")

_BINS = torch.linspace(-2, 2, 33, dtype=torch.float64)
"""Both curvatures lie within."""

_POINTS = {"min": 0.0, "q10": 0.1, "q50": 0.5, "q90": 0.9}


@dataclass(frozen=True)
class Settings:
    """See :func:`gnnlab.analysis.topology_profile`."""

    exact_limit: int
    max_pairs: int
    epsilon: float
    seed: int
    ollivier: bool


@dataclass
class Measured:
    """By name: values, standard errors and kinds, [G] each; and the histogram of the curvature."""

    counts: Tensor
    bins: Tensor
    values: dict[str, Tensor] = field(default_factory=dict)
    errors: dict[str, Tensor] = field(default_factory=dict)
    kinds: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, value: Tensor, error: Tensor | None = None, kind: Tensor | None = None) -> None:
        value = value.double().cpu()
        self.values[name] = value
        self.errors[name] = torch.zeros_like(value) if error is None else error.double().cpu()
        self.kinds[name] = torch.zeros_like(value, dtype=torch.long) if kind is None else kind.long().cpu()


def measure(data: Data, settings: Settings) -> Measured:
    """All measures of the graphs of a batch."""
    ptr = graph_ptr(data)
    sizes, batch = ptr.diff(), expand_ptr(ptr)
    one_way = undirected_edges(data.edge_index, ptr, symmetrise=True)
    edges, owner = torch.cat([one_way, one_way.flip(0)], 1), batch[one_way[0]]
    of = graph_measures(data, settings.exact_limit)
    bins = _BINS.to(ptr.device)
    curvature = balanced_forman_curvature(one_way, ptr, symmetrise=True)
    slot = torch.bucketize(curvature, bins[1:-1], right=True) + owner * (bins.numel() - 1)
    counts = torch.bincount(slot, minlength=sizes.numel() * (bins.numel() - 1)).view(sizes.numel(), -1)
    out = Measured(counts.cpu(), bins.cpu())
    num_edges = torch.bincount(owner, minlength=sizes.numel())
    degree = torch.bincount(one_way.flatten(), minlength=batch.numel()).double()
    moments = _sums(torch.stack([degree, degree.square()], 1), batch, sizes.numel()) / sizes[:, None]
    large = sizes > settings.exact_limit
    out.add("nodes", sizes)
    out.add("edges", num_edges)
    out.add("components", of.components)
    out.add("degree_mean", moments[:, 0])
    out.add("degree_std", (moments[:, 1] - moments[:, 0].square()).clamp(min=0).sqrt())
    out.add("degree_max", degree.new_zeros(sizes.numel()).scatter_reduce_(0, batch, degree, "amax"))
    out.add("diameter", of.diameter, torch.where(large, torch.nan, 0.0), 2 * large)
    estimated = of.resistance_error > 0
    out.add("total_resistance", of.total_resistance, of.resistance_error, estimated)
    component = connected_components(edges, batch.numel())
    _of_pairs(out, settings, edges, ptr, degree, component, of.total_resistance, of.resistance_error)
    _of_edges(out, settings, edges, ptr, one_way, owner)
    out.add("spectral_gap", of.spectral_gap)
    bounds = cheeger_bounds(edges, ptr)
    out.add("cheeger_lower", bounds.lower)
    out.add("cheeger_upper", bounds.upper)
    exact = torch.zeros(sizes.numel(), dtype=torch.float64, device=ptr.device)
    _of_curvature(out, "curvature", curvature, owner, exact)
    if settings.ollivier:
        ricci = ollivier_ricci_curvature(one_way, ptr, symmetrise=True)
        _of_curvature(out, "ollivier", ricci, owner, exact)
    return out


def _of_pairs(
    out: Measured,
    settings: Settings,
    edges: Tensor,
    ptr: Tensor,
    degree: Tensor,
    component: Tensor,
    total: Tensor,
    total_error: Tensor,
) -> None:
    """Means and quantiles over the connected pairs of every graph."""
    sizes, batch, count = ptr.diff(), expand_ptr(ptr), ptr.numel() - 1
    members = torch.bincount(component).double()
    connected = _sums((members[component] - 1) / 2, batch, count)  # pairs
    out.add("resistance_mean", total / connected, total_error / connected, total_error > 0)
    number, graph, whole = _drawn(sizes * (sizes - 1) // 2, settings)
    # Pair number t (t - 1) / 2 + s joins s < t.
    t = ((1 + (1 + 8 * number.double()).sqrt()) / 2).long()
    t = torch.where(t * (t - 1) // 2 > number, t - 1, t)
    t = torch.where(t * (t + 1) // 2 <= number, t + 1, t)
    pairs = ptr[graph] + torch.stack([number - t * (t - 1) // 2, t])
    kept = component[pairs[0]] == component[pairs[1]]
    pairs, graph = pairs[:, kept], graph[kept]
    resistance, sketched = _resistance(edges, ptr, pairs, settings)
    volume = _sums(degree, component, members.numel())
    commute = resistance * volume[component[pairs[0]]]
    blur = settings.epsilon * sketched
    _quantiles(out, "commute", commute, graph, {"q10": 0.1, "q50": 0.5, "q90": 0.9, "q100": 1.0}, whole, blur)
    by_degree = resistance / (1 / degree[pairs]).sum(0)
    for name, values in (("commute_mean", commute), ("resistance_by_degree", by_degree)):
        mean, error = _mean(values, graph, count)
        error = torch.where(whole, 0.0, error)
        # A sketch errs for all pairs together, so its error does not average out.
        error = (error.square() + (blur * mean).square()).sqrt()
        out.add(name, mean, error, ~whole | sketched)


def _of_edges(out: Measured, settings: Settings, edges: Tensor, ptr: Tensor, one_way: Tensor, owner: Tensor) -> None:
    """Resistances of all edges, which take hardly longer than those of some, and the curvature they make."""
    resistance, sketched = _resistance(edges, ptr, one_way, settings)
    whole, blur = torch.ones_like(sketched), settings.epsilon * sketched
    points = {"q10": 0.1, "q50": 0.5, "q90": 0.9, "q100": 1.0}
    _quantiles(out, "edge_resistance", resistance, owner, points, whole, blur)
    curvature = resistance_curvature(edges, ptr, resistance=resistance.repeat(2)).edge[: one_way.size(1)]
    # What the errors of the resistances at both ends do to an edge, if they are independent.
    squares = torch.bincount(one_way.flatten(), resistance.square().repeat(2), minlength=int(ptr[-1]))
    noise = squares[one_way].sum(0) / resistance.square() + curvature.square()
    noise = blur * _mean(noise, owner, sketched.numel())[0].nan_to_num(0.0).sqrt()
    _of_curvature(out, "resistance_curvature", curvature, owner, noise)


def _of_curvature(out: Measured, name: str, values: Tensor, graph: Tensor, noise: Tensor) -> None:
    """Mean and quantiles over the edges of every graph, given the error [G] of an edge."""
    out.add(f"{name}_mean", _mean(values, graph, noise.numel())[0], noise, noise > 0)
    exact = torch.ones_like(noise, dtype=torch.bool)
    _quantiles(out, name, values, graph, _POINTS, exact, torch.zeros_like(noise), noise)


def _drawn(available: Tensor, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers below ``available`` [G] with their graph, and whether [G] they are all there are."""
    whole = available <= settings.max_pairs
    taken = available.clamp(max=settings.max_pairs)
    draws = torch.rand(settings.max_pairs, generator=torch.Generator().manual_seed(settings.seed), dtype=torch.float64)
    graph = torch.arange(taken.numel(), device=taken.device).repeat_interleave(taken)
    place = ragged_arange(taken)
    number = (draws.to(taken.device)[place] * available[graph]).long()
    return torch.where(whole[graph], place, number), graph, whole


def _resistance(edges: Tensor, ptr: Tensor, pairs: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Resistances of pairs, and which graphs [G] were sketched."""
    batch, large = expand_ptr(ptr), ptr.diff() > settings.exact_limit
    out = torch.empty(pairs.size(1), dtype=torch.float64, device=pairs.device)
    for part, method in ((~large, "dense"), (large, "sketch")):
        mine, among = part[batch[pairs[0]]], part[batch[edges[0]]]
        if bool(mine.any()):
            out[mine] = effective_resistance(
                edges[:, among],
                ptr,
                pairs[:, mine],
                method=method,
                epsilon=settings.epsilon,
                seed=settings.seed,
            )
    return out, large


def _quantiles(
    out: Measured,
    name: str,
    values: Tensor,
    graph: Tensor,
    points: dict[str, float],
    whole: Tensor,
    blur: Tensor,
    noise: Tensor | float = 0.0,
) -> None:
    """Quantiles of the values of every graph; of a sample with the distribution-free error of order statistics.

    Args:
        whole: [G] bool, whether the values are all there are.
        blur: [G] relative error of a value.
        noise: [G] absolute error of a value.
    """
    order = values.argsort(stable=True)
    order = order[graph[order].argsort(stable=True)]
    values, count = values[order], torch.bincount(graph, minlength=whole.numel())
    start = count.cumsum(0) - count

    def at(share: Tensor) -> Tensor:
        if values.numel() == 0:
            return torch.full(count.shape, torch.nan, dtype=torch.float64, device=count.device)
        position = share.clamp(0, 1) * (count - 1).clamp(min=0)
        low = position.floor().long()
        high = torch.minimum(low + 1, (count - 1).clamp(min=0))
        below, above = (values[(start + index).clamp(max=values.numel() - 1)] for index in (low, high))
        return torch.where(count > 0, below + (position - low) * (above - below), torch.nan)

    sketched = (blur > 0) | (torch.as_tensor(noise) > 0)
    estimated = ~whole | sketched
    for label, share in points.items():
        share = torch.full(count.shape, share, dtype=torch.float64, device=count.device)
        spread = (share * (1 - share) / count.clamp(min=1)).sqrt()
        value, error = at(share), torch.where(whole, 0.0, (at(share + spread) - at(share - spread)) / 2)
        error = (error.square() + (blur * value).square() + noise**2).sqrt()
        extreme = (share == 0) | (share == 1)
        kind = estimated.long()
        # The largest value of a sample is a bound from below, if it is not itself sketched.
        kind = torch.where((share == 1) & ~whole & (blur == 0), 2, kind)
        out.add(f"{name}_{label}", value, torch.where(extreme & estimated, torch.nan, error), kind)


def _mean(values: Tensor, graph: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Means, and their standard errors as those of independent draws; NaN without values."""
    number = torch.bincount(graph, minlength=count)
    mean = _sums(values, graph, count) / number
    variance = _sums((values - mean[graph]).square(), graph, count) / (number - 1).clamp(min=1)
    return mean, (variance / number).sqrt()


def _sums(values: Tensor, graph: Tensor, count: int) -> Tensor:
    return values.new_zeros(count, *values.shape[1:]).index_add_(0, graph, values)
