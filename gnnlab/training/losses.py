"""Losses by the name a task gives them: unlabelled targets are skipped, nothing waits for the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnlab.errors import ConfigError, nearest
from gnnlab.metrics.targets import align, class_targets, float_targets

__all__ = [
    "LOSSES",
    "Loss",
    "bce",
    "cross_entropy",
    "l1",
    "l1_cosine",
    "loss_by_name",
    "mse",
    "weighted_cross_entropy",
]

Loss: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(predictions, targets) -> (mean over the labelled targets, number of labelled targets), both 0-d tensors.

The second is what the mean has to be weighted with to average over batches. Without any label both are 0.
"""


def bce(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy with logits over all labels.

    Shapes:
        - pred: [n, L] logits, target: [n, L] (or [n] for one label), NaN (or a negative integer) = unlabelled.

    Example:
        >>> loss, labelled = bce(torch.zeros(1, 2), torch.tensor([[1.0, torch.nan]]))
        >>> round(loss.item(), 4), labelled.item()
        (0.6931, 1)
    """
    return _mean_over_labelled(F.binary_cross_entropy_with_logits, pred, target)


def l1(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute error over all entries; shapes and missing labels as in :func:`bce`."""
    return _mean_over_labelled(F.l1_loss, pred, target)


def l1_cosine(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean absolute error, and per column one minus the cosine between predictions and targets of the batch.

    The loss of GPSE ("Graph Positional and Structural Encoder", Cantürk, Liu et al., ICML 2024, arXiv 2307.07107):
    columns of very different scale count alike in the second part. A column without any target but 0 has no
    direction, and no second part. Shapes and missing labels as in :func:`bce`.

    Example:
        >>> pred, target = torch.tensor([[1.0], [0.0]]), torch.tensor([[1.0], [1.0]])
        >>> round(l1_cosine(pred, target)[0].item(), 4)  # 1/2 + 1 - cos(45 degrees)
        0.7929
    """
    error, count = l1(pred, target)
    target = align(pred, float_targets(target))
    labelled = ~target.isnan()
    target = target.nan_to_num(nan=0.0).to(pred.dtype).flatten(1)
    seen = torch.where(labelled, pred, 0.0).flatten(1)
    apart = 1 - F.cosine_similarity(seen, target, dim=0)
    directed = target.any(0)
    return error + torch.where(directed, apart, 0.0).sum() / directed.sum().clamp(min=1), count


def mse(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error over all entries; shapes and missing labels as in :func:`bce`."""
    return _mean_over_labelled(F.mse_loss, pred, target)


def cross_entropy(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy over classes.

    Shapes:
        - pred: [n, C] logits, target: [n] or [n, 1] class, negative (or NaN) = unlabelled.
    """
    target = class_targets(target)
    labelled = (target >= 0).sum()
    total = F.cross_entropy(pred, target, ignore_index=-1, reduction="sum")
    return total / labelled.clamp(min=1), labelled


def weighted_cross_entropy(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy with class weights :math:`(V - V_c) / V` of the batch, as the LRGB superpixel tasks use.

    V is the number of labelled rows, :math:`V_c` those of class c; the sum is divided by the weights of the
    rows. A batch of a single class has weight 0 everywhere and loss 0. Shapes as in :func:`cross_entropy`.
    """
    target = class_targets(target)
    weight = class_weights(target, pred.size(1)).to(pred.dtype)
    # Row -1 (unlabelled) reads the appended zero.
    total_weight = F.pad(weight, (0, 1))[target].sum()
    total = F.cross_entropy(pred, target, weight=weight, ignore_index=-1, reduction="sum")
    smallest = torch.finfo(pred.dtype).tiny
    return total / total_weight.clamp(min=smallest), (target >= 0).sum()


def class_weights(target: Tensor, num_classes: int) -> Tensor:
    """[C] share of labelled rows that are of another class; 0 for a class that is absent.

    Example:
        >>> class_weights(torch.tensor([0] * 9 + [1]), 3).tolist()
        [0.10000000149011612, 0.8999999761581421, 0.0]
    """
    # Integer counts, so the sum is exact in any order; unlabelled rows are counted in a slot of their own.
    count = torch.zeros(num_classes + 1, dtype=torch.long, device=target.device)
    count = count.scatter_add(0, target.remainder(num_classes + 1), torch.ones_like(target))[:-1]
    total = count.sum()
    return torch.where(count > 0, (total - count) / total.clamp(min=1), 0.0)


def _mean_over_labelled(loss: Callable[..., Tensor], pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    target = align(pred, float_targets(target))
    labelled = ~target.isnan()
    entries = loss(pred, target.nan_to_num(nan=0.0).to(pred.dtype), reduction="none")
    count = labelled.sum()
    return torch.where(labelled, entries, 0.0).sum() / count.clamp(min=1), count


LOSSES: dict[str, Loss] = {
    "bce": bce,
    "cross_entropy": cross_entropy,
    "weighted_cross_entropy": weighted_cross_entropy,
    "l1": l1,
    "l1_cosine": l1_cosine,
    "mse": mse,
}
"""The names a :class:`~gnnlab.data.task.TaskSpec` may use."""


def loss_by_name(name: str) -> Loss:
    """The loss a task names.

    Raises:
        ConfigError: no loss has that name.
    """
    if name not in LOSSES:
        raise ConfigError(f"unknown loss '{name}'", hint=nearest(name, LOSSES))
    return LOSSES[name]
