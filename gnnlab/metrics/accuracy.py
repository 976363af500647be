"""Share of rows whose class is right."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from gnnlab.errors import GraphError
from gnnlab.metrics.targets import class_targets, predicted_class

__all__ = ["Accuracy", "checked_classes"]


class Accuracy(Metric):
    """Correct rows divided by labelled rows of the whole split; NaN if no row is labelled.

    Shapes:
        - pred: [n, C] logits (the largest wins), or [n] / [n, 1] one logit (its sign decides).
        - target: [n] or [n, 1] class, negative (or NaN) where unlabelled.

    Example:
        >>> metric = Accuracy()
        >>> metric.update(torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]), torch.tensor([0, 0, -1]))
        >>> metric.compute().item()
        0.5
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("correct", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("labelled", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Count a batch; no synchronisation with the device."""
        pred, target = checked_classes(pred, target)
        self.correct += (pred == target).sum()
        self.labelled += (target >= 0).sum()

    def compute(self) -> Tensor:
        return self.correct.double() / self.labelled


def checked_classes(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """[n] predicted and [n] true classes (-1 = unlabelled).

    Raises:
        GraphError: the numbers of rows differ.
    """
    classes, truth = predicted_class(pred.detach()), class_targets(target.detach())
    if len(classes) != len(truth):
        raise GraphError(
            f"predictions of shape {list(pred.shape)} do not match targets of shape {list(target.shape)}",
            hint="a class is one number per row",
        )
    return classes, truth
