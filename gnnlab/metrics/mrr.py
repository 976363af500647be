"""Mean reciprocal rank of true links among the nodes of their graph, in its three published versions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from gnnlab.errors import ConfigError, GraphError, nearest

__all__ = ["MRR", "RankMode", "reciprocal_ranks"]

RankMode = Literal["raw", "filtered", "filtered_self"]
"""Whom a positive competes with: all other nodes; all but the other positives; neither those nor the head."""

_MODES = ("raw", "filtered", "filtered_self")


class MRR(Metric):
    r"""Mean reciprocal rank of positives :math:`(u, v)` among the candidates :math:`(u, w)` of their head.

    * ``raw``: every other candidate competes, the other positives of ``u`` and ``(u, u)`` included;
    * ``filtered``: the other positives of ``u`` are removed, ``(u, u)`` stays;
    * ``filtered_self``: both are removed (the recommended "extended filtered" metric of Tönshoff et al.,
      TMLR 2024, arXiv 2309.00367).

    Under a dot product :math:`\langle z_u, z_u \rangle` is usually the largest score of the row, so values of
    different modes must never share a table. A tie counts one half: the rank is the mean of the optimistic
    and the pessimistic one. The result is the mean over positives, averaged over the graphs that have any.

    Args:
        mode: Whom a positive competes with.
        averaging: ``graph`` as above; ``batch`` as in the reference code: graphs without positives contribute
            0 to the mean of their batch, and batches are weighted by their number of positives, so the value
            depends on the batch size. (The reference weights by labelled pairs; its negatives are
            proportional to the positives.)

    Example:
        >>> pairs = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 3]])
        >>> label, batch = torch.tensor([0, 1, 1, 0]), torch.zeros(4, dtype=torch.long)
        >>> metric = MRR("filtered_self")
        >>> metric.update(torch.tensor([5.0, 3.0, 4.0, 2.0]), pairs, label, batch)
        >>> metric.compute().item()
        1.0
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(self, mode: RankMode = "filtered_self", averaging: Literal["graph", "batch"] = "graph") -> None:
        super().__init__()
        if mode not in _MODES:
            raise ConfigError(f"unknown mode '{mode}'", where="MRR", hint=nearest(mode, _MODES))
        if averaging not in ("graph", "batch"):
            raise ConfigError(f"unknown averaging '{averaging}'", where="MRR", hint="known: batch, graph")
        self.mode, self.averaging = mode, averaging
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, score: Tensor, pairs: Tensor, label: Tensor, batch: Tensor, num_graphs: int | None = None) -> None:
        """Rank the positives of a batch of graphs.

        Args:
            score: [S] score of every candidate pair.
            pairs: [2, S] long, head and tail; all candidates of every head that has a positive.
            label: [S], 1 for positives, else 0.
            batch: [N] long, graph of every node.
            num_graphs: Graphs in the batch; by default those that have nodes.
        """
        if score.shape != label.shape or pairs.shape != (2, len(score)):
            raise GraphError(
                f"scores {list(score.shape)}, pairs {list(pairs.shape)} and labels {list(label.shape)} "
                "do not describe the same candidates",
                hint="expected [S], [2, S] and [S]",
            )
        if num_graphs is None:
            num_graphs = int(batch.max()) + 1 if len(batch) else 0
        reciprocal, head = reciprocal_ranks(score.detach(), pairs, label == 1, self.mode)
        graph = batch[head]
        total = reciprocal.new_zeros(num_graphs).index_add_(0, graph, reciprocal)
        count = torch.zeros_like(total).index_add_(0, graph, torch.ones_like(reciprocal))
        mean = total / count.clamp(min=1)
        if self.averaging == "graph":
            self.total += mean.sum()
            self.weight += (count > 0).sum()
        else:
            self.total += mean.sum() / max(num_graphs, 1) * len(reciprocal)
            self.weight += len(reciprocal)

    def compute(self) -> Tensor:
        return self.total / self.weight


def reciprocal_ranks(score: Tensor, pairs: Tensor, positive: Tensor, mode: RankMode) -> tuple[Tensor, Tensor]:
    """1 / rank of every positive among the candidates of its head; no sort by score, no loop.

    Args:
        score: [S].
        pairs: [2, S] long, head and tail.
        positive: [S] bool.
        mode: See :class:`MRR`.

    Returns:
        [P] float64 reciprocal ranks and [P] long heads, P = number of positives.
    """
    order = pairs[0].argsort(stable=True)
    score, (head, tail), positive = score[order], pairs[:, order], positive[order]
    asked = positive.nonzero()[:, 0]
    first = torch.searchsorted(head, head[asked])
    size = torch.searchsorted(head, head[asked], right=True) - first

    # One row for every (positive, candidate of the same head).
    query = torch.repeat_interleave(torch.arange(len(asked), device=head.device), size)
    start = size.cumsum(0) - size
    rival = torch.arange(len(query), device=head.device) - start[query] + first[query]
    competes = rival != asked[query]
    if mode != "raw":
        competes &= ~positive[rival]
    if mode == "filtered_self":
        competes &= tail[rival] != head[rival]

    own = score[asked][query]
    # Written so that a NaN on either side is a defeat.
    beaten = 1.0 - (own > score[rival]).double() - 0.5 * (own == score[rival]).double()
    rank = score.new_ones(len(asked), dtype=torch.float64)
    rank.index_add_(0, query, torch.where(competes, beaten, 0.0))
    return rank.reciprocal(), head[asked]
