"""Metrics of the benchmarks: exact, on the whole split, on the device of the predictions."""

from gnnlab.metrics.accuracy import Accuracy
from gnnlab.metrics.average_precision import AveragePrecision
from gnnlab.metrics.build import METRICS, build_metric
from gnnlab.metrics.error_ratio import CHEMICAL_ACCURACY, ChemicalAccuracy, ErrorRatio
from gnnlab.metrics.hits import HitsAt
from gnnlab.metrics.macro_f1 import MacroF1
from gnnlab.metrics.mrr import MRR, reciprocal_ranks
from gnnlab.metrics.regression import MAE, RMSE
from gnnlab.metrics.roc_auc import ROCAUC

__all__ = [
    "CHEMICAL_ACCURACY",
    "MAE",
    "METRICS",
    "MRR",
    "RMSE",
    "ROCAUC",
    "Accuracy",
    "AveragePrecision",
    "ChemicalAccuracy",
    "ErrorRatio",
    "HitsAt",
    "MacroF1",
    "build_metric",
    "reciprocal_ranks",
]
