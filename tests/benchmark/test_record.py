"""Records are written whole, read back equal, and addressed by what matters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gnnlab.benchmark.record import FILENAME, find_records, read_record, run_hash, write_json, write_record
from gnnlab.errors import DataError


def test_round_trip(make_record, published_spec, tmp_path: Path) -> None:
    record = make_record(spec=published_spec, curve=(0.1, None, 0.3), transforms=[{"class": "RandomWalkPE"}])
    assert read_record(write_record(record, tmp_path / "a" / "b")) == record


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = write_json({"a": 1}, tmp_path / FILENAME)
    with pytest.raises(TypeError):
        write_json({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_records_are_found_in_order(make_record, tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        write_record(make_record(seed=seed), tmp_path / f"seed-{seed}")
    assert [record.seed for record in find_records(tmp_path)] == [0, 1, 2]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 99}', '{"version": 1, "spec": {}, "x": 1}'])
def test_what_is_no_record_is_refused_with_its_path(content: str, tmp_path: Path) -> None:
    path = tmp_path / FILENAME
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_record(path)
    assert str(path) in str(caught.value)


def test_hash_ignores_order_and_sees_values() -> None:
    assert run_hash({"a": 1, "b": {"c": 2, "d": 3}}) == run_hash({"b": {"d": 3, "c": 2}, "a": 1})
    assert run_hash({"a": 1}) != run_hash({"a": 2})
