"""fit, validate, test and predict on generated data: links from the card, files, resumption."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
import yaml

from gnnlab.cli.lightning import GnnlabCLI
from gnnlab.data.card import card
from gnnlab.training.callbacks import NaNGuard


def test_the_card_fills_in_what_it_knows(write, config) -> None:
    cli = GnnlabCLI(["-c", str(write(config))])
    ring = card("ring-transfer")
    assert cli.model.task == ring.task
    network = cli.resolved["model"]["model"]["init_args"]
    assert network["out_channels"] == ring.task.out_channels
    assert network["in_channels"] == ring.node_features
    assert network["level"] == ring.task.level


def test_an_explicit_input_width_wins(write, config) -> None:
    # A transform that widens x is the reason; the card's other facts have none.
    config["model"]["model"]["init_args"]["in_channels"] = 77
    cli = GnnlabCLI(["-c", str(write(config))], build=False)
    assert cli.resolved["model"]["model"]["init_args"]["in_channels"] == 77


def test_a_network_need_not_take_what_the_card_offers(write, config) -> None:
    config["model"]["model"] = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 3}}
    assert GnnlabCLI(["-c", str(write(config))]).model.model.out_features == 3


def test_configured_callbacks_replace_the_standard_ones(write, config, tmp_path) -> None:
    config["trainer"]["callbacks"] = [{"class_path": "gnnlab.training.NaNGuard"}]
    config["early_stopping"] = {"patience": 5}
    cli = GnnlabCLI(["-c", str(write(config))], folder=lambda cli: tmp_path / "run")
    kinds = [type(callback).__name__ for callback in cli.trainer.callbacks]
    assert kinds.count("NaNGuard") == 1
    assert isinstance(cli.callback(NaNGuard), NaNGuard)
    stopping = next(c for c in cli.trainer.callbacks if type(c).__name__ == "EarlyStopping")
    assert (stopping.monitor, stopping.mode, stopping.patience) == ("val/accuracy", "max", 5)


def test_hash_sees_what_matters_and_nothing_else(write, config) -> None:
    path = str(write(config))

    def hashed(*arguments: str) -> str:
        return GnnlabCLI(["-c", path, *arguments], build=False).run_hash

    base = hashed()
    free = [
        "--seed_everything=7",
        "--data.fold=0",
        "--runs=elsewhere",
        "--experiment.title=x",
        "--trainer.logger=false",
    ]
    assert hashed(*free) == base
    for setting in ("--trainer.max_epochs=4", "--data.batch_size=8", "--early_stopping.patience=3"):
        assert hashed(setting) != base


def test_fit_then_test_then_predict(gnnlab, write, config) -> None:
    path = write(config)
    code, out, _ = gnnlab("fit", "-c", path)
    assert code == 0
    assert "epoch 3/3" in out
    assert "best val/accuracy 0." in out
    folder = Path("runs/tiny/fit/version_0")
    assert {"best.ckpt", "last.ckpt", "metrics.csv", "resolved.yaml"} <= {path.name for path in folder.iterdir()}
    curves = (folder / "metrics.csv").read_text()

    code, out, _ = gnnlab("test", "-c", path)
    assert code == 0
    assert out.count("test/accuracy 0.") == 1
    assert gnnlab("validate", "-c", path)[1].count("val/accuracy 0.") == 1
    assert (folder / "metrics.csv").read_text() == curves

    code, out, _ = gnnlab("predict", "-c", folder / "resolved.yaml")
    assert code == 0
    assert torch.load(folder / "predictions.pt").shape[1] == card("ring-transfer").task.out_channels


def test_resolved_holds_everything_and_runs_again(gnnlab, write, config) -> None:
    gnnlab("fit", "-c", write(config), "--trainer.max_epochs=1")
    path = Path("runs/tiny/fit/version_0/resolved.yaml")
    content = yaml.safe_load(path.read_text())
    assert content["model"]["task"] == card("ring-transfer").task.to_dict()
    assert content["trainer"]["max_epochs"] == 1
    assert content["provenance"]["versions"]["torch"] == torch.__version__
    assert len(content["provenance"]["data_sha256"]) == 64
    again = GnnlabCLI(["-c", str(path)], build=False)
    assert {**again.resolved, "provenance": 0} == {**content, "provenance": 0}


def test_interrupted_fit_tells_how_to_go_on(gnnlab, write, config, monkeypatch) -> None:
    monkeypatch.setattr("gnnlab.cli.train._print_epoch", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    code, _, err = gnnlab("fit", "-c", write(config))
    assert code == 130
    assert "1 epochs are saved in runs/tiny/fit/version_0" in err
    monkeypatch.undo()
    monkeypatch.chdir(write(config).parent)
    command = err.partition("gnnlab ")[2].split()
    code, out, _ = gnnlab(*command)
    assert code == 0
    assert "epoch 1/3" not in out
    assert "epoch 3/3" in out
    assert len(list(Path("runs/tiny/fit").iterdir())) == 1
    assert Path("runs/tiny/fit/version_0/metrics-0.csv").is_file()


def test_no_checkpoint_no_evaluation(gnnlab, write, config) -> None:
    code, _, err = gnnlab("test", "-c", write(config))
    assert code == 2
    assert "best.ckpt" in err


@pytest.mark.parametrize("arguments", [[], ["--trainer.max_epochs=1"]])
def test_without_configuration_the_embedded_default_runs(arguments) -> None:
    from gnnlab.cli._configs import DEFAULT, with_default

    assert with_default(arguments) == ["-c", DEFAULT, *arguments]
    assert GnnlabCLI(with_default(arguments), build=False).card.name == "ring-transfer"
    assert with_default(["--data.dataset=cora"]) == ["--data.dataset=cora"]
