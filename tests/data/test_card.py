"""Cards: every shipped one parses and leads to a reader; every mistake in one is named."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from pathlib import Path

import pytest
import yaml

from gnnlab.data._sources import UNPACKERS
from gnnlab.data.card import card, card_names, read_card
from gnnlab.errors import ConfigError

MINIMAL = {
    "name": "tiny",
    "title": "Tiny",
    "paper": "none",
    "licence": "CC0",
    "reader": "gnnlab.data.readers.peptides.read_peptides_func",
    "task": {"level": "graph", "out_channels": 1, "loss": "l1", "metric": "mae", "higher_is_better": False},
    "node_features": 1,
    "edge_features": 0,
    "split": {"default": "official", "schemes": {"official": 1}},
}


def write(folder: Path, text: str | None = None, **changes: object) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text if text is not None else yaml.safe_dump(MINIMAL | changes))
    return path


@pytest.mark.parametrize("name", card_names())
def test_every_shipped_card_is_complete(name: str) -> None:
    parsed = card(name)
    assert parsed.name == name
    assert callable(parsed.read())
    assert parsed.split.schemes[parsed.split.default] >= 1
    assert parsed.paper
    assert parsed.licence
    for spec in parsed.files.values():
        assert spec.mirror or spec.url or spec.archive
        # What a card calls unpinned must be said in words as well.
        assert spec.sha256 or "trusted" in (parsed.exact or "")


@pytest.mark.mirror
def test_every_mirror_file_is_the_one_on_its_card(mirror: Path) -> None:
    sums = mirror / "SHA256SUMS"
    if not sums.is_file():
        pytest.skip("the mirror has no SHA256SUMS")
    listed = {path: digest for digest, path in (line.split(maxsplit=1) for line in sums.read_text().splitlines())}
    specs = [spec for name in card_names() for spec in card(name).files.values() if spec.mirror]
    assert specs
    as_listed = [spec for spec in specs if not spec.packed]
    assert {s.mirror: s.sha256 for s in as_listed} == {s.mirror: listed.get(s.mirror) for s in as_listed}
    for spec in (spec for spec in specs if spec.packed):
        with UNPACKERS[Path(spec.mirror).suffix](mirror / spec.mirror) as content:
            assert hashlib.sha256(content.read()).hexdigest() == spec.sha256, spec.mirror


def test_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'peptides-func'"):
        card("peptide-func")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licens": "MIT"}, r"unknown key 'licens'[\s\S]*did you mean 'licence'"),
        ({"task": MINIMAL["task"] | {"metrik": "ap"}}, r"unknown key 'metrik'[\s\S]*did you mean 'metric'"),
        ({"task": MINIMAL["task"] | {"loss": "bcee"}}, r"'bcee' is not a value of 'loss'[\s\S]*did you mean 'bce'"),
        ({"task": MINIMAL["task"] | {"out_channels": "ten"}}, "'out_channels' must be int"),
        ({"task": "graph"}, "expected a mapping"),
        ({"files": {"a": {"sha": None}}}, r"files\.a: unknown key 'sha'[\s\S]*did you mean 'sha256'"),
        ({"files": {"a": {"sha256": "abc"}}}, "sha256 must be 64 hexadecimal digits"),
        ({"files": {"a": {"archive": {"url": "u"}}}}, "needs 'member'"),
        ({"files": {"a": "path"}}, "described by keys"),
        ({"published": {"graph": 1}}, r"unknown statistic 'graph'[\s\S]*did you mean 'graphs'"),
        ({"published": {"graphs": 1}, "differs": {"nodes": 2}}, "unknown statistic 'nodes'"),
        ({"split": {"default": "offical", "schemes": {"official": 1}}}, "did you mean 'official'"),
        ({"node_features": True}, "'node_features' must be int"),
    ],
)
def test_a_wrong_card_is_refused_with_the_key(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_card(write(tmp_path, **changes))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    content = {key: value for key, value in MINIMAL.items() if key != "licence"}
    with pytest.raises(ConfigError, match="the key 'licence' is missing"):
        read_card(write(tmp_path, yaml.safe_dump(content)))


@pytest.mark.parametrize("text", ["", "a: [", "- 1\n- 2", "a: !!python/object:os.system x"])
def test_a_file_that_is_no_card(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"mapping|not valid YAML"):
        read_card(write(tmp_path, text))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_card(tmp_path / "absent.yaml")


@pytest.mark.parametrize("reader", ["os.no_such_function", "no_such_module.read", "nodots"])
def test_a_reader_that_leads_nowhere(tmp_path: Path, reader: str) -> None:
    with pytest.raises(ConfigError, match="cannot be imported"):
        read_card(write(tmp_path, reader=reader)).read()


def test_tolerance_is_half_a_unit_of_the_last_printed_digit(tmp_path: Path) -> None:
    text = yaml.safe_dump(MINIMAL) + "published: {graphs: 3, mean_nodes: 307.30, mean_edges: 0.5}\n"
    parsed = read_card(write(tmp_path, text + "tolerance: {mean_edges: 0.2}\n"))
    assert parsed.tolerance == {"mean_nodes": pytest.approx(0.005), "mean_edges": 0.2}
    assert type(parsed.published["mean_nodes"]) is float


def test_file_names_are_those_of_upstream(tmp_path: Path) -> None:
    digest = "0" * 64
    files = {
        "query": {"url": "https://host/s/abc/data.csv.gz?dl=1", "sha256": digest},
        "member": {"archive": {"url": "https://host/all.zip"} | {"member": "all/raw/x.pt"}},
        "local": {"mirror": "deep/down/y.txt", "sha256": digest},
    }
    specs = read_card(write(tmp_path, files=files)).files
    assert {role: spec.filename for role, spec in specs.items()} == {
        "query": "data.csv.gz",
        "member": "x.pt",
        "local": "y.txt",
    }
    assert specs["member"].archive.filename == "all.zip"


def test_a_card_is_frozen_and_travels_between_processes(tmp_path: Path) -> None:
    parsed = card(write(tmp_path))
    assert pickle.loads(pickle.dumps(parsed)) == parsed
    with pytest.raises(dataclasses.FrozenInstanceError):
        parsed.name = "other"


def test_a_card_on_the_base_of_another(tmp_path: Path) -> None:
    task = {"level": "node", "out_channels": 5, "loss": "l1_cosine", "metric": "mae"}
    path = write(tmp_path, yaml.safe_dump({"name": "tiny", "base": "csl", "task": task}))
    derived, base = read_card(path), card("csl")
    assert derived.task.out_channels == 5
    assert (derived.files, derived.split, derived.reader) == (base.files, base.split, base.reader)
    with pytest.raises(ConfigError, match="csl"):
        read_card(write(tmp_path, yaml.safe_dump({"name": "tiny", "base": "csll", "task": task})))
