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
def test_what_cannot_be_computed_is_left_out(mirror, gnnlab) -> None:
    code, out, _ = gnnlab("separation", "--dataset", "sr16622", "--encoding", "gnnlab.encodings.RowNormalize")
    assert code == 1
    assert "left out: gnnlab.encodings.RowNormalize: RowNormalize: writes no" in out


def test_unknown_encoding(gnnlab) -> None:
    code, _, err = gnnlab("separation", "--encoding", "gnnlab.encodings.RandomWolkPE")
    assert code == 2
    assert "unknown encoding 'gnnlab.encodings.RandomWolkPE'" in err
