"""The table of separated graphs from the command line."""

from __future__ import annotations

import json

import pytest


@pytest.mark.mirror
def test_a_row_of_brec(mirror, gnnlab, tmp_path) -> None:
    path = tmp_path / "rows.json"
    arguments = ["--encoding", "closed walks, k <= 8", "--colouring", "multiset", "--json", path]
    code, out, _ = gnnlab("separation", *arguments)
    assert code == 0
    assert " 209 " in out
    row = json.loads(path.read_text())["rows"][0]
    assert row["separated"] == {
        "Basic": 60, "Regular": 50, "StrReg": 0, "Extension": 99, "CFI": 0, "4-vertex": 0, "DistReg": 0
    }  # fmt: skip
    assert row["total"] == len(row["pairs"]) == 209


@pytest.mark.mirror
def test_a_family(mirror, gnnlab) -> None:
    code, out, _ = gnnlab("separation", "--dataset", "sr16622", "--encoding", "gnnlab.encodings.WeisfeilerLehmanPE")
    assert code == 0
    assert "WeisfeilerLehmanPE   multiset" in out


@pytest.mark.mirror
def test_refinements_by_name(mirror, gnnlab, tmp_path) -> None:
    path = tmp_path / "rows.json"
    names = ["swl-vs", "1,2-wl", "1-WL"]
    arguments = [argument for name in names for argument in ("--encoding", name)]
    code, _, _ = gnnlab("separation", "--dataset", "sr16622", *arguments, "--json", path)
    assert code == 0
    rows = json.loads(path.read_text())["rows"]
    assert [(row["encoding"], row["colouring"], row["classes"], row["unstable"]) for row in rows] == [
        ("swl-vs", "multiset", 1, 0),
        ("1,2-wl", "multiset", 2, 0),
        ("1-WL", "multiset", 1, 0),
        ("1-WL", "wl", 1, 0),
    ]


@pytest.mark.mirror
def test_what_cannot_be_computed_is_left_out(mirror, gnnlab) -> None:
    code, out, _ = gnnlab("separation", "--dataset", "sr16622", "--encoding", "gnnlab.encodings.RowNormalize")
    assert code == 1
    assert "left out: gnnlab.encodings.RowNormalize: RowNormalize: writes no" in out


def test_unknown_refinement(gnnlab) -> None:
    code, _, err = gnnlab("separation", "--encoding", "psw-vs")
    assert code == 2
    assert "unknown encoding 'psw-vs'" in err
    assert "did you mean 'pswl-vs'" in err


def test_unknown_encoding(gnnlab) -> None:
    code, _, err = gnnlab("separation", "--encoding", "gnnlab.encodings.RandomWolkPE")
    assert code == 2
    assert "unknown encoding 'gnnlab.encodings.RandomWolkPE'" in err
