"""What holds for every encoding, whichever it is: on a graph, a batch, a store and a command line."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Batch, Data

import gnnlab.encodings
from gnnlab.cli.lightning import GnnlabCLI
from gnnlab.data import GraphStore, load
from gnnlab.encodings._pairs import PairEncoding
from gnnlab.errors import ConfigError
from gnnlab.testing import check_transform
from gnnlab.testing._transform_views import batch_views, view
from gnnlab.transform import Transform

NOT_ENCODINGS = {"RowNormalize", "EncodingTargets"}
EVERY = [getattr(gnnlab.encodings, name) for name in gnnlab.encodings.__all__ if name not in NOT_ENCODINGS]
PAIRS = [kind for kind in EVERY if issubclass(kind, PairEncoding)]
COLUMNS = ("pe_", "edge_pe_", "pair_pe_")
COMPANIONS = ("_values", "_mask", "_group", "_gap", "_whole")


def molecules(count: int = 8) -> list[Data]:
    """Trees with a ring closure, of 5 nodes and more, and what is left without any edges."""
    generator = torch.Generator().manual_seed(4)
    graphs = [Data(x=torch.ones(n, 1), edge_index=torch.zeros(2, 0, dtype=torch.long), y=torch.ones(1)) for n in (2, 3)]
    for index in range(count):
        n = 5 + index
        child = torch.arange(1, n)
        parent = (torch.rand(n - 1, generator=generator) * child).long()
        one_way = torch.cat([torch.stack([child, parent]), torch.tensor([[n - 1], [0]])], 1).unique(dim=1)
        edges = torch.cat([one_way, one_way.flip(0)], 1).unique(dim=1)
        graphs.append(Data(x=torch.ones(n, 1), edge_index=edges, y=torch.ones(1)))
    return graphs


def written(data: Data) -> dict[str, torch.Tensor]:
    """Encodings as features: name -> rows, without what accompanies them."""
    names = [key for key in data.to_dict() if key.startswith(COLUMNS) and not key.endswith(COMPANIONS)]
    return {name: data[name] for name in sorted(names)}


@pytest.mark.parametrize("kind", EVERY)
def test_keeps_the_contract(kind: type[Transform]) -> None:
    check_transform(kind())


@pytest.mark.parametrize("pairs", ["edges", "hops", "all"])
@pytest.mark.parametrize("kind", PAIRS)
def test_keeps_the_contract_with_pairs(kind: type[PairEncoding], pairs: str) -> None:
    check_transform(kind(pairs=pairs))


@pytest.mark.parametrize("kind", EVERY)
def test_a_graph_alone_in_a_batch_and_in_a_store(kind: type[Transform]) -> None:
    encode, graphs = kind(), molecules()
    mapped = GraphStore.from_data_list(graphs).map(encode, chunk_nodes=30)
    together = batch_views(encode(Batch.from_data_list(graphs)))
    for index, graph in enumerate(graphs):
        alone = view(encode(graph))
        for other in (together[index], view(mapped[index])):
            for rows, expected in ((other.nodes, alone.nodes), (other.others, alone.others)):
                assert set(rows) == set(expected)
                for key, value in expected.items():
                    assert torch.allclose(rows[key].double(), value.double(), atol=1e-5), (index, key)


@pytest.mark.parametrize("kind", EVERY)
def test_says_what_it_costs_and_what_it_writes(kind: type[Transform]) -> None:
    text = inspect.getdoc(kind)
    for section in ("Cost:", "Args:", "Shapes:", "Example:"):
        assert section in text, section
    features = written(kind()(molecules()[-1]))
    assert features
    for name, rows in features.items():
        assert rows.dtype == torch.float32, name
        assert rows.dim() == 2, name


@pytest.mark.parametrize("kind", EVERY)
def test_half_precision_features_make_no_difference(kind: type[Transform]) -> None:
    """Encodings are functions of the structure; a graph whose features are float16 gets the same float32 numbers."""
    graph = molecules()[-1]
    half = graph.clone()
    half.x = graph.x.half()
    first, second = written(kind()(graph)), written(kind()(half))
    assert all(torch.equal(rows, second[name]) for name, rows in first.items())


MODEL = "--model.model.init_args"
# Prefix of a feature -> the encoder's argument, and the width that its result must have in a model of width 16.
SLOTS = {"pe_": ("encodings+", 4), "edge_pe_": ("edge_encodings+", 16), "pair_pe_": ("pair", None)}


def arguments(kind: type[Transform]) -> list[str]:
    """One encoding, and an encoder for each of its features, on the command line."""
    given = [f"--data.transforms+={kind.__module__.rpartition('.')[0]}.{kind.__name__}", f"{MODEL}.hidden_channels=16"]
    for name, rows in written(kind()(molecules()[-1])).items():
        slot, width = SLOTS[next(prefix for prefix in SLOTS if name.startswith(prefix))]
        encoder = f"{MODEL}.encoder.init_args.{slot}"
        given.append(f"{encoder}=gnnlab.nn.{'PairEncoder' if slot == 'pair' else 'LinearPEEncoder'}")
        settings = {"attribute": name, "in_channels": rows.size(1)} | ({"out_channels": width} if width else {})
        given += [f"{encoder.rstrip('+')}.init_args.{key}={value}" for key, value in settings.items()]
        if slot != "encodings+":
            given.append(f"{MODEL}.conv=gnnlab.nn.GINEConv")
        if slot == "pair":
            given.append(f"{MODEL}.edges=pair")
    return given


@pytest.mark.parametrize("kind", EVERY)
def test_from_the_command_line_cached_by_content(
    kind: type[Transform], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    real = load.cached_store

    def counted(key: str, build: Any, root: Any) -> GraphStore:
        return real(key, lambda: (built.append(key), build())[1], root)

    monkeypatch.setattr(load, "cached_store", counted)
    steps = {"limit_train_batches": 1, "limit_val_batches": 1, "max_steps": 1, "num_sanity_val_steps": 0}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "devices": 1}
    given = ["-c", "encodings/csl/none", "--data.dataset=csl-generated", f"--data.root={tmp_path / 'cache'}"]
    given += arguments(kind)
    for _ in range(2):
        cli = GnnlabCLI(given, folder=lambda cli: tmp_path, **steps, **quiet)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cli.trainer.fit(cli.model, datamodule=cli.datamodule)
        assert torch.isfinite(cli.trainer.callback_metrics["train/loss"])
    # The graphs and the encoded graphs, once each.
    assert len(built) == len(set(built)) == 2


def changes(value: object) -> object:
    """Another value of the same kind; ``None`` where none is known that would be valid."""
    others = {
        bool: lambda v: not v,
        int: lambda v: v + 1,
        float: lambda v: v / 2 if v else 0.5,
        tuple: lambda v: v[:-1],
    }
    return others[type(value)](value) if type(value) in others else None


@pytest.mark.parametrize("kind", EVERY)
def test_every_setting_changes_the_key(kind: type[Transform]) -> None:
    encode = kind()
    assert kind().key() == encode.key()
    other = dataclasses.replace(encode, name="another")
    assert other.key() != encode.key()
    assert not set(written(other(molecules()[-1]))) & set(written(encode(molecules()[-1])))
    keys = {encode.key(), other.key()}
    settings = {field.name: changes(getattr(encode, field.name)) for field in dataclasses.fields(encode)}
    for name, value in settings.items():
        if value is None:
            continue
        try:
            changed = dataclasses.replace(encode, **{name: value})
        except ConfigError:
            continue  # fits no other setting than the one it has
        assert changed.key() not in keys, name
        keys.add(changed.key())
