"""Writes the benchmark pages from what was measured: docs/measurements/*.json and experiments/results/*.csv."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mkdocs_gen_files

from gnnlab.cli import _expressiveness_tables
from gnnlab.pages import markdown_table

Row = dict[str, Any]

_SUBJECTS = {
    "ops": "Kernels",
    "train": "Training",
    "models": "Networks",
    "subgraph": "Subgraphs",
    "data": "Data loading",
    "gpu": "GPU",
}

_DIRECTIONS = {"both": "forward and backward"}
_PM = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"
_DOCS = Path(mkdocs_gen_files.config["docs_dir"])
_RESULTS = _DOCS.parent / "experiments" / "results"


def main() -> None:
    summary = ["* [Overview](index.md)", "* [Results of experiments](results.md)"]
    overview = []
    for path in sorted((_DOCS / "measurements").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        title = _title(path.stem)
        with mkdocs_gen_files.open(f"benchmarks/{path.stem}.md", "w") as file:
            print(
                f"---\nhide: [toc]\n---\n\n# {title}\n",
                _facts(content, path.name),
                _tables(content),
                sep="\n\n",
                file=file,
            )
        summary.append(f"* [{title}]({path.stem}.md)")
        overview.append(
            [f"[{title}]({path.stem}.md)", f"`{_short(_runs(content)[0][0])}`", _day(content), _machine(content)]
        )
    with mkdocs_gen_files.open("benchmarks/index.md", "a") as file:
        print("", markdown_table(["measurement", "command", "date", "hardware"], overview), sep="\n", file=file)
    with mkdocs_gen_files.open("benchmarks/results.md", "w") as file:
        print(_results(), file=file)
    with mkdocs_gen_files.open("benchmarks/SUMMARY.md", "w") as file:
        print(*summary, sep="\n", file=file)


def _title(stem: str) -> str:
    """``bench-ops-2-cores`` -> Kernels, 2 cores; other files by their name."""
    subject, _, rest = stem.removeprefix("bench-").partition("-")
    rest = rest.replace("-", " ").replace("2 cores", "two cores").replace("brec", "BREC").replace("zinc", "ZINC")
    return ", ".join(part for part in (_SUBJECTS.get(subject, subject.capitalize()), rest) if part)


def _short(command: str) -> str:
    return command.split(" --json")[0].split(" --output")[0]


def _day(content: Row) -> str:
    return content.get("date", "")[:10]


def _machine(content: Row) -> str:
    hardware = content["hardware"]
    return ", ".join([hardware["processor"], _count(hardware["cores"], "core"), *map(str, hardware["gpus"])])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _facts(content: Row, name: str) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in content["versions"].items())
    lines = [
        *(
            f"```bash\n{command}\n```\n\nMeasured on {day}; commit `{commit[:10]}`"
            f"{' with changes' if commit.endswith('+') else ''}."
            for command, day, commit in _runs(content)
        ),
        f"On {_machine(content)}, {_count(content['hardware']['threads'], 'thread')}, with {versions}. "
        f"Everything that was written down: [{name}](../measurements/{name}).",
        "\n".join(f"* {note}" for note in content.get("notes", ())),
    ]
    return "\n\n".join(lines)


def _runs(content: Row) -> list[tuple[str, str, str]]:
    """Command, date and commit of every run the rows come from: rows may have their own."""
    own = [row for row in content["rows"] if "command" in row and "commit" in row]
    runs = own if len(own) == len(content["rows"]) > 0 else [content]
    return list(
        dict.fromkeys((run["command"], run.get("date", "")[:10], run.get("commit") or "unknown") for run in runs)
    )


def _tables(content: Row) -> str:
    if content.get("kind") == _expressiveness_tables.KIND:
        return _expressiveness_tables.markdown(content["rows"])
    rows = content["rows"]
    for keys, table in _KINDS:
        if rows and keys <= rows[0].keys():
            return table(rows)
    return _plain(rows)


def _compared(rows: Sequence[Row]) -> str:
    lines = [
        [
            f"{row['what']}<br><small>{row['detail']}</small>",
            _amount(row["ours"], row["unit"]),
            f"{_amount(row['theirs'], row['unit'])}<br><small>{row['peer']}</small>",
            f"**{row['ratio']:.3g}x**",
            "" if row["goal"] is None else f"{row['goal']:g}x",
        ]
        for row in rows
    ]
    return markdown_table(["work", "gnnlab", "peer", "ratio", "goal"], lines)


def _asynchronous(rows: Sequence[Row]) -> str:
    staleness = sorted({row["staleness"] for row in rows})
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        own = {row["staleness"]: row for row in rows if row["model"] == model}
        cells = [f"{own[s]['mean']:.2f}" if s in own else "" for s in staleness]
        lines.append([model, f"{next(iter(own.values()))['synchronous']:.2f}", *cells])
    text = "Error in per cent, in step and with news up to B ticks old, mean over runs.\n\n"
    return text + markdown_table(["model", "in step", *(f"B = {s}" for s in staleness)], lines)


def _separated(rows: Sequence[Row]) -> str:
    titles = list(rows[0]["separated"])
    lines = [
        [row["encoding"], row["colouring"], *(str(row["separated"][title]) for title in titles), f"**{row['total']}**"]
        for row in rows
    ]
    text = "Pairs told apart, exactly. *multiset*: by the values alone; *wl*: by colours refined from them.\n\n"
    return text + markdown_table(["encoding or refinement", "colouring", *titles, "all 400"], lines)


def _epochs(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["outcomes"]))
    lines = []
    for row in rows:
        cells = []
        for name in names:
            outcome = row["outcomes"].get(name)
            cells.append("" if outcome is None else f"{_amount(outcome['epoch'], 's')} ({outcome['ratio']:.2f}x)")
        lines.append([f"{row['model']}<br><small>{row['data']}</small>", f"{row['parameters']:,}", *cells])
    text = "Seconds of a training epoch, and how many times as fast as the first column.\n\n"
    return text + markdown_table(["model", "parameters", *names], lines)


def _kernels(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["others"]))
    lines = []
    for row in rows:
        share = row.get("floor_fraction")
        lines.append(
            [
                f"{row['shape']}<br><small>{row['nodes']:,} nodes, {row['edges']:,} edges</small>",
                f"{row['op']}<br><small>{row['dtype']}, {_DIRECTIONS.get(row['direction'], row['direction'])}</small>",
                str(row["width"]),
                row["backend"],
                _amount(row["ours"]["seconds"], "s"),
                f"{100 * share:.0f} %" if share else "",
                *(_ratio(row["others"].get(name)) for name in names),
            ]
        )
    text = (
        "*Bandwidth*: the bytes that have to be moved at least, per second, as a share of what a plain copy moves. The "
        "columns of the others say how many times as long they take.\n\n"
    )
    return text + markdown_table(["shape", "kernel", "width", "backend", "gnnlab", "bandwidth", *names], lines)


def _ratio(other: Row | None) -> str:
    if other is None or other.get("ratio") is None:
        return ""
    return f"{other['ratio']:.2f}x"


def _plain(rows: Sequence[Row]) -> str:
    """Whatever is a number or a word, for a kind of file this page knows nothing about."""
    keys = [key for key, value in rows[0].items() if not isinstance(value, (dict, list))] if rows else []
    cells = [[f"{row[key]:.4g}" if isinstance(row[key], float) else str(row[key]) for key in keys] for row in rows]
    return markdown_table(keys, cells) if keys else "No rows."


_KINDS: tuple[tuple[set[str], Callable[[Sequence[Row]], str]], ...] = (
    ({"what", "peer", "ours", "theirs", "ratio"}, _compared),
    ({"model", "staleness", "synchronous", "mean"}, _asynchronous),
    ({"encoding", "colouring", "separated", "total"}, _separated),
    ({"model", "outcomes", "parameters"}, _epochs),
    ({"shape", "op", "ours", "others"}, _kernels),
)


def _amount(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value / 2**20:.1f} MiB"
    scale, name = next(((s, n) for s, n in ((1.0, "s"), (1e-3, "ms")) if value >= s), (1e-6, "µs"))
    return f"{value / scale:.3g}\N{NO-BREAK SPACE}{name}"


def _results() -> str:
    parts = [
        "# Results of experiments\n\nWhat `gnnlab reproduce ... --save-results` wrote, beside the published numbers. "
        "A line is one experiment: the test metric at the best validation epoch, mean ± standard deviation over seeds "
        "or folds, and p of Welch's test where both sides state a spread.",
    ]
    for path in sorted(_RESULTS.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(source))
        lines = [
            [
                f"`{row['experiment']}`<br><small>{_difference(row)}</small>",
                row["metric"],
                f"{float(row['mean']):.4g}" + (f"{_PM}{float(row['std']):.3g}" if row["std"] else ""),
                row["published"].replace(" ± ", _PM),
                _singular(row["runs"]),
                row["p_value"],
                f"{row['date']}<br><small>{_singular(row['hardware'])}, commit `{row['commit'][:8]}`</small>",
            ]
            for row in rows
        ]
        header = ["experiment", "metric", "ours", "published", "runs", "p", "when and where"]
        versions = sorted({row["versions"] for row in rows})
        parts.append(f"## {path.stem}\n\n{markdown_table(header, lines)}")
        parts.append("\n".join(f"* {text.replace('==', ' ').replace(' gnnlab', ', gnnlab')}" for text in versions))
    return "\n\n".join(parts) + "\n"


def _singular(text: str) -> str:
    return re.sub(r"\b1 (\w+)s$", r"1 \1", text)


def _difference(row: Row) -> str:
    """What the command says beyond the experiment's own name: settings that were not the published ones."""
    words = shlex.split(row["command"])
    kept = [word for word in words[3:] if word != "--save-results"]
    return " ".join(kept)


main()
