"""From the name of a metric on a dataset card to the metric."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torchmetrics import Metric

from gnnlab.errors import ConfigError, nearest
from gnnlab.metrics.accuracy import Accuracy
from gnnlab.metrics.average_precision import AveragePrecision
from gnnlab.metrics.error_ratio import CHEMICAL_ACCURACY, FILM_ACCURACY, ErrorRatio
from gnnlab.metrics.hits import HitsAt
from gnnlab.metrics.macro_f1 import MacroF1
from gnnlab.metrics.mrr import MRR
from gnnlab.metrics.regression import MAE, RMSE
from gnnlab.metrics.roc_auc import ROCAUC

__all__ = ["METRICS", "build_metric"]

_QM9 = [accuracy.value for accuracy in CHEMICAL_ACCURACY.values()]

METRICS: dict[str, Callable[[], Metric]] = {
    "ap": AveragePrecision,
    "rocauc": ROCAUC,
    "accuracy": Accuracy,
    "macro_f1": MacroF1,
    "mae": MAE,
    "rmse": RMSE,
    "mrr": partial(MRR, "raw"),
    "mrr_filtered": partial(MRR, "filtered"),
    "mrr_filtered_self": partial(MRR, "filtered_self"),
    **{f"hits@{k}": partial(HitsAt, k) for k in (1, 3, 10, 20, 50, 100)},
    **{f"error_ratio@{target}": partial(ErrorRatio, [a.value]) for target, a in CHEMICAL_ACCURACY.items()},
    "error_ratio@qm9": partial(ErrorRatio, _QM9[:12]),
    "error_ratio@qm9-13": partial(ErrorRatio, _QM9),
    "error_ratio@qm9-film": partial(ErrorRatio, FILM_ACCURACY),
}
"""The names a :class:`~gnnlab.data.task.TaskSpec` may use."""


def build_metric(name: str) -> Metric:
    """A fresh metric by the name a card uses.

    Raises:
        ConfigError: no metric has that name.

    Example:
        >>> build_metric("hits@50").k
        50
    """
    if name not in METRICS:
        raise ConfigError(f"unknown metric '{name}'", hint=nearest(name, METRICS))
    return METRICS[name]()
