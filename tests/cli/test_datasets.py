"""datasets list, fetch and verify; doctor and bench."""

from __future__ import annotations

import pytest

from gnnlab.data.verify import Finding
from gnnlab.errors import DataError, SourceError


@pytest.fixture
def findings(monkeypatch):
    """What verification finds, per dataset; an error is raised."""
    found: dict[str, object] = {}

    def verify(name: str):
        if isinstance(found[name], Exception):
            raise found[name]
        return found[name]

    monkeypatch.setattr("gnnlab.data.load.verify_dataset", verify)
    return found


def test_list_shows_every_card(gnnlab) -> None:
    from gnnlab.data.card import card_names

    code, out, _ = gnnlab("datasets")
    assert code == 0
    assert all(name in out for name in card_names())
    assert "15,535" in out
    assert "generated" in out


def test_verify_prints_both_and_passes_stated_differences(gnnlab, findings) -> None:
    findings["cora"] = [Finding("nodes", 2708, 2708, "ok"), Finding("edges", 10556.5, 10558, "stated")]
    code, out, _ = gnnlab("datasets", "verify", "cora")
    assert code == 0
    assert "2,708" in out
    assert "10,556.5 " in out
    assert "differs as stated" in out
    assert "1 as published or as stated, 0 wrong, 0 not available here" in out


def test_verify_fails_on_an_unstated_difference(gnnlab, findings) -> None:
    findings["cora"] = [Finding("splits", {"public": [[140, 500, 1000]]}, {"public": [[1, 2, 3]]}, "wrong")]
    findings["citeseer"] = DataError("the graphs are not the published ones")
    code, out, _ = gnnlab("datasets", "verify", "cora", "citeseer")
    assert code == 1
    assert "140/500/1000" in out
    assert "citeseer: wrong" in out
    assert "2 wrong" in out


def test_what_cannot_be_had_is_no_failure(gnnlab, findings) -> None:
    findings["qm9"] = SourceError("no connection")
    code, out, _ = gnnlab("datasets", "verify", "qm9")
    assert code == 0
    assert "not available here" in out
    assert "qm9" in out


def test_verifying_everything_downloads_nothing(gnnlab, findings, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GNNLAB_CACHE", str(tmp_path))
    monkeypatch.delenv("GNNLAB_MIRROR", raising=False)
    asked = []
    monkeypatch.setattr("gnnlab.data.load.verify_dataset", lambda name: asked.append(name) or [])
    code, out, _ = gnnlab("datasets", "verify")
    assert code == 0
    assert "ring-transfer" in asked
    assert "cora" not in asked
    assert "peptides-func" in out


def test_fetch_reports_each_set(gnnlab, monkeypatch) -> None:
    def fetch(card):
        if card.name == "qm9":
            raise SourceError("no connection")
        return dict.fromkeys(card.files)

    monkeypatch.setattr("gnnlab.data.files.fetch", fetch)
    code, out, _ = gnnlab("datasets", "fetch", "ring-transfer", "cora", "qm9")
    assert code == 1
    assert "ring-transfer: generated" in out
    assert "files verified" in out
    assert "qm9: no connection" in out


def test_doctor(gnnlab, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GNNLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GNNLAB_MIRROR", str(tmp_path / "nowhere"))
    code, out, _ = gnnlab("doctor")
    assert code == 0
    for expected in (
        "torch-geometric",
        "rdkit",
        "cpu",
        "writable",
        "not a directory",
        "without the network",
        "reference",
    ):
        assert expected in out
    (tmp_path / "file").touch()
    monkeypatch.setenv("GNNLAB_CACHE", str(tmp_path / "file"))
    assert "NOT writable" in gnnlab("doctor")[1]


def test_bench_lists_what_can_be_measured(gnnlab) -> None:
    code, out, _ = gnnlab("bench")
    assert code == 0
    assert "  data " in out
