"""No training step reads a value back from the device: every operator's shape is known beforehand."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Batch, Data

from gnnlab.data.task import TaskSpec
from gnnlab.training import GraphTask, NaNGuard

# What makes the host wait on an accelerator: a value asked for, or a shape that depends on values.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "bincount", "item", "is_nonzero"}


class NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in WAITS, f"{function} waits for the device"
        if name in ("index", "index_put_"):
            assert all(i is None or i.dtype != torch.bool for i in args[1]), "a boolean index waits for the device"
        assert not (name == "repeat_interleave" and isinstance(args[0], torch.Tensor) and len(args) == 1)
        return function(*args, **(kwargs or {}))


class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, batch):
        return batch.x * self.weight


def _batch():
    graphs = [
        Data(
            x=torch.randn(4, 3),
            train_mask=torch.tensor([True, False, True, True]),
            edge_label_index=torch.tensor([[0, 0], [1, 2]]),
            edge_label=torch.tensor([1, 0]),
        )
        for _ in range(3)
    ]
    return Batch.from_data_list(graphs)


TASKS = {
    "bce": (TaskSpec("node", 3, "bce", "ap"), torch.tensor([[0.0, 1.0, torch.nan]] * 12)),
    "l1": (TaskSpec("graph", 3, "l1", "mae"), torch.randn(12, 3)),
    "mse": (TaskSpec("graph", 3, "mse", "rmse"), torch.randn(12, 3)),
    "cross_entropy": (TaskSpec("node", 3, "cross_entropy", "accuracy"), torch.arange(12) % 4 - 1),
    "weighted": (TaskSpec("node", 3, "weighted_cross_entropy", "macro_f1"), torch.arange(12) % 4 - 1),
    "link": (TaskSpec("link", 3, "bce", "mrr"), None),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_training_step_never_waits(name):
    spec, y = TASKS[name]
    batch, task, guard = _batch(), GraphTask(Scale(), spec), NaNGuard()
    batch.y = y
    task.log = lambda *args, **kwargs: None
    with NoWaiting():
        loss = task.training_step(batch, 0)
        guard.on_train_batch_end(None, task, {"loss": loss}, batch, 0)
    loss.backward()
    assert task.model.weight.grad.isfinite().all()


def test_the_check_can_fail():
    with NoWaiting(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(3)[torch.tensor([True, False, True])]
