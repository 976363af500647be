"""The committed results file: append, read back, refuse what is not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnnlab.benchmark.comparison import compare_records
from gnnlab.benchmark.results import append_results, read_results, result_of
from gnnlab.errors import DataError


@pytest.fixture
def result(make_record, published_spec):
    records = [make_record(test=v, seed=s, spec=published_spec) for s, v in enumerate((0.68, 0.69))]
    return result_of(compare_records(records)[0], 'gnnlab reproduce "x, y" --seeds 2')


def test_append_and_read(result, tmp_path: Path) -> None:
    path = tmp_path / "results" / "lrgb.csv"
    append_results([result], path)
    append_results([result], path)
    assert read_results(path) == [result]
    assert read_results(path.parent) == [result]
    assert (result.mean, result.runs, result.published) == ("0.685", "2 seeds", "0.686 ± 0.005")
    assert (result.date, result.commit, result.hardware) == ("2026-01-02", "c0ffee", "a processor, 2 threads")
    assert float(result.p_value) == pytest.approx(0.86, abs=0.02)


def test_another_file_is_refused(result, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a results file"):
        append_results([result], path)
    assert path.read_text() == "a,b\n1,2\n"
    good = append_results([result], tmp_path / "good.csv")
    good.write_text(good.read_text() + "cut,short\n")
    with pytest.raises(DataError, match="line 3"):
        read_results(good)
