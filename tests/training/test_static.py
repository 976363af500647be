"""A captured training step: the losses of the ordinary loop, its checkpoints, its refusals; the buffers beneath it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import StochasticWeightAveraging
from torch import nn
from torch_geometric.data import Data

from gnnlab.data.loader import GraphLoader
from gnnlab.data.store import GraphStore
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError
from gnnlab.nn import (
    GNN,
    BatchNorm,
    FeatureEncoder,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    LinearEncoder,
    MLPHead,
    SAGEConv,
    VirtualNode,
)
from gnnlab.nn.norm import real_rows
from gnnlab.ops import CSR
from gnnlab.training import (
    LAST,
    CosineWithWarmup,
    DivergenceError,
    GraphTask,
    ReduceOnPlateau,
    default_callbacks,
    quiet_lightning,
)
from gnnlab.training.captured import CapturedStep
from gnnlab.training.static import StaticStep, _tensors, _with_tensors

GRAPH_TASK = TaskSpec("graph", 2, "l1", "mae", higher_is_better=False)
NODE_TASK = TaskSpec("node", 3, "weighted_cross_entropy", "macro_f1")


def molecules(count, level):
    graphs = []
    for i in range(count):
        size = 3 + i * 7 % 11
        source = torch.arange(size)
        ring = torch.stack([source, (source + 1) % size])
        chords = torch.randint(size, (2, i % 4))
        graph = Data(x=torch.randn(size, 5), edge_index=torch.cat([ring, ring.flip(0), chords], 1))
        graph.edge_attr = torch.randn(graph.num_edges, 4)
        graph.y = graph.x.mean(0, keepdim=True)[:, :2] if level == "graph" else torch.randint(-1, 3, (size,))
        graphs.append(graph)
    return graphs


class Stored(LightningDataModule):
    def __init__(self, level="graph", pad=True, batch_size=8):
        super().__init__()
        torch.manual_seed(11)
        self.store = GraphStore.from_data_list(molecules(60, level))
        self.pad, self.batch_size = pad, batch_size

    def train_dataloader(self):
        return GraphLoader(self.store, self.batch_size, index=torch.arange(44), shuffle=True, seed=5, pad=self.pad)

    def val_dataloader(self):
        return GraphLoader(self.store, 16, index=torch.arange(44, 60))

    def test_dataloader(self):
        return self.val_dataloader()


def encoder(channels):
    return FeatureEncoder(channels, partial(LinearEncoder, in_channels=5), partial(LinearEncoder, in_channels=4))


def network(conv=GCNConv, level="graph", out_channels=2, **options):
    options = {"norm": BatchNorm, "dropout": 0.2, "encoder": encoder} | options
    return GNN(out_channels, 16, 3, conv=conv, level=level, head=partial(MLPHead, num_layers=2), **options)


class Losses(Callback):
    """The loss of every step, and its learning rate."""

    def __init__(self):
        self.values, self.rates = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(outputs["loss"].item())
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def adam(parameters):
    return torch.optim.AdamW(parameters, lr=0.01)


def fit(capture, *, level="graph", model=network, pad=None, epochs=2, callbacks=(), ckpt_path=None, **options):
    seed_everything(2, verbose=False)
    spec = GRAPH_TASK if level == "graph" else NODE_TASK
    schedule, optimizer = options.pop("schedule", None), options.pop("optimizer", adam)
    net = model() if level == "graph" else model(level="node", out_channels=3)
    task = GraphTask(net, spec, optimizer, schedule, capture=capture)
    losses = Losses()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "inference_mode": False}
    quiet["precision"] = "64-true"
    options = {"max_epochs": epochs, "accelerator": "cpu", "enable_checkpointing": bool(callbacks)} | quiet | options
    with quiet_lightning():
        trainer = Trainer(**options, callbacks=[losses, *callbacks])
        trainer.fit(task, Stored(level, capture if pad is None else pad), ckpt_path=ckpt_path)
    return SimpleNamespace(losses=losses, task=task, trainer=trainer, logged=dict(trainer.callback_metrics))


def assert_same_run(one, other):
    """Float64 runs, so that what differs is the program and not the order of a sum."""
    losses = [torch.tensor(run.losses.values, dtype=torch.float64) for run in (one, other)]
    torch.testing.assert_close(*losses, atol=1e-6, rtol=1e-6)
    for name, value in one.logged.items():
        torch.testing.assert_close(value, other.logged[name], atol=1e-5, rtol=1e-5, msg=name)


def per_step(optimizer, epochs):
    return CosineWithWarmup(optimizer, epochs, warmup_epochs=2, per_step=True)


def test_fifty_steps_have_the_losses_of_the_plain_loop():
    options = {"epochs": 9, "gradient_clip_val": 0.1, "schedule": per_step}
    plain, captured = fit(False, **options), fit(True, **options)
    assert len(plain.losses.values) == 54
    assert captured.losses.rates == plain.losses.rates
    assert captured.trainer.global_step == plain.trainer.global_step == 54
    assert_same_run(captured, plain)
    for name, value in plain.task.state_dict().items():
        torch.testing.assert_close(captured.task.state_dict()[name], value, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("conv", [GINEConv, partial(GatedGCNConv, norm=BatchNorm)])
def test_edges_and_virtual_nodes_are_normalised_without_padding(conv):
    model = partial(network, conv, virtual_node=VirtualNode, pool="max", jumping_knowledge="sum")
    assert_same_run(fit(True, model=model, epochs=4), fit(False, model=model, epochs=4))


def test_padded_nodes_are_unlabelled():
    assert_same_run(fit(True, level="node", epochs=4), fit(False, level="node", epochs=4))


def test_padding_serves_the_plain_loop_too():
    assert_same_run(fit(False, pad=True, epochs=3), fit(False, epochs=3))


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping(algorithm):
    options = {"gradient_clip_val": 1e-4, "gradient_clip_algorithm": algorithm, "epochs": 1}
    options["optimizer"] = partial(torch.optim.RMSprop, lr=1e-3, eps=1.0)
    plain, captured = fit(False, **options), fit(True, **options)
    torch.testing.assert_close(captured.task.state_dict(), plain.task.state_dict(), atol=1e-6, rtol=1e-4)


def test_bf16():
    plain, captured = (fit(capture, precision="bf16-mixed", epochs=3) for capture in (False, True))
    losses = [torch.tensor(run.losses.values) for run in (captured, plain)]
    torch.testing.assert_close(*losses, atol=0.05, rtol=0.05)


def test_a_plateau_watches_the_same_values():
    def schedule(optimizer, epochs):
        return ReduceOnPlateau(optimizer, epochs, patience=0, monitor="train/loss")

    plain, captured = (fit(capture, schedule=schedule, epochs=6) for capture in (False, True))
    assert captured.losses.rates == plain.losses.rates
    assert len(set(plain.losses.rates)) > 1


def test_a_diverged_run_is_stopped(tmp_path):
    class Poison(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 3:
                batch.x = batch.x * torch.inf

    with pytest.raises(DivergenceError, match="epoch 0, batch 3:"):
        fit(True, callbacks=[Poison(), *default_callbacks(GRAPH_TASK, tmp_path)])


@pytest.mark.parametrize("schedule", [None, per_step])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, schedule):
    class StopAfterOne(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = True

    def run(folder, *extra, **options):
        callbacks = [*extra, *default_callbacks(GRAPH_TASK, tmp_path / folder)]
        return fit(True, callbacks=callbacks, epochs=3, schedule=schedule, precision="32-true", **options)

    whole = run("whole")
    first = run("part", StopAfterOne())
    rest = run("part", ckpt_path=tmp_path / "part" / LAST)
    assert first.losses.values + rest.losses.values == whole.losses.values
    for name, value in whole.task.state_dict().items():
        assert torch.equal(rest.task.state_dict()[name], value), name


@pytest.mark.parametrize("captured_first", [True, False])
def test_a_checkpoint_is_one_of_an_ordinary_run(tmp_path, captured_first):
    fit(captured_first, callbacks=default_callbacks(GRAPH_TASK, tmp_path), epochs=2)
    callbacks = default_callbacks(GRAPH_TASK, tmp_path)
    resumed = fit(not captured_first, callbacks=callbacks, epochs=3, ckpt_path=tmp_path / LAST)
    assert resumed.trainer.global_step == 18
    whole = fit(False, epochs=3)
    torch.testing.assert_close(resumed.logged, whole.logged, atol=1e-5, rtol=1e-5)


class Meddling(Callback):
    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate_grad_batches": 2}, "accumulate_grad_batches=2"),
        ({"detect_anomaly": True}, "detect_anomaly"),
        ({"precision": "16-true"}, "precision=16-true"),
        ({"callbacks": [Meddling()]}, r"Meddling\.on_before_optimizer_step"),
        ({"callbacks": [StochasticWeightAveraging(1e-3)]}, "StochasticWeightAveraging"),
        ({"optimizer": partial(torch.optim.SGD, lr=0.1)}, "SGD needs the host"),
        ({"model": partial(network, norm=nn.BatchNorm1d)}, "BatchNorm1d would count"),
        ({"strategy": "ddp", "devices": 1}, "strategy DDPStrategy"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        fit(True, **options)


def test_links_are_refused():
    with pytest.raises(ConfigError, match="link task"):
        GraphTask(network(), TaskSpec("link", 2, "bce", "mrr"), capture=True)


class Replays:
    """Records by remembering the program, as a GPU would its kernels."""

    def __init__(self):
        self.calls = []

    def warm_up(self, program):
        self.calls.append("warm up")
        return program()

    def record(self, program):
        self.calls.append("record")

        def replay():
            self.calls.append("replay")
            return program()

        return replay


def test_two_steps_of_a_shape_are_ordinary_then_it_is_recorded_once():
    recorder = Replays()
    step = StaticStep(lambda batch: (batch.x.sum() * 2,), recorder)
    batches = [Data(x=torch.full((rows, 1), float(value))) for value in range(5) for rows in (2, 3)]
    assert [step(batch)[0].item() for batch in batches] == [2.0 * batch.x.sum().item() for batch in batches]
    once = ["warm up", "warm up", "record", "replay", "replay", "replay"]
    assert recorder.calls[::2][:2] == ["warm up"] * 2
    assert sorted(recorder.calls) == sorted(2 * once)


def test_the_step_reads_buffers_and_nothing_of_an_earlier_batch():
    seen = []

    def program(batch):
        seen.append((batch.x.data_ptr(), batch.adj.ptr.data_ptr(), batch.padding[3].data_ptr()))
        assert "names" not in batch
        return batch.x.sum(), batch.adj.memo("sources", lambda: batch.adj.src.sum()), batch.padding[3] + 0

    def batch(value):
        edge_index = torch.tensor([[0, value], [1, 0]])
        data = Data(x=torch.full((3, 1), float(value)), edge_index=edge_index, names=[str(value)], kind="ring")
        data.adj, data.padding = CSR.from_edge_index(edge_index, 3), {3: torch.tensor(value)}
        return data

    step = StaticStep(program)
    assert [[int(out) for out in step(batch(value))] for value in (1, 2)] == [[3, 1, 1], [6, 2, 2]]
    assert seen[0] == seen[1]


def test_recorded_training_is_training(monkeypatch):
    recorder, plain = Replays(), fit(False, epochs=4)
    monkeypatch.setattr("gnnlab.training.task.CapturedStep", partial(CapturedStep, recorder=recorder))
    assert_same_run(fit(True, epochs=4), plain)
    assert recorder.calls.count("record") <= 8
    assert len(recorder.calls) - recorder.calls.count("record") == 24


CONVS = {
    "gcn": {"conv": GCNConv},
    "gine": {"conv": GINEConv, "virtual_node": VirtualNode},
    "gated": {"conv": partial(GatedGCNConv, norm=BatchNorm)},
    "gat": {"conv": GATConv},
    "sage": {"conv": SAGEConv, "pool": "max"},
    "gin": {"conv": GINConv, "jumping_knowledge": "score"},
}


def _differentiate_on_meta(**options):
    """There are no values on the meta device: who waits for one, or shapes a tensor by it, fails."""
    task = GraphTask(network(**options), GRAPH_TASK, capture=True).to("meta")
    batch = next(iter(Stored().train_dataloader()))
    batch = _with_tensors(batch, {name: tensor.to("meta") for name, tensor in _tensors(batch).items()})
    with real_rows(task, batch.padding):
        loss, _ = task._loss(batch, 0, "train")
    loss.backward()
    nn.utils.clip_grad_norm_(task.parameters(), 1.0)


@pytest.mark.parametrize("name", CONVS)
def test_models_can_be_recorded(name):
    _differentiate_on_meta(**CONVS[name])


def test_a_complete_graph_cannot():
    with pytest.raises(RuntimeError, match="meta"):
        _differentiate_on_meta(fully_adjacent_last=True)


def test_batches_without_padding_have_too_many_shapes():
    step = StaticStep(lambda batch: (batch.x.sum(),))
    for rows in range(64):
        step(Data(x=torch.ones(rows, 1)))
    with pytest.raises(ConfigError, match=r"data\.pad=true"):
        step(Data(x=torch.ones(64, 1)))
