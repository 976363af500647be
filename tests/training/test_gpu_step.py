"""The captured step on a GPU: losses of the plain loop, no waiting between steps, checkpoints, bf16."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer, seed_everything
from torch_geometric.data import Data

from gnnlab.data.loader import GraphLoader
from gnnlab.data.store import GraphStore
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError
from gnnlab.nn import GNN, BatchNorm, FeatureEncoder, GatedGCNConv, GCNConv, GINEConv, LinearEncoder, MLPHead
from gnnlab.training import LAST, CosineWithWarmup, GraphTask, default_callbacks, quiet_lightning
from gnnlab.training.static import StaticStep

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

TASK = TaskSpec("graph", 2, "l1", "mae", higher_is_better=False)


def molecules(count):
    graphs = []
    for i in range(count):
        size = 9 + i * 7 % 23
        source = torch.arange(size)
        ring = torch.stack([source, (source + 1) % size])
        graph = Data(x=torch.randn(size, 5), edge_index=torch.cat([ring, ring.flip(0)], 1))
        graph.edge_attr, graph.y = torch.randn(graph.num_edges, 4), graph.x.mean(0, keepdim=True)[:, :2]
        graphs.append(graph)
    return graphs


class Stored(LightningDataModule):
    def __init__(self, pad):
        super().__init__()
        torch.manual_seed(11)
        self.store, self.pad = GraphStore.from_data_list(molecules(700)).to("cuda"), pad

    def train_dataloader(self):
        return GraphLoader(self.store, 32, index=torch.arange(640), shuffle=True, seed=5, pad=self.pad)

    def val_dataloader(self):
        return GraphLoader(self.store, 64, index=torch.arange(640, 700))


def network(conv=GCNConv, **options):
    edge = partial(LinearEncoder, in_channels=4)
    encoder = partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=5), edge=edge)
    options = {"norm": BatchNorm, "dropout": 0.1, "head": partial(MLPHead, num_layers=2)} | options
    return GNN(2, 64, 3, conv=conv, encoder=encoder, **options)


class Losses(Callback):
    """The loss of every step, without waiting for any; past the recording epochs, waiting is an error."""

    def __init__(self, strict=False):
        self.kept, self.strict = [], strict

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        # The first step of an epoch logs, which puts numbers on the device.
        if self.strict and trainer.current_epoch > 1 and batch_idx > 0:
            torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("default")
        self.kept.append(outputs["loss"].clone())

    @property
    def values(self):
        return torch.stack(self.kept).cpu()


def fit(capture, *, model=network, pad=True, epochs=1, callbacks=(), ckpt_path=None, strict=False, **options):
    seed_everything(2, verbose=False)

    def schedule(optimizer, epochs):
        return CosineWithWarmup(optimizer, 8, warmup_epochs=1, per_step=True)

    task = GraphTask(model(), TASK, lambda p: torch.optim.AdamW(p, lr=0.01), schedule, capture=capture)
    losses = Losses(strict)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "inference_mode": False}
    options = {"max_epochs": epochs, "accelerator": "gpu", "devices": 1, "gradient_clip_val": 1.0} | quiet | options
    with quiet_lightning():
        trainer = Trainer(**options, enable_checkpointing=bool(callbacks), callbacks=[losses, *callbacks])
        try:
            trainer.fit(task, Stored(pad), ckpt_path=ckpt_path)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return SimpleNamespace(losses=losses.values, task=task, trainer=trainer)


@pytest.mark.parametrize("conv", [GCNConv, GINEConv, partial(GatedGCNConv, norm=BatchNorm)])
@pytest.mark.parametrize("padded", [True, False])
def test_twenty_steps_have_the_losses_of_the_plain_loop(conv, padded):
    plain, captured = fit(False, model=partial(network, conv), pad=padded), fit(True, model=partial(network, conv))
    assert len(plain.losses) == 20
    torch.testing.assert_close(captured.losses, plain.losses, atol=5e-3, rtol=5e-3)


def test_no_step_waits_for_the_device():
    captured = fit(True, epochs=5, strict=True)
    assert captured.losses.isfinite().all()
    assert captured.losses[-20:].mean() < captured.losses[:20].mean()


def test_bf16():
    plain, captured = (fit(capture, precision="bf16-mixed") for capture in (False, True))
    torch.testing.assert_close(captured.losses, plain.losses, atol=0.05, rtol=0.1)


@pytest.mark.parametrize("captured_first", [True, False])
def test_a_checkpoint_is_one_of_an_ordinary_run(tmp_path, captured_first):
    def run(capture, epochs, **options):
        return fit(capture, epochs=epochs, callbacks=default_callbacks(TASK, tmp_path), **options)

    run(captured_first, 2)
    states = torch.load(tmp_path / LAST, weights_only=True)["optimizer_states"][0]
    assert all(state["step"].device.type == "cpu" for state in states["state"].values())
    assert all(isinstance(group["lr"], float) and not group["capturable"] for group in states["param_groups"])
    resumed = run(not captured_first, 3, ckpt_path=tmp_path / LAST)
    whole = fit(False, epochs=3)
    torch.testing.assert_close(resumed.losses, whole.losses[40:], atol=2e-2, rtol=2e-2)


def test_every_replay_draws_new_numbers():
    step = StaticStep(lambda batch: (torch.nn.functional.dropout(batch.x).sum(),))
    batch = Data(x=torch.ones(10_000, device="cuda"))
    assert len({step(batch)[0].item() for _ in range(8)}) > 4
    draws = []
    for _ in range(2):
        torch.manual_seed(7)
        draws.append(step(batch)[0].item())
    assert draws[0] == draws[1]


def test_a_shape_that_depends_on_data_is_refused():
    step = StaticStep(lambda batch: (batch.x[batch.x > 0].sum(),))
    batch = Data(x=torch.ones(4, device="cuda"))
    for _ in range(2):
        step(batch)
    with pytest.raises(ConfigError, match="cannot be recorded"):
        step(batch)
