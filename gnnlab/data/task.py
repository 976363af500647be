"""What is to be predicted, and how it is judged: the facts a card states and a trainer needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from gnnlab.typing import TaskLevel

__all__ = ["TaskSpec"]

LossName = Literal["bce", "cross_entropy", "weighted_cross_entropy", "l1", "l1_cosine", "mse"]


@dataclass(frozen=True)
class TaskSpec:
    """Level, width, loss and metric of a dataset's task.

    Args:
        level: What a prediction is made for: ``graph``, ``node`` or ``link``.
        out_channels: Width of the model's output (classes, labels or regression targets; for ``link`` the
            width of the node embedding whose dot products are the scores; one logit for a binary task).
        loss: ``bce`` (per label, NaN targets skipped), ``cross_entropy`` (targets < 0 skipped),
            ``weighted_cross_entropy`` (class weight (V - count) / V of the batch), ``l1``, ``mse``, ``l1_cosine``
            (l1 and the angle between predicted and true columns).
        metric: A name of :mod:`gnnlab.metrics`: ``ap``, ``rocauc``, ``accuracy``, ``macro_f1``, ``mae``,
            ``rmse``, ``mrr``, ``mrr_filtered``, ``mrr_filtered_self``, ``hits@50``.
        higher_is_better: Direction of ``metric``.
    """

    level: TaskLevel
    out_channels: int
    loss: LossName
    metric: str
    higher_is_better: bool = True

    @property
    def mode(self) -> str:
        """``max`` or ``min``, as Lightning's callbacks call the direction of the metric."""
        return "max" if self.higher_is_better else "min"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
