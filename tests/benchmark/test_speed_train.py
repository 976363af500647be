"""The networks of ``gnnlab bench train`` and their peers are the same, train alike, and are refused if they are not."""

from __future__ import annotations

import copy
import json
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.utils import is_undirected

from gnnlab.benchmark.speed import _agreement, _epochs, train
from gnnlab.benchmark.speed._agreement import copy_weights, paired, verify
from gnnlab.benchmark.speed._loops import Loop, TrainerLoop, endless
from gnnlab.benchmark.speed._shares import KINDS
from gnnlab.benchmark.speed._workloads import WORKLOADS, Graphs, Setup, Workload, graphs_of, plain, setup_of
from gnnlab.cli.main import main
from gnnlab.data import GraphLoader
from gnnlab.errors import ConfigError, GnnlabError
from gnnlab.ops import use_backend
from gnnlab.training import GraphTask

SMALL = {
    name: replace(workload, width=8 if name.startswith("zinc") else 32, num_layers=3)
    for name, workload in WORKLOADS.items()
}


def made(workload: Workload) -> tuple[Setup, nn.Module, nn.Module]:
    setup = setup_of(workload)
    return setup, setup.network(), workload.peer(workload.width, workload.num_layers)


def compared(setup: Setup, ours: nn.Module, theirs: nn.Module) -> float:
    graphs = graphs_of(setup, 12, generated=True)
    batches = graphs.store[graphs.index], Batch.from_data_list(plain(graphs.store, graphs.index))
    return verify("name", setup, ours, theirs, *batches)


@pytest.mark.parametrize("name", SMALL)
def test_network_and_peer_are_the_same(name: str) -> None:
    assert compared(*made(SMALL[name])) < 2e-5


@pytest.mark.parametrize("name", SMALL)
def test_network_and_peer_are_the_same_by_the_reference(name: str) -> None:
    with use_backend("reference"):
        assert compared(*made(SMALL[name])) < 2e-5


@pytest.mark.parametrize(
    ("name", "parameters"), [("gcn-235", 482_686), ("gine-160", 490_966), ("gatedgcn-95", 492_521)]
)
def test_sizes_of_the_published_networks(name: str, parameters: int) -> None:
    _, ours, theirs = made(WORKLOADS[name])
    assert {sum(p.numel() for p in model.parameters()) for model in (ours, theirs)} == {parameters}


def test_equal_weights_after_copying() -> None:
    _, ours, theirs = made(SMALL["gatedgcn-95"])
    copy_weights(ours, theirs)
    pairs = list(paired(ours, theirs))
    assert {name for name, *_ in pairs} >= {name for name, _ in ours.named_parameters()}
    assert sum(len(parts) for *_, parts in pairs) > len(pairs)  # tables of atoms are many there and one here
    for _, tensor, parts in pairs:
        assert torch.equal(tensor.flatten(), torch.cat([part.flatten() for part in parts]))


def relu_for_gelu(model: nn.Module) -> None:
    model.blocks[1].activation = nn.ReLU()


def no_residual(model: nn.Module) -> None:
    model.blocks[2].residual = False


def no_loops(model: nn.Module) -> None:
    model.blocks[0].conv.add_self_loops = False


def other_eps(model: nn.Module) -> None:
    model.walk[0].eps = 0.1


def more_dropout(model: nn.Module) -> None:
    model.blocks[0].dropout.p = 0.2


def further_layer(model: nn.Module) -> None:
    model.head.append(nn.Linear(10, 10))


def not_a_number(model: nn.Module) -> None:
    model.head[-1].register_forward_hook(lambda module, inputs, out: out * torch.nan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (relu_for_gelu, "computes something else"),
        (no_residual, "computes something else"),
        (no_loops, "computes something else"),
        (other_eps, "computes something else"),
        (not_a_number, "output differs by nan"),
        (more_dropout, "other probabilities of dropout"),
        (further_layer, "other parameters"),
    ],
)
def test_a_wrong_peer_is_refused(change: Callable[[nn.Module], None], message: str) -> None:
    setup, ours, theirs = made(SMALL["gcn-235"])
    change(theirs)
    with pytest.raises(GnnlabError, match=message):
        compared(setup, ours, theirs)


def test_wrong_gradients_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    setup, ours, theirs = made(SMALL["zinc-gcn-64"])
    theirs.blocks[1].conv.lin.weight.register_hook(lambda grad: 1.01 * grad)
    monkeypatch.setattr(_agreement.copy, "deepcopy", lambda model: model)  # a copy would lose the hook
    with pytest.raises(GnnlabError, match=r"gradient of layers\.1\.conv\.lin"):
        compared(setup, ours, theirs)


def test_weights_without_counterpart_are_refused() -> None:
    _, ours, theirs = made(SMALL["zinc-gat-64"])
    ours.layers[0].extra = nn.Linear(2, 2)
    with pytest.raises(GnnlabError, match=r"nothing is known .* layers\.0\.extra\.weight"):
        copy_weights(ours, theirs)
    del ours.layers[0].extra
    theirs.blocks[0].extra = nn.Linear(2, 2)
    with pytest.raises(GnnlabError, match="parameters of its own: blocks"):
        copy_weights(ours, theirs)
    _, _, wider = made(replace(SMALL["zinc-gat-64"], width=16))
    with pytest.raises(GnnlabError, match="has no equal"):
        copy_weights(ours, wider)


@pytest.mark.parametrize("name", ["gcn-235", "zinc-gcn-64"])
def test_generated_graphs_are_like_molecules(name: str) -> None:
    setup = setup_of(WORKLOADS[name])
    store, index, note = graphs_of(setup, 300, seed=1, generated=True)
    again = graphs_of(setup, 300, seed=1, generated=True).store
    assert torch.equal(store.column("edge_index"), again.column("edge_index"))
    assert "generated" in note
    assert len(store) == index.numel() == 300
    nodes, degree = (151, 2.04) if name == "gcn-235" else (23.2, 2.15)
    assert store.num_nodes / 300 == pytest.approx(nodes, rel=0.15)
    assert store.num_edges / store.num_nodes == pytest.approx(degree, rel=0.03)
    for graph in islice(store, 20):
        assert is_undirected(graph.edge_index)
        assert graph.edge_index.max() < graph.num_nodes


def options(*extra: str) -> Namespace:
    return train._parser().parse_args(["--generated", *extra])


def generated(name: str, count: int = 21) -> tuple[Setup, Graphs]:
    setup = setup_of(SMALL[name])._replace(batch_size=4)
    return setup, graphs_of(setup, count, generated=True)


@pytest.mark.parametrize("whole", [False, True])
def test_both_loaders_deliver_the_same_batches(whole: bool) -> None:
    setup, graphs = generated("gcn-235")
    chosen = options(*["--full-epochs"] * whole)
    graphs = graphs._replace(index=graphs.index.flip(0))
    peers = plain(graphs.store, graphs.index)
    ours, theirs = _epochs._stored(setup, graphs, chosen), _epochs._listed(setup, graphs, peers, chosen)
    batches = list(islice(zip(ours, theirs, strict=False), 12))
    assert {batch.num_graphs for batch, _ in batches} == ({4, 1} if whole else {4})
    for mine, other in batches:
        for key in ("x", "edge_index", "edge_attr", "pe_rwse", "y", "batch"):
            assert torch.equal(mine[key], other[key])
    assert not torch.equal(batches[0][0].y, batches[6][0].y)  # another epoch, another order


@pytest.mark.parametrize("name", ["zinc-gine-64", "zinc-gcn-64"])
def test_all_ways_to_train_give_the_same_weights(name: str, tmp_path: Path) -> None:
    setup, graphs = generated(name)
    # Adam would make a step of every rounding error where a gradient is 0.
    setup = setup._replace(optimizer=partial(torch.optim.SGD, lr=0.05), clip=0.5)
    ours, theirs = setup.network(), SMALL[name].peer(8, 3)
    copy_weights(ours, theirs)
    task = GraphTask(copy.deepcopy(ours), setup.task, setup.optimizer)
    loops = _epochs._loops(setup, graphs, ours, theirs, plain(graphs.store, graphs.index), options("--backends", "all"))
    trainer = TrainerLoop(task, _epochs._stored(setup, graphs, options()), setup.clip, "cpu", str(tmp_path))
    for each in (*loops.values(), trainer):
        assert each.turn(2, 1) > 0
        assert each.turn(4, 0) > 0
    wanted = loops["gnnlab"].model
    assert not torch.equal(wanted.readout.head[1].weight, ours.readout.head[1].weight)
    for one, other in zip(wanted.parameters(), task.model.parameters(), strict=True):
        assert torch.equal(one, other)
    for peer in (loops["pyg"].model, loops["pyg, our loader"].model):
        for key, tensor, parts in paired(wanted, peer):
            found = torch.cat([part.flatten() for part in parts])
            torch.testing.assert_close(found, tensor.flatten(), rtol=1e-4, atol=1e-5, msg=key)


def test_a_turn_takes_exactly_its_batches(tmp_path: Path) -> None:
    setup, graphs = generated("zinc-gcn-64")
    taken: list[int] = []

    def counted():
        for batch in endless(GraphLoader(graphs.store, 4)):
            taken.append(batch.num_graphs)
            yield batch

    network = setup.network()
    loop = Loop(network, counted(), lambda pred, y: pred.sum(), setup.optimizer(network.parameters()), None)
    loop.turn(3, 1)
    assert len(taken) == 4
    TrainerLoop(GraphTask(network, setup.task), counted(), None, "cpu", str(tmp_path)).turn(3, 1)
    assert len(taken) == 8


def test_table_and_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "train.json"
    arguments = ["--model", "zinc-gcn-64", "zinc-gat-64", "--width", "8", "--graphs", "20", "--batch-size", "4"]
    arguments += ["--generated", "--rounds", "2", "--steps", "2", "--threads", "1", "--profile", "--backends", "all"]
    threads = torch.get_num_threads()
    assert main(["bench", "train", *arguments, "--output", str(path)]) == 0
    assert torch.get_num_threads() == threads
    printed = capsys.readouterr().out
    assert "extrapolated" in printed
    assert "20 generated graphs" in printed

    content = json.loads(path.read_text())
    assert {"command", "hardware", "versions", "seed", "rounds", "tolerance", "rows"} <= set(content)
    assert content["command"].startswith("gnnlab bench train --model zinc-gcn-64")
    assert [row["model"] for row in content["rows"]] == ["zinc-gcn-64", "zinc-gat-64"]
    for row in content["rows"]:
        assert set(row["outcomes"]) == {"pyg", "gnnlab", "gnnlab-trainer", "gnnlab, torch", "pyg, our loader"}
        assert row["outcomes"]["pyg"]["ratio"] == 1
        assert all(len(each["ratios"]) == 2 and each["epoch"] > 0 for each in row["outcomes"].values())
        assert (row["steps"], row["steps_per_epoch"], row["extrapolated"]) == (2, 5, True)
        for shares in row["shares"].values():
            assert set(shares) == set(KINDS)
            assert sum(shares.values()) == pytest.approx(1)
            assert min(shares[kind] for kind in ("matmul", "aggregation", "normalisation", "loading")) > 0


def test_whole_epochs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "train.json"
    arguments = ["--model", "gine-160", "--width", "32", "--graphs", "10", "--batch-size", "4", "--full-epochs"]
    assert train.main([*arguments, "--generated", "--rounds", "1", "--threads", "1", "--json", str(path)]) == 0
    assert "whole epochs" in capsys.readouterr().out
    row = json.loads(path.read_text())["rows"][0]
    assert (row["steps"], row["extrapolated"], row["shares"]) == (3, False, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "zinc-gnc-64"], "unknown model 'zinc-gnc-64', did you mean 'zinc-gcn-64'?"),
        (["--device", "cudda"], "did you mean 'cuda'?"),
        (["--backends", "al"], "did you mean 'all'?"),
        (["--round", "3"], "did you mean '--rounds'?"),
        (["--workers", "-1"], "'-1' is not a whole number"),
        (["--model", "gcn-235", "--width", "8"], "positional encodings take 28 channels, the model has 8"),
        (["--model", "zinc-gat-64", "--width", "10", "--generated"], "4 concatenated heads do not divide 10 channels"),
        (["--steps", "0"], "'0' is not a whole number from 1"),
        (["--model", "zinc-gcn-64", "--generated", "--graphs", "5"], "5 graphs do not fill a batch of 128"),
    ],
)
def test_errors_name_what_was_meant(arguments: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ConfigError) as caught:
        train.main(arguments)
    assert message in str(caught.value)
    assert main(["bench", "train", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device() -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        train.main(["--device", "cuda"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", WORKLOADS)
def test_on_a_gpu(name: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    arguments = ["--model", name, "--device", "cuda", "--graphs", "40", "--batch-size", "8", "--generated", "--profile"]
    assert train.main([*arguments, "--rounds", "1", "--steps", "2", "--output", str(path)]) == 0
    row = json.loads(path.read_text())["rows"][0]
    assert all(each["epoch"] > 0 for each in row["outcomes"].values())
    assert sum(row["shares"]["gnnlab"].values()) == pytest.approx(1)
