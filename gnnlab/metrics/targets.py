"""The one convention for targets: unlabelled is NaN (float) or negative (integer); [n] and [n, 1] are the same."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import GraphError

__all__ = ["align", "class_targets", "columns", "float_targets", "predicted_class"]


def float_targets(target: Tensor) -> Tensor:
    """Targets as floats with NaN where unlabelled; integers are unlabelled where negative."""
    if target.is_floating_point():
        return target
    return torch.where(target < 0, torch.nan, target.to(torch.get_default_dtype()))


def class_targets(target: Tensor) -> Tensor:
    """[n] long class of every row, -1 where unlabelled; accepts [n, 1] and floats with NaN."""
    target = target.reshape(-1)
    if target.is_floating_point():
        target = target.nan_to_num(nan=-1.0)
    return target.long().clamp(min=-1)


def predicted_class(pred: Tensor) -> Tensor:
    """[n] long: the largest of several logits, or the sign of a single one."""
    pred = columns(pred)
    return pred.argmax(dim=1) if pred.size(1) > 1 else (pred[:, 0] > 0).long()


def align(pred: Tensor, target: Tensor) -> Tensor:
    """``target`` in the shape of ``pred``: [n] and [n, 1] are the same thing, anything else is an error."""
    if target.shape == pred.shape:
        return target
    if target.numel() != pred.numel() or len(target) != len(pred):
        raise GraphError(
            f"predictions of shape {list(pred.shape)} do not match targets of shape {list(target.shape)}",
            hint="check out_channels of the model, and the level (graph, node, link) of the task",
        )
    return target.view_as(pred)


def columns(pred: Tensor) -> Tensor:
    """[n, L]: a vector is one column, further axes are flattened."""
    return pred.flatten(1) if pred.dim() > 1 else pred[:, None]
