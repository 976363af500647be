"""Where the influence on a node comes from: by number of hops, and by commute time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import rankdata
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis.sensitivity import Sensitivity
from gnnlab.errors import ConfigError
from gnnlab.graph import commute_time, shortest_path_distances
from gnnlab.ops import expand_ptr
from gnnlab.transform import graph_ptr

__all__ = ["CommuteInfluence", "HopInfluence", "influence_by_commute_time", "influence_by_hop"]


@dataclass(frozen=True)
class HopInfluence:
    """Sensitivity and influence at every number of hops from source to target.

    Args:
        sensitivity: [H] float64, mean over the pairs at h = 0, ..., H - 1 hops; 0 without pairs.
        share: [H] float64, share of the influence that comes from h hops, averaged over the targets that have any.
        pairs: [H] long, pairs at h hops.
        unreachable_share: Share of influence from nodes that no path joins to the target (virtual nodes).
        radius: [T] float64, mean hops of the influence that comes along paths, 0 where there is none.
    """

    sensitivity: Tensor
    share: Tensor
    pairs: Tensor
    unreachable_share: float
    radius: Tensor


@dataclass(frozen=True)
class CommuteInfluence:
    """Sensitivity by commute time, over pairs of two different nodes of one component.

    Args:
        commute_time: [B] float64, mean commute time of the pairs in every bin.
        sensitivity: [B] float64, their mean sensitivity.
        pairs: [B] long, their number; bins are as equal as can be, and empty where there are fewer pairs than bins.
        rank_correlation: Spearman's correlation of sensitivity and commute time; 0 where one of them is constant.
            Pairs of one graph depend on one another, so it comes without a p-value.
    """

    commute_time: Tensor
    sensitivity: Tensor
    pairs: Tensor
    rank_correlation: float


def influence_by_hop(result: Sensitivity, batch: Data) -> HopInfluence:
    r"""Sum up sensitivities by the distance from source u to target v.

    .. math:: \mathrm{radius}_v = \sum_u d(u, v) \, s_{vu} / \sum_u s_{vu}

    The influence distribution of Xu et al. ("Representation learning on graphs with jumping knowledge networks", ICML
    2018), and the mean radius it reaches. Distances follow the edges from source to target, as messages do.

    Args:
        result: Of :func:`sensitivity` on the same batch.
        batch: The union.

    Raises:
        BudgetError: a table of distances that is too large.

    Example:
        >>> path = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> found = Sensitivity(torch.tensor([[3.0, 1.0]]), torch.tensor([0]), "l1")
        >>> influence_by_hop(found, path).share.tolist()
        [0.75, 0.25]
    """
    ptr = graph_ptr(batch)
    distance = shortest_path_distances(batch.edge_index.flip(0), ptr)[result.target].long()
    real = _real(result, ptr)
    reached = real & (distance >= 0)
    hops = int(distance.max()) + 1 if distance.numel() else 0
    value, influence = result.value.double(), result.influence.double()
    where = distance[reached]
    pairs = torch.bincount(where, minlength=hops)
    zeros = value.new_zeros(hops)
    total = zeros.index_add(0, where, value[reached])
    targets = max(int((value.sum(1) > 0).sum()), 1)
    share = zeros.index_add(0, where, influence[reached]) / targets
    inside = torch.where(reached, value, 0.0)
    radius = (inside * distance).sum(1) / inside.sum(1).clamp(min=torch.finfo(torch.float64).tiny)
    outside = float(influence[real & (distance < 0)].sum() / targets)
    return HopInfluence(total / pairs.clamp(min=1), share, pairs, outside, radius)


def influence_by_commute_time(result: Sensitivity, batch: Data, num_bins: int = 10) -> CommuteInfluence:
    r"""Sum up sensitivities by the commute time :math:`\tau_{vu} = 2 |E| R_{vu}` (Di Giovanni et al., ICML 2023).

    Args:
        result: Of :func:`sensitivity` on the same batch.
        batch: The union.
        num_bins: Number of bins with equally many pairs.

    Raises:
        ConfigError: fewer than one bin.

    Example:
        >>> path = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> found = Sensitivity(torch.tensor([[5.0, 2.0, 1.0]]), torch.tensor([0]), "l1")
        >>> influence_by_commute_time(found, path, 2).sensitivity.tolist()
        [2.0, 1.0]
    """
    if num_bins < 1:
        raise ConfigError(f"num_bins must be at least 1, got {num_bins}", where="influence_by_commute_time")
    ptr = graph_ptr(batch)
    row, column = _real(result, ptr).nonzero(as_tuple=True)
    target = result.target[row]
    source = ptr[expand_ptr(ptr, int(ptr[-1]))[target]] + column
    time = commute_time(batch.edge_index, ptr, torch.stack([target, source]))
    kept = time.isfinite() & (target != source)
    time, value = time[kept], result.value[row[kept], column[kept]].double()
    order = time.argsort(stable=True)
    bins = torch.empty_like(order)
    bins[order] = torch.arange(order.numel(), device=order.device) * num_bins // max(order.numel(), 1)
    pairs = torch.bincount(bins, minlength=num_bins)
    zeros, count = time.new_zeros(num_bins), pairs.clamp(min=1)
    means = [zeros.index_add(0, bins, quantity) / count for quantity in (time, value)]
    return CommuteInfluence(*means, pairs, _rank_correlation(time, value))


def _real(result: Sensitivity, ptr: Tensor) -> Tensor:
    """[T, n_max], where the table of a result is not padding."""
    sizes = ptr.diff()[expand_ptr(ptr, int(ptr[-1]))[result.target]]
    return torch.arange(result.value.size(1), device=ptr.device) < sizes.unsqueeze(1)


def _rank_correlation(time: Tensor, value: Tensor) -> float:
    if time.numel() == 0:
        return 0.0
    # Commute times that differ in their last bits are ties.
    time = (time / time.max()).round(decimals=9)
    a, b = (torch.from_numpy(rankdata(values.cpu().numpy())) for values in (time, value))
    a, b = a - a.mean(), b - b.mean()
    scale = float((a.square().sum() * b.square().sum()).sqrt())
    return float((a * b).sum()) / scale if scale > 0 else 0.0
