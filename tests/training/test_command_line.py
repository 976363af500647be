"""What jsonargparse makes of GraphTask: optimiser and schedule by class path, their own options beneath."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.cli import LightningArgumentParser

from gnnlab.training import CosineWithWarmup, GraphTask, ReduceOnPlateau, StepDecay

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BASE = {
    "model": {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 2}},
    "task": {"level": "graph", "out_channels": 2, "loss": "l1", "metric": "mae", "higher_is_better": False},
}


def _task(**options):
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(GraphTask, "task")
    return parser.instantiate_classes(parser.parse_object({"task": BASE | options})).task


def test_the_default_is_adamw_without_decay():
    optimizer = (task := _task()).optimizer(task.parameters())
    assert type(optimizer) is torch.optim.AdamW
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (1e-3, 0.0)
    assert task.task.mode == "min"


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        (CosineWithWarmup, {"warmup_epochs": 5}),
        (StepDecay, {"step_size": 20}),
        (ReduceOnPlateau, {"patience": 3, "monitor": "val/mae"}),
    ],
)
def test_a_schedule_takes_its_epochs_later(schedule, options):
    path = f"gnnlab.training.{schedule.__name__}"
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}
    task = _task(optimizer=optimizer, schedule={"class_path": path, "init_args": options})
    made = task.schedule(task.optimizer(task.parameters()), 100)
    assert type(made) is schedule
    assert made.optimizer.defaults["lr"] == 0.5
    assert {name: getattr(made, name) for name in options} == options
