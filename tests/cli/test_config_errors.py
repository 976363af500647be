"""Whatever is wrong with a configuration: exit code 2, the key, the nearest valid one, no traceback."""

from __future__ import annotations

import copy

import pytest

NETWORK = "model.model"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        # Accepted as an abbreviation of max_epochs unless the parser is told otherwise.
        ("--trainer.max_epoch=3", ["unknown key 'trainer.max_epoch'", "did you mean 'trainer.max_epochs'"]),
        ("--trainr.max_epochs=3", ["unknown key 'trainr.max_epochs'", "did you mean 'trainer.max_epochs'"]),
        ("--trainer.max_epochs=many", ["trainer.max_epochs: expected int or null, got 'many'"]),
        ("--model.model.num_layer=3", ["unknown key 'num_layer' of gnnlab.nn.GNN", "did you mean 'num_layers'"]),
        ("--model.model.dropout=much", ["model.model.dropout: expected float, got 'much'"]),
        ("--model.model.conv.biass=1", ["model.model.conv: unknown key 'biass'", "did you mean 'bias'"]),
        ("--model.model.norm_position=mid", ["norm_position: 'mid' is not one of"]),
        ("--model.model=gnnlab.nn.GNNN", ["model.model: unknown class_path 'gnnlab.nn.GNNN'", "'GNN'"]),
        (
            "--model.model.conv=gnnlab.nn.GCNCon",
            ["model.model.conv: unknown class_path 'gnnlab.nn.GCNCon'", "'GCNConv'"],
        ),
        ("--model.model=gnlab.nn.GNN", ["unknown class_path 'gnlab.nn.GNN'", "no module 'gnlab'"]),
        ("--model.model.norm=gnnlab.nn.LinearEncoder", ["norm: missing value: in_channels of gnnlab.nn.LinearEncoder"]),
        ("--model.optimizer=AdamWW", ["model.optimizer: unknown class_path 'AdamWW'"]),
        ("--data.dataset=ring-transfr", ["unknown dataset 'ring-transfr'", "did you mean 'ring-transfer'"]),
        ("--data.batch_size=3.5", ["data.batch_size: expected int, got '3.5'"]),
        ("--experiment.protocol=gin", ["experiment.protocol: 'gin' is not one of best-val, cv, gin-cv"]),
        ("--experiment.published.men=3", ["unknown key 'men'", "did you mean 'mean'"]),
        ("--trainer.callbacks+=EarlyStopping", ["trainer.callbacks: missing value: monitor"]),
        ("--model.model.out_channels=77", ["out_channels: 77 contradicts the card of 'ring-transfer'"]),
        ("--model.model.level=link", ["level: 'link' contradicts the card of 'ring-transfer'"]),
        ("extra", ["unexpected 'extra'"]),
    ],
)
def test_command_line(gnnlab, write, config, argument, expected) -> None:
    code, out, err = gnnlab("fit", "-c", write(config), argument)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3
    for text in expected:
        assert text in err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"trainer": {"max_epoch": 3}}, ["unknown key 'trainer.max_epoch'", "did you mean 'trainer.max_epochs'"]),
        ({"trainr": {"max_epochs": 3}}, ["unknown key 'trainr.max_epochs'", "did you mean 'trainer.max_epochs'"]),
        ({"trainer": {"max_epochs": "many"}}, ["trainer.max_epochs: expected int or null, got 'many'"]),
        ({NETWORK: {"num_layer": 3}}, ["unknown key 'num_layer' of gnnlab.nn.GNN", "did you mean 'num_layers'"]),
        ({NETWORK: {"out_channels": 77}}, ["out_channels: 77 contradicts the card"]),
        ({"model": {"task": {"level": "link"}}}, ["tiny.yaml, key model.task", "contradicts the card"]),
        ({"model": {"model": None}}, ["model.model: missing value"]),
        ({"data": {"dataset": None}}, ["data.dataset: missing value"]),
        (
            {"data": {"transforms": [{"class_path": "gnnlab.encodings.RandomWalkP"}]}},
            ["data.transforms", "'RandomWalkPE'"],
        ),
        ({"experiment": {"sed": 1}}, ["unknown key 'experiment.sed'", "did you mean 'experiment.seeds'"]),
    ],
)
def test_file(gnnlab, write, config, change, expected) -> None:
    content = copy.deepcopy(config)
    for group, values in change.items():
        target = content["model"]["model"]["init_args"] if group == NETWORK else content.setdefault(group, {})
        target.update(values)
    code, out, err = gnnlab("fit", "-c", write(content))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) <= 3
    for text in expected:
        assert text in err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [1", "line 1: the configuration is not valid YAML"),
        ("- 1", "a mapping of keys"),
        ("\x00", "not valid YAML"),
    ],
)
def test_what_is_no_configuration(gnnlab, tmp_path, content, expected) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    code, _, err = gnnlab("fit", "-c", path)
    assert code == 2
    assert expected in err
    assert str(path) in err


def test_unknown_configuration_gets_the_nearest(gnnlab) -> None:
    code, _, err = gnnlab("fit", "-c", "quickstart/ring-transfer/gcn-depe")
    assert code == 2
    assert "did you mean 'quickstart/ring-transfer/gcn-deep'?" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("reproduce", "quickstrat"), "did you mean 'quickstart"),
        (("reproduce", "quickstart", "--seeds", "0"), "--seeds: must be at least 1"),
        (("reproduce", "quickstart/ring-transfer/gcn-deep", "--folds", "3"), "has no folds"),
        (("reproduce", "quickstart/ring-transfer/gcn-deep", "--set", "x"), "KEY=VALUE"),
        (("reproduce", "quickstart/ring-transfer/gcn-deep", "--seed", "3"), "unknown key 'seed'"),
        (("datasets", "verify", "corra"), "did you mean 'cora'?"),
        (("bench", "datta"), "did you mean 'data'?"),
    ],
)
def test_other_commands(gnnlab, monkeypatch, tmp_path, arguments, expected) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = gnnlab(*arguments)
    assert code == 2
    assert expected in err
