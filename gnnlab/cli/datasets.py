"""``gnnlab datasets list|fetch|verify [names]``: what there is, getting it, and whether it is the published one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gnnlab.cli._availability import is_here, origin
from gnnlab.cli._console import make_console
from gnnlab.data.card import Card, card, card_names
from gnnlab.errors import GnnlabError, SourceError
from gnnlab.resources import cache_root

if TYPE_CHECKING:
    from gnnlab.data.verify import Finding

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Dispatch; ``fetch`` and ``verify`` return 1 if something was not as it should be."""
    parser = argparse.ArgumentParser(prog="gnnlab datasets", description=__doc__, allow_abbrev=False)
    parser.add_argument("action", choices=list(_ACTIONS), nargs="?", default="list")
    parser.add_argument("names", nargs="*", help="datasets (default: all)")
    options = parser.parse_args(argv)
    cards = [card(name) for name in options.names or card_names()]
    return _ACTIONS[options.action](cards, bool(options.names), make_console())


def _list(cards: Sequence[Card], named: bool, console: Console) -> int:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("dataset", "predicts", "metric", "graphs", "nodes", "edges", "splits (folds)", "files"):
        justify = "right" if name in ("graphs", "nodes", "edges") else "left"
        table.add_column(name, justify=justify, no_wrap=name == "dataset")
    for each in cards:
        published = each.published
        table.add_row(
            each.name,
            f"{each.task.out_channels} per {each.task.level}",
            f"{each.task.metric} {'↑' if each.task.higher_is_better else '↓'}",
            *(_first(published, *facts) for facts in _FACTS),
            ", ".join(s if folds == 1 else f"{s} ({folds})" for s, folds in each.split.schemes.items()),
            origin(each, cache_root()),
        )
    console.print(table)
    console.print("nodes and edges: mean per graph as published; files: where they are or would come from")
    return 0


def _fetch(cards: Sequence[Card], named: bool, console: Console) -> int:
    from gnnlab.data.files import fetch

    failed = 0
    for each in cards:
        try:
            files = fetch(each)
        except GnnlabError as error:
            failed += 1
            console.print(Text.assemble((f"{each.name}: ", "bold red"), str(error)))
            continue
        text = f"{len(files)} files verified" if files else "generated, nothing to fetch"
        console.print(Text.assemble((f"{each.name}: ", "bold"), text))
    return 1 if failed else 0


def _verify(cards: Sequence[Card], named: bool, console: Console) -> int:
    from gnnlab.data.load import verify_dataset

    wrong: list[str] = []
    absent: list[str] = []
    for each in cards:
        # Verifying everything must not start downloading gigabytes; a set asked for by name may.
        if not named and not is_here(each, cache_root()):
            absent.append(each.name)
            continue
        try:
            findings = verify_dataset(each.name)
        except SourceError as error:
            absent.append(each.name)
            console.print(Text.assemble((f"{each.name}: not available here\n", "yellow"), str(error)))
            continue
        except GnnlabError as error:
            wrong.append(each.name)
            console.print(Text.assemble((f"{each.name}: wrong\n", "bold red"), str(error)))
            continue
        console.print(_findings_table(each, findings))
        if each.exact:
            console.print(Text(each.exact.strip()), "")
        if any(finding.verdict == "wrong" for finding in findings):
            wrong.append(each.name)
    if absent:
        console.print(Text(f"not available here (neither in the cache nor in a mirror): {', '.join(absent)}"))
    verified = len(cards) - len(absent) - len(wrong)
    console.print(Text(f"{verified} as published or as stated, {len(wrong)} wrong, {len(absent)} not available here"))
    return 1 if wrong else 0


def _findings_table(each: Card, findings: Sequence[Finding]) -> Table:
    table = Table(title=f"{each.name}: {each.title}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in ("fact", "published", "computed", ""):
        table.add_column(name, justify="right" if name in ("published", "computed") else "left")
    for finding in findings:
        mark = _VERDICTS[finding.verdict]
        table.add_row(finding.fact, _shown(finding.published, ".10g"), _shown(finding.computed), mark)
    return table


def _first(published: dict[str, Any], *facts: str) -> str:
    return next((_shown(published[fact]) for fact in facts if fact in published), "")


def _shown(value: Any, digits: str = ".2f") -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name} {_shown(sizes)}" for name, sizes in value.items())
    if isinstance(value, list):
        folds = value if value and isinstance(value[0], list) else [value]
        distinct = list(dict.fromkeys("/".join(map(str, fold)) for fold in folds))
        return distinct[0] + (f" and {len(distinct) - 1} more" if len(distinct) > 1 else "")
    return f"{value:,{digits}}" if isinstance(value, float) else f"{value:,}"


_ACTIONS = {"list": _list, "fetch": _fetch, "verify": _verify}
_FACTS = (("graphs",), ("mean_nodes", "nodes"), ("mean_edges", "mean_undirected_edges", "edges"))
_VERDICTS = {"ok": "[green]ok[/]", "stated": "[yellow]differs as stated[/]", "wrong": "[bold red]wrong[/]"}
