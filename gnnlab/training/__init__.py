"""Training: one LightningModule for every task, schedules, callbacks, and a runner that resumes exactly."""

from gnnlab.training.callbacks import (
    BEST,
    LAST,
    DivergenceError,
    LastCheckpoint,
    NaNGuard,
    best_checkpoint,
    default_callbacks,
    early_stopping,
)
from gnnlab.training.history import History
from gnnlab.training.interrupt import GracefulStop, Interrupted
from gnnlab.training.losses import LOSSES
from gnnlab.training.metric_as_epoch import MetricAsEpoch
from gnnlab.training.pretrained import PretrainedPE
from gnnlab.training.quiet import quiet_lightning
from gnnlab.training.runner import RunResult, train_and_evaluate
from gnnlab.training.schedule import CosineWithWarmup, LinearDecay, ReduceOnPlateau, StepDecay
from gnnlab.training.target_scaling import TargetScaling
from gnnlab.training.task import GraphTask, OptimizerFactory, ScheduleFactory

__all__ = [
    "BEST",
    "LAST",
    "LOSSES",
    "CosineWithWarmup",
    "DivergenceError",
    "GracefulStop",
    "GraphTask",
    "History",
    "Interrupted",
    "LastCheckpoint",
    "LinearDecay",
    "MetricAsEpoch",
    "NaNGuard",
    "OptimizerFactory",
    "PretrainedPE",
    "ReduceOnPlateau",
    "RunResult",
    "ScheduleFactory",
    "StepDecay",
    "TargetScaling",
    "best_checkpoint",
    "default_callbacks",
    "early_stopping",
    "quiet_lightning",
    "train_and_evaluate",
]
