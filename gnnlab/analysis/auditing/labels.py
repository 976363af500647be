"""Section of an audit: what is to be predicted, how well without a model, and what the graph says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from gnnlab.analysis.auditing._facts import number, share
from gnnlab.analysis.auditing._label_figures import balance_figure, target_figure, target_histograms
from gnnlab.analysis.auditing._label_neighbours import NEIGHBOUR_TEXT, neighbour_part
from gnnlab.analysis.auditing.report import AuditTable, Picture, Section
from gnnlab.analysis.auditing.sample import AuditSample
from gnnlab.analysis.ceilings_scores import Targets, best_scores, read_targets
from gnnlab.analysis.duplicates import NoiseFloor, label_noise_floor
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError
from gnnlab.metrics import build_metric

__all__ = ["labels_section"]

_EDGES = 10_000_000
"""Edges of all graphs that are compared with each other; of more, as many graphs are drawn as fit."""

_LINES = 20
_CLASSES = ("cross_entropy", "weighted_cross_entropy")

_NOISE_TEXT = (
    "Two graphs are copies if renumbering the nodes of one gives the other, features included; that is checked "
    "exactly. Where copies have different labels, no function of the graph can be right about both: the noise floor is "
    "the best score that this leaves. Copies of training graphs in the test split are known before the test begins."
)


@torch.no_grad()
def labels_section(sample: AuditSample, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> Section:
    """Balance or spread of the labels, the constant answer, and copies of graphs or homophily of nodes.

    Args:
        sample: What is looked at; all of it, but for copies in datasets of more than ten million edges.
        track: Wraps the chunks of the search for copies.
    """
    try:
        targets = read_targets(sample.store)
    except (ConfigError, DataError) as error:
        return _without(sample, error)
    kind = _kind(targets, sample.task)
    values, described = _DESCRIBED[kind](targets)
    known = targets.known.any(1)
    values |= {
        "kind": kind,
        "labelled": int(known.sum()),
        "unlabelled_share": 1 - float(known.double().mean()),
        "missing_share": 1 - float(targets.known.double().mean()),
        "targets": targets.values.size(1),
        "baseline": _baseline(targets, sample.task),
        "metric": sample.task.metric if sample.task else None,
        "homophily": None,
    }
    part = _of_graphs if targets.level == "graph" else _of_nodes
    more, text, tables, pictures = part(sample, targets, kind, track)
    picture = _pictured(kind, values, targets)
    return Section(
        key="labels",
        title="Labels",
        question="What is to be predicted, what is reached without looking, and can it be right at all?",
        text=(_WHAT[kind].format(level=targets.level), *text),
        tables=(_overview(values, more), described, *tables),
        pictures=(picture, *pictures),
        values=values | more,
    )


def _without(sample: AuditSample, error: Exception) -> Section:
    links = sample.level == "link"
    why = "the task is to predict links, and these have no label of their own" if links else error.what
    return Section(
        key="labels",
        title="Labels",
        question="What is to be predicted?",
        text=(f"Not measured, because {why}. All that follows from the graphs alone is in the other sections.",),
        tables=(AuditTable(("", "found"), (("labels", "none of graphs or nodes"),)),),
        values={"labelled": 0, "homophily": None, "not_measured": why},
    )


def _kind(targets: Targets, task: TaskSpec | None) -> str:
    if not targets.discrete:
        return "numbers"
    several = targets.values.size(1) > 1
    return "labels" if several and (task is None or task.loss not in _CLASSES) else "classes"


_WHAT = {
    "numbers": "Every {level} has numbers to come close to. An error says little by itself: compare it with that of "
    "always giving the same answer, and with the spread of the targets.",
    "classes": "Every {level} has one class. The most frequent one is what a model says that has learned nothing.",
    "labels": "Every {level} has several labels of its own, each there or not. Where a label is rare, saying never is "
    "right nearly always, which is why such tasks are judged by how labels are ranked.",
}


def _numbers(targets: Targets) -> tuple[dict[str, Any], AuditTable]:
    lines, spread = [], []
    for place, (column, known) in enumerate(zip(targets.values.unbind(1), targets.known.unbind(1), strict=True)):
        kept = column[known]
        if not kept.numel():
            continue
        deviation = float(kept.std(correction=0))
        spread.append(deviation)
        cells = (kept.mean(), deviation, kept.min(), kept.median(), kept.max())
        lines.append((f"target {place}", f"{kept.numel():,}", *(number(float(cell)) for cell in cells)))
    note = f"The first {_LINES} of {len(lines)} targets." if len(lines) > _LINES else ""
    header = ("", "known", "mean", "deviation", "least", "median", "most")
    return {"target_std": sum(spread) / len(spread)}, AuditTable(header, tuple(lines[:_LINES]), note)


def _classes(targets: Targets) -> tuple[dict[str, Any], AuditTable]:
    names, counts = targets.values[targets.known].unique(return_counts=True)
    shares = (counts / counts.sum()).tolist()
    names = [f"{name:g}" for name in names.tolist()]
    values = {"classes": len(names), "majority": max(shares), "balance": shares, "names": names}
    order = counts.argsort(descending=True)[:_LINES].tolist() if len(names) > _LINES else range(len(names))
    lines = tuple((f"class {names[row]}", f"{int(counts[row]):,}", share(shares[row])) for row in order)
    note = f"The {_LINES} most frequent of {len(names):,} classes." if len(names) > _LINES else ""
    return values, AuditTable(("", "examples", "share"), lines, note)


def _several(targets: Targets) -> tuple[dict[str, Any], AuditTable]:
    known = targets.known.sum(0)
    positive = ((targets.values > 0) & targets.known).sum(0)
    rates = (positive / known.clamp(min=1)).tolist()
    least = [max(rate, 1 - rate) for rate, there in zip(rates, known.tolist(), strict=True) if there]
    names = [str(place) for place in range(len(rates))]
    values = {"classes": len(rates), "majority": sum(least) / len(least), "balance": rates, "names": names}
    lines = tuple(
        (f"label {place}", f"{there:,}", f"{found:,}", share(rate))
        for place, (there, found, rate) in enumerate(zip(known.tolist(), positive.tolist(), rates, strict=True))
    )
    note = f"The first {_LINES} of {len(lines):,} labels." if len(lines) > _LINES else ""
    return values, AuditTable(("", "known", "positive", "share of the known"), lines[:_LINES], note)


_DESCRIBED = {"numbers": _numbers, "classes": _classes, "labels": _several}


def _baseline(targets: Targets, task: TaskSpec | None) -> float | None:
    """What the best constant answer reaches by the metric of the task."""
    if task is None:
        scores = best_scores(torch.zeros(targets.values.size(0), dtype=torch.long), targets)
        return scores.get("accuracy", scores.get("mae"))
    metric = build_metric(task.metric)
    known = targets.known.any(1)
    wanted = targets.values.masked_fill(~targets.known, torch.nan)[known]
    answer = _constant(wanted, task).expand(wanted.size(0), -1)
    metric.update(answer, wanted[:, 0] if task.loss in _CLASSES else wanted)
    score = float(metric.compute())
    return score if score == score else None


def _constant(wanted: Tensor, task: TaskSpec) -> Tensor:
    """[1, out_channels], the logarithms of the odds, or the mean or median."""
    if task.loss in _CLASSES:
        counts = torch.bincount(wanted[:, 0].long(), minlength=task.out_channels)[None].double()
        return counts.log() if counts.size(1) > 1 else counts
    middle = wanted.nanmedian(0).values if task.metric != "rmse" else wanted.nanmean(0)
    if task.loss == "bce":
        middle = wanted.nanmean(0).logit(eps=1e-9)
    return middle.nan_to_num(0.0)[None]


def _overview(values: dict[str, Any], more: dict[str, Any]) -> AuditTable:
    metric = values["metric"] or ("mean absolute error" if values["kind"] == "numbers" else "accuracy")
    baseline = values["baseline"]
    lines = [
        ("labelled", f"{values['labelled']:,}"),
        ("without any label", share(values["unlabelled_share"])),
        (f"always the same answer ({metric})", "not defined" if baseline is None else number(baseline)),
    ]
    if more.get("duplicates") is not None:
        best = "least mean absolute error" if values["kind"] == "numbers" else "best accuracy"
        lines += [
            ("graphs that have a copy", f"{more['duplicates']:,}"),
            ("... one with another label", f"{more['conflicting']:,}"),
            (f"noise floor ({best} of any function)", number(more["noise_floor"])),
        ]
    if more.get("leaked") is not None:
        lines.append(("test graphs with a copy in training", f"{more['leaked']:,} of {more['tested']:,}"))
    return AuditTable(("", "found"), tuple(lines))


def _of_graphs(
    sample: AuditSample, targets: Targets, kind: str, track: Callable[[Sequence[Tensor]], Iterable[Tensor]]
) -> tuple[dict[str, Any], tuple[str, ...], tuple[AuditTable, ...], tuple[Picture, ...]]:
    mean_edges = max(sample.store.num_edges / len(sample.store), 1)
    fits = max(int(_EDGES / mean_edges), 1)
    part = sample.excerpt(fits, nodes=max(int(sample.store.sizes("node").max()), 1))
    floor = label_noise_floor(part.store, sample.duplicates(track) if part.whole else None)
    values = {
        "duplicates": floor.duplicates,
        "conflicting": floor.conflicting,
        "undecided": floor.undecided,
        "noise_floor": floor.mae if kind == "numbers" else floor.accuracy,
        "tested": floor.tested,
        "leaked": floor.leaked,
        "compared": floor.graphs,
    }
    return values, (_NOISE_TEXT, *_doubts(floor, part.text, part.whole)), (), ()


def _doubts(floor: NoiseFloor, text: str, whole: bool) -> Iterable[str]:
    if not whole:
        yield f"Copies were looked for among {text}; among all graphs there are more."
    if floor.undecided:
        yield f"Of {floor.undecided:,} graphs the search could not tell all copies; they count as different."


def _of_nodes(
    sample: AuditSample, targets: Targets, kind: str, track: Callable[[Sequence[Tensor]], Iterable[Tensor]]
) -> tuple[dict[str, Any], tuple[str, ...], tuple[AuditTable, ...], tuple[Picture, ...]]:
    if kind != "classes":
        why = (
            "Homophily, the share of neighbours with the same class, is not measured: nodes do not have one class each."
        )
        return {}, (why,), (), ()
    values, tables, pictures = neighbour_part(sample, targets)
    return values, NEIGHBOUR_TEXT, tables, pictures


def _pictured(kind: str, values: dict[str, Any], targets: Targets) -> Picture:
    if kind == "numbers":
        drawn, count = target_histograms(targets.values, targets.known), targets.values.size(1)
        spread = number(values["target_std"])
        text = f"Histograms of {count:,} targets; their standard deviation is {spread} on average."
        return Picture(lambda: target_figure(drawn, count), text)
    names, shares = values["names"], values["balance"]
    what = "How frequent every class is" if kind == "classes" else "How frequent every label is"
    text = f"{what}: between {share(min(shares))} and {share(max(shares))}."
    return Picture(lambda: balance_figure(names, shares, what), text)
