"""Training on the fast path: kernels, dropout, products and optimiser step are those of float64 within rounding."""

from __future__ import annotations

import pytest
import torch
from lightning import Callback, Trainer

from gnnlab.benchmark.speed._workloads import WORKLOADS, graphs_of, setup_of
from gnnlab.data import GraphLoader
from gnnlab.ops import use_backend
from gnnlab.training import GraphTask
from gnnlab.training.quiet import quiet_lightning

_STEPS = 50


class Losses(Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.values.append(float(outputs["loss"]))


def losses(workload: str, batch_size: int, backend: str | None, folder: str) -> list[float]:
    """Loss of every step of an experiment, as Lightning trains it."""
    setup, record = setup_of(WORKLOADS[workload]), Losses()
    graphs = graphs_of(setup, limit=batch_size * _STEPS)
    torch.manual_seed(0)
    task = GraphTask(setup.network(), setup.task, setup.optimizer)
    with use_backend(backend), quiet_lightning():
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            gradient_clip_val=setup.clip,
            callbacks=[record],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(task, GraphLoader(graphs.store, batch_size, index=graphs.index, shuffle=True))
    return record.values


@pytest.mark.mirror
@pytest.mark.parametrize("workload", ["gcn-235", "gine-160"])
def test_fifty_steps_equal_those_of_the_reference(workload, mirror, tmp_path):
    fast, exact = (losses(workload, 20, backend, str(tmp_path)) for backend in (None, "reference"))
    assert len(fast) == len(exact) == _STEPS
    assert exact[-1] < exact[0]
    torch.testing.assert_close(torch.tensor(fast), torch.tensor(exact), rtol=2e-3, atol=2e-3)
