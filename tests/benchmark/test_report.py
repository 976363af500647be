"""Every form of a report carries the numbers, the comparison and what has to be said beside it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from gnnlab.benchmark.comparison import compare_records
from gnnlab.benchmark.experiment import ExperimentSpec, Published
from gnnlab.benchmark.report import html_page, markdown, terminal_tables, write_report
from gnnlab.benchmark.statistics import Sample, compare


@pytest.fixture
def rows(make_record, published_spec):
    gcn = [make_record(test=v, seed=s, spec=published_spec) for s, v in enumerate((0.684, 0.69, 0.679))]
    gin_spec = ExperimentSpec(
        title="GIN <&|",
        protocol="gin-cv",
        folds=10,
        published=Published("accuracy", 89.4, 5.6, 10, "Xu et al.", note="a note"),
        others=[Published("accuracy", 88.0, source="another paper")],
    )
    gin = [
        make_record(test=None, fold=f, spec=gin_spec, metric="accuracy", experiment="tu/mutag/gin", curve=c)
        for f, c in enumerate([(0.8, 0.9), (0.7, 0.85)])
    ]
    changed = make_record(test=0.5, config_hash="f" * 16, overrides=["--trainer.max_epochs=2"], spec=published_spec)
    return compare_records([*gcn, *gin, changed])


def test_groups_order_and_units(rows) -> None:
    assert [(row.suite, len(row.records)) for row in rows] == [
        ("lrgb/peptides-func", 3),
        ("lrgb/peptides-func", 1),
        ("tu/mutag", 2),
    ]
    gin = rows[2]
    assert gin.percent
    assert gin.outcome.sample.mean == pytest.approx(87.5)
    assert gin.outcome.sample.std == pytest.approx(3.5355, abs=1e-4)
    assert gin.verdict.difference == pytest.approx(-1.9)


def test_lower_is_better_comes_lowest_first(make_record) -> None:
    fields = {"metric": "mae", "higher_is_better": False}
    records = [make_record(test=t, experiment=f"zinc/zinc-12k/{n}", **fields) for n, t in (("a", 0.3), ("b", 0.2))]
    assert [row.first.model for row in compare_records(records)] == ["b", "a"]


def test_terminal(rows) -> None:
    buffer = io.StringIO()
    Console(file=buffer, width=200).print(*terminal_tables(rows))
    text = buffer.getvalue()
    for expected in ("0.6843 ± 0.0055", "0.6860 ± 0.0050", "no difference detected (p = ", "3 vs 4 runs", "3 seeds"):
        assert expected in text
    for expected in ("87.50 ± 3.54", "89.40 ± 5.60", "accuracy in % ↑", "GIN protocol", "2 of 10 folds"):
        assert expected in text
    assert "one run: no test possible" in text
    assert "not the published settings: --trainer.max_epochs=2" in text


def test_markdown(rows) -> None:
    text = markdown(rows)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "published by Tönshoff et al., 2024" in text
    assert "also accuracy 88, another paper" in text
    assert "GIN <&\\|" in text


def test_html_is_one_escaped_file(rows) -> None:
    page = html_page(rows, "a <title>")
    assert "a &lt;title&gt;" in page
    assert "GIN &lt;&amp;|" in page
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page


def test_an_unverified_number_is_marked_and_gets_no_verdict(make_record) -> None:
    number = Published("accuracy", 72.15, 2.44, 100, "somebody", interval="ci95", verified=False)
    spec = ExperimentSpec(title="GCN", protocol="cv", folds=3, available=100, published=number, others=[number])
    fields = {"metric": "accuracy", "experiment": "rewiring/mutag/gcn-none", "spec": spec}
    rows = compare_records([make_record(test=v, fold=f, **fields) for f, v in enumerate((0.7, 0.8, 0.6))])
    assert rows[0].verdict is None
    assert rows[0].published is None
    text = markdown(rows)
    assert "72.15 ± 2.44 (95 % CI) (unverified)" in text
    assert "p = " not in text
    assert "no comparison" in text
    assert "3 of 100 folds" in text
    assert "published by somebody (unverified)" in text
    assert "also accuracy 72.15 ± 2.44 (95 % CI) (unverified), somebody" in text


def test_a_printed_interval_is_shown_as_printed_and_converted_for_the_test(make_record) -> None:
    number = Published("accuracy", 72.0, 1.96, 100, "somebody", interval="ci95")
    spec = ExperimentSpec(title="GCN", protocol="cv", folds=3, published=number)
    fields = {"metric": "accuracy", "experiment": "rewiring/mutag/gcn-none", "spec": spec}
    rows = compare_records([make_record(test=v, fold=f, **fields) for f, v in enumerate((0.7, 0.8, 0.6))])
    expected = compare(Sample(70.0, 10.0, 3), Sample(72.0, 10.0, 100))
    assert rows[0].verdict.p_value == pytest.approx(expected.p_value)
    assert rows[0].verdict.test == "Welch t-test"
    assert "72.00 ± 1.96 (95 % CI)" in markdown(rows)


def test_columns_about_published_numbers_only_where_there_is_one(make_record) -> None:
    header = [column.header for column in terminal_tables(compare_records([make_record()]))[0].columns]
    assert header == ["model", "ours", "runs", "parameters", "time per run"]


def test_files(rows, tmp_path: Path) -> None:
    picture, text, page = write_report(rows, tmp_path / "new", "title")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert text.read_text(encoding="utf-8").startswith("# title")
    assert page.stat().st_size > 10_000
