"""What the classes of neighbours, and of nodes farther away, say about the class of a node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnlab.analysis.auditing._facts import number, share
from gnnlab.analysis.auditing._label_figures import distance_figure
from gnnlab.analysis.auditing.report import AuditTable, Picture
from gnnlab.analysis.auditing.sample import AuditSample, union_of
from gnnlab.analysis.ceilings_scores import Targets
from gnnlab.graph import homophily
from gnnlab.graph.neighbour_labels import homophily_by_distance, neighbourhood_similarity

__all__ = ["NEIGHBOUR_TEXT", "neighbour_part"]

NEIGHBOUR_TEXT = (
    "Homophily says whether edges join nodes of the same class. The share of such edges alone misleads where one class "
    "is frequent: the adjusted one is 0 if labels ignore edges, 1 if neighbours always agree, and below 0 if they "
    "differ more often than by chance. Label informativeness is the share of the doubt about a class that knowing a "
    "neighbour's class removes, whether or not the two are equal.",
    "At a distance: how often two nodes so many hops apart have the same class. Where that falls to what any "
    "two nodes have in common, a deeper network averages over nodes that no longer say anything by being alike. "
    "Neighbourhoods of two classes are alike if their neighbours have the same mix of classes (cosine); a "
    "convolution tells classes apart where this is large within and small between them, homophilous or not.",
)

_HOPS = 5
_VISITS = 3 * 10**8
_MATRIX = 12
_MOST_CLASSES = 1000

_LABELS = {
    "edge": "edges that join equal classes",
    "node": "equal neighbours, mean over nodes",
    "class_insensitive": "beyond class sizes (class-insensitive)",
    "adjusted": "beyond chance (adjusted)",
    "label_informativeness": "label informativeness",
}


def neighbour_part(
    sample: AuditSample, targets: Targets
) -> tuple[dict[str, Any], tuple[AuditTable, ...], tuple[Picture, ...]]:
    """Homophily of all graphs together, by distance, and how alike the neighbourhoods of classes are."""
    edges, ptr = union_of(sample.store)
    names, label = _classes(targets)
    whole = ptr[[0, -1]]
    measured = homophily(edges, label, whole, num_classes=len(names), symmetrise=True)
    found = {name: _or_none(value) for name, value in measured._asdict().items()}
    by_distance = homophily_by_distance(
        edges, label, whole, _HOPS, symmetrise=True, max_visits=_VISITS, seed=sample.seed
    )
    shares = [_or_none(value) for value in by_distance.share[0]]
    errors = [_or_none(value) for value in by_distance.error[0]]
    sizes = torch.bincount(label[label >= 0], minlength=len(names)).double()
    chance = float((sizes / sizes.sum()).square().sum())
    values: dict[str, Any] = {"homophily": found, "homophily_by_distance": shares, "chance": chance}
    tables = [_homophily_table(found), _distance_table(shares, errors, by_distance.pairs[0].tolist(), chance)]
    if len(names) <= _MOST_CLASSES:
        alike = neighbourhood_similarity(edges, label, whole, num_classes=len(names), symmetrise=True)[0]
        within, between = alike.diagonal(), alike[~torch.eye(len(names), dtype=torch.bool)]
        values |= {"similarity_within": _or_none(within.nanmean()), "similarity_between": _or_none(between.nanmean())}
        tables.append(_similarity_table(names, alike, values))
    text = f"Equal classes at {', '.join(f'{k} hops: {share(s)}' for k, s in enumerate(shares, 1) if s is not None)}"
    picture = Picture(lambda: distance_figure(shares, chance), f"{text}; of any two nodes: {share(chance)}.")
    return values, tuple(tables), (picture,)


def _classes(targets: Targets) -> tuple[list[str], Tensor]:
    """Names of the classes, and the class of every node; -1 without a label."""
    known = targets.known[:, 0]
    names, number_of = targets.values[known, 0].unique(return_inverse=True)
    label = torch.full((known.numel(),), -1).masked_scatter_(known, number_of)
    return [f"{name:g}" for name in names.tolist()], label


def _homophily_table(found: dict[str, float | None]) -> AuditTable:
    lines = tuple(
        (label, "not defined" if found[name] is None else f"{found[name]:.3f}") for name, label in _LABELS.items()
    )
    return AuditTable(("homophily", "found"), lines)


def _distance_table(
    shares: list[float | None], errors: list[float | None], pairs: list[int], chance: float
) -> AuditTable:
    lines = [
        (f"{hops}", f"{count:,}", "-" if equal is None else share(equal) + (f" ± {share(error)}" if error else ""))
        for hops, (count, equal, error) in enumerate(zip(pairs, shares, errors, strict=True), 1)
    ]
    note = "± is the standard error where not all nodes were searched from." if any(errors) else ""
    return AuditTable(("hops", "pairs", "equal classes"), (*lines, ("any two nodes", "", share(chance))), note)


def _similarity_table(names: list[str], alike: Tensor, values: dict[str, Any]) -> AuditTable:
    if len(names) > _MATRIX:
        means = (("same class", values["similarity_within"]), ("different classes", values["similarity_between"]))
        lines = tuple((name, "-" if mean is None else number(mean)) for name, mean in means)
        return AuditTable(("neighbourhoods of", "mean cosine"), lines)
    rows = [["-" if cell != cell else f"{cell:.2f}" for cell in row] for row in alike.tolist()]
    lines = tuple((f"class {name}", *row) for name, row in zip(names, rows, strict=True))
    return AuditTable(("how alike neighbourhoods are", *names), lines, "Mean cosine of the classes around two nodes.")


def _or_none(value: Tensor) -> float | None:
    return None if value != value else float(value)
