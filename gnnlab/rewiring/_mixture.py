"""Two Gaussians for the numbers of every graph, fitted to all graphs at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.ops import segment_reduce

__all__ = ["Mixture", "two_gaussians"]

_ITERATIONS, _TOLERANCE, _RIDGE = 100, 1e-3, 1e-6  # those of scikit-learn's GaussianMixture
_CLUSTERINGS = 20


class Mixture(NamedTuple):
    """Mean and standard deviation of the lower and the upper component, [G, 2] each."""

    mean: Tensor
    deviation: Tensor


def two_gaussians(values: Tensor, group: Tensor, num_groups: int) -> Mixture:
    """Expectation maximisation from two clusters, in every group until its mean log-likelihood settles.

    Starts from the two clusters that k-means finds from the middle of the range; a group whose numbers are all equal
    has them as both means.

    Args:
        values: [M] float64, in the order of the groups.
        group: [M] long, increasing.
        num_groups: G.
    """
    counts = torch.bincount(group, minlength=num_groups)
    ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    share = _clusters(values, group, ptr)
    state = _maximised(values, group, ptr, share)
    settled = counts == 0
    before = torch.full_like(state[0][:, 0], -torch.inf)
    for _ in range(_ITERATIONS):
        if bool(settled.all()):
            break
        share, likelihood = _expected(values, group, ptr, *state)
        updated = _maximised(values, group, ptr, share)
        state = tuple(torch.where(settled[:, None], old, new) for old, new in zip(state, updated, strict=True))
        settled = settled | ((likelihood - before).abs() < _TOLERANCE)
        before = likelihood
    _, mean, variance = state
    order = mean.argsort(dim=1, stable=True)
    return Mixture(mean.gather(1, order), variance.gather(1, order).sqrt())


def _clusters(values: Tensor, group: Tensor, ptr: Tensor) -> Tensor:
    """[M, 2], 1 at the nearer of two centres."""
    middle = (segment_reduce(values, ptr, "min") + segment_reduce(values, ptr, "max")) / 2
    for _ in range(_CLUSTERINGS):
        upper = (values > middle[group]).double()
        share = torch.stack([1 - upper, upper], 1)
        size = segment_reduce(share, ptr, "sum")
        centre = segment_reduce(share * values[:, None], ptr, "sum") / size.clamp(min=1)
        middle = torch.where((size > 0).all(1), centre.mean(1), middle)
    return share


def _maximised(values: Tensor, group: Tensor, ptr: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and variances [G, 2] from the shares [M, 2] of both components in every number."""
    size = segment_reduce(share, ptr, "sum")
    total = size.sum(1, keepdim=True)
    everything = segment_reduce(values, ptr, "mean")[:, None]
    mean = segment_reduce(share * values[:, None], ptr, "sum") / size.clamp(min=1e-12)
    mean = torch.where(size > 0, mean, everything)
    spread = segment_reduce(share * (values[:, None] - mean[group]).square(), ptr, "sum") / size.clamp(min=1e-12)
    return size / total.clamp(min=1), mean, spread + _RIDGE


def _expected(
    values: Tensor, group: Tensor, ptr: Tensor, weight: Tensor, mean: Tensor, variance: Tensor
) -> tuple[Tensor, Tensor]:
    """Shares [M, 2] of both components, and the mean log-likelihood [G] up to a constant."""
    density = -0.5 * ((values[:, None] - mean[group]).square() / variance[group] + variance.log()[group])
    density = density + weight.log()[group]
    likelihood = density.logsumexp(1)
    return (density - likelihood[:, None]).exp(), segment_reduce(likelihood, ptr, "mean")
