"""Errors in units of chemical accuracy: what the literature on QM9 compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError
from gnnlab.metrics._base import SplitMetric

__all__ = ["CHEMICAL_ACCURACY", "FILM_ACCURACY", "ChemicalAccuracy", "ErrorRatio"]


class ChemicalAccuracy(NamedTuple):
    """An error that counts as accurate.

    Args:
        value: In ``unit``.
        unit: Of the target.
        verified: Whether somebody has looked the number up; else it is quoted from memory.
    """

    value: float
    unit: str
    verified: bool


CHEMICAL_ACCURACY: dict[str, ChemicalAccuracy] = {
    "mu": ChemicalAccuracy(0.1, "D", verified=True),
    "alpha": ChemicalAccuracy(0.1, "bohr^3", verified=False),
    "homo": ChemicalAccuracy(0.043, "eV", verified=False),
    "lumo": ChemicalAccuracy(0.043, "eV", verified=False),
    "gap": ChemicalAccuracy(0.043, "eV", verified=True),
    "r2": ChemicalAccuracy(1.2, "bohr^2", verified=False),
    "zpve": ChemicalAccuracy(0.0012, "eV", verified=False),
    "u0_atom": ChemicalAccuracy(0.043, "eV", verified=False),
    "u298_atom": ChemicalAccuracy(0.043, "eV", verified=False),
    "h298_atom": ChemicalAccuracy(0.043, "eV", verified=False),
    "g298_atom": ChemicalAccuracy(0.043, "eV", verified=False),
    "cv": ChemicalAccuracy(0.05, "cal/(mol K)", verified=False),
    "omega1": ChemicalAccuracy(10.0, "1/cm", verified=False),
}
"""Target of QM9 -> the accuracy Gilmer et al. divide by (ICML 2017, arXiv 1704.01212, after Faber et al. 2017)."""

FILM_ACCURACY = (
    *(0.066513725, 0.012235489, 0.071939046, 0.033730778, 0.033486113, 0.004278493, 0.001330901),
    *(0.004165489, 0.004128926, 0.00409976, 0.004527465, 0.012292586, 0.037467458),
)
"""The same in the normalised units of the GNN-FiLM copy of QM9, as stated in its released code, for its 13 targets."""


class ErrorRatio(SplitMetric):
    r"""Mean absolute error of every target divided by an accuracy, averaged over the targets.

    .. math:: \frac1T \sum_t \frac{\mathrm{MAE}_t}{a_t}

    Below 1 means accurate. Targets and predictions are in original units; which of the accuracies of QM9 are verified
    :data:`CHEMICAL_ACCURACY` says.

    Args:
        accuracies: a, one per target.

    Shapes:
        - pred: [n, T], target: [n, T] (or [n] for one target), NaN where unlabelled.

    Raises:
        ConfigError: no accuracy, or one that is not positive.
        GraphError: another number of targets.

    Example:
        >>> metric = ErrorRatio([0.1, 2.0])
        >>> metric.update(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.1, 3.0]]))
        >>> [round(ratio, 4) for ratio in metric.per_target().tolist()], round(metric.compute().item(), 4)
        ([1.0, 1.0], 1.0)
    """

    higher_is_better = False

    def __init__(self, accuracies: Sequence[float]) -> None:
        super().__init__()
        if not accuracies or min(accuracies) <= 0:
            raise ConfigError(f"accuracies must be positive, got {list(accuracies)}", where="ErrorRatio")
        self.accuracies = tuple(accuracies)

    def per_target(self) -> Tensor:
        """[T] error ratio of every target; NaN without a label."""
        pred, target = torch.cat(list(self.pred)), torch.cat(list(self.target))
        return self._ratios(pred, target)

    def score(self, pred: Tensor, target: Tensor) -> Tensor:
        ratios = self._ratios(pred, target)
        return ratios[~target.isnan().all(dim=0)].mean()

    def _ratios(self, pred: Tensor, target: Tensor) -> Tensor:
        if target.size(1) != len(self.accuracies):
            raise GraphError(
                f"{target.size(1)} targets, but {len(self.accuracies)} accuracies",
                where="ErrorRatio",
                hint="choose the metric error_ratio@<target> of a single target, or one of as many targets",
            )
        labelled = ~target.isnan()
        error = torch.where(labelled, (pred.double() - target).abs(), 0.0).sum(dim=0) / labelled.sum(dim=0)
        return error / error.new_tensor(self.accuracies)
