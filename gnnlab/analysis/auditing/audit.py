"""The audit of a dataset: every section in turn, and what they allow to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter

from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis.auditing.cost import cost_section
from gnnlab.analysis.auditing.expressiveness import expressiveness_section
from gnnlab.analysis.auditing.labels import labels_section
from gnnlab.analysis.auditing.report import AuditReport, Section
from gnnlab.analysis.auditing.rewiring import rewiring_section
from gnnlab.analysis.auditing.sample import AuditSample, audit_sample
from gnnlab.analysis.auditing.size import size_section
from gnnlab.analysis.auditing.topology import topology_section
from gnnlab.analysis.auditing.verdict import findings
from gnnlab.data import GraphStore
from gnnlab.errors import ConfigError, GnnlabError, nearest

__all__ = ["SECTIONS", "audit"]

Track = Callable[[Sequence[Tensor]], Iterable[Tensor]]

SECTIONS: dict[str, Callable[[AuditSample, Track], Section]] = {
    "size": size_section,
    "topology": topology_section,
    "labels": labels_section,
    "expressiveness": expressiveness_section,
    "rewiring": rewiring_section,
    "cost": cost_section,
}
"""Key of a section -> what makes it, in the order of the report."""


def audit(
    dataset: str | GraphStore | Data | Sequence[Data] | AuditSample,
    *,
    split: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    sections: Sequence[str] | None = None,
    experiments: Sequence[str] = (),
    track: Callable[[str], Track] | None = None,
) -> AuditReport:
    """One report on a dataset: what its graphs are like, what limits a model on it, what a remedy would change.

    Nothing is trained. Sections that cost too much on all graphs look at a part that is drawn by the seed, and say so;
    what could not be measured (no labels, too large) is said in place of a number.

    Args:
        dataset: A name of :func:`gnnlab.data.card_names`, a store, a graph, a batch, a list of graphs, or a choice
            made with :func:`audit_sample` (then ``split``, ``sample`` and ``seed`` are those of the choice).
        split: A split of the graphs; of a node task on one graph, the split whose labels are read.
        sample: Most graphs to look at, drawn by the seed; all by default.
        seed: Of everything that is drawn.
        sections: Keys of :data:`SECTIONS`; all by default.
        experiments: Names of the experiments there are on this dataset, for the advice.
        track: Called with the key of a section before it begins; returns what wraps its chunks, for a progress bar.

    Raises:
        ConfigError: unknown dataset, split or section, no graphs to sample.
        DataError: there are no graphs.

    Example:
        >>> report = audit("csl-generated", sections=["size"])
        >>> report.section("size").values["nodes_max"], report.subject
        (41, 'All 150 graphs of the dataset.')
    """
    keys = list(SECTIONS) if sections is None else list(sections)
    for key in keys:
        if key not in SECTIONS:
            raise ConfigError(f"unknown section '{key}'", where="audit", hint=nearest(key, SECTIONS))
    chosen = dataset
    if not isinstance(dataset, AuditSample):
        chosen = audit_sample(dataset, split=split, sample=sample, seed=seed)
    made, seconds = {}, {}
    for key in keys:
        began = perf_counter()
        made[key] = _made(key, chosen, iter if track is None else track(key))
        seconds[key] = perf_counter() - began
    verdict = findings(made, chosen.task, name=chosen.name, experiments=tuple(experiments))
    return AuditReport(chosen.name, chosen.subject, verdict, tuple(made.values()), seconds)


def _made(key: str, sample: AuditSample, track: Track) -> Section:
    """The section; if gnnlab refuses its work, a section that says why, so that the others are not lost."""
    try:
        return SECTIONS[key](sample, track)
    except GnnlabError as error:
        return Section(
            key,
            key.capitalize(),
            "Why is there nothing here?",
            text=(f"Not measured, because {error.what}." + (f" What to do: {error.hint}." if error.hint else ""),),
            values={"not_measured": error.what},
        )
