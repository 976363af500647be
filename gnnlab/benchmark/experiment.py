"""Experiments: complete configurations under ``experiments/``, each with the number it has to reproduce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from gnnlab.errors import ConfigError, nearest
from gnnlab.resources import experiments_dir

__all__ = ["ExperimentSpec", "Published", "experiment_names", "find_experiment", "find_experiments"]

_BOUNDED = ("accuracy", "ap", "rocauc", "macro_f1", "mrr", "hits")


@dataclass(frozen=True)
class Published:
    """A number from the literature.

    Args:
        metric: A name of :mod:`gnnlab.metrics`.
        mean: The mean as printed.
        std: The printed spread, if any.
        runs: Runs (seeds or folds) behind the mean, if stated.
        source: Where it is printed.
        note: What a reader should know before comparing.
        percent: Whether ``mean`` is in per cent. By default it is if the metric cannot exceed 1 and the
            mean does.
    """

    metric: str
    mean: float
    std: float | None = None
    runs: int | None = None
    source: str = ""
    note: str = ""
    percent: bool | None = None

    @property
    def scale(self) -> float:
        """What one of our metrics (between 0 and 1) is multiplied with to be in the printed unit.

        Example:
            >>> Published("accuracy", 89.4, 5.6).scale, Published("mae", 2.5).scale
            (100.0, 1.0)
        """
        guessed = self.metric.startswith(_BOUNDED) and self.mean > 1
        return 100.0 if (guessed if self.percent is None else self.percent) else 1.0


@dataclass(frozen=True)
class ExperimentSpec:
    """The ``experiment:`` group of a configuration: what the run is compared with, and how it is judged.

    Args:
        title: One line for tables.
        paper: Where the experiment was published.
        protocol: ``best-val``: test metric at the best validation epoch, mean and std over seeds. ``cv``: the
            same per fold (averaged over seeds), mean and std over folds. ``gin-cv``: the protocol of the GIN
            paper (Xu et al., 2019): mean over folds of the held-out metric per epoch, the best epoch of that
            mean curve, std over folds at that epoch; the epoch is chosen on the data it is judged by, so the
            result is optimistic.
        seeds: Number of seeds (0, 1, ...).
        folds: Number of folds for ``cv`` and ``gin-cv``; those of the split by default.
        published: The number to reproduce.
        others: Further published numbers for the same model and data, listed in reports.
    """

    title: str = ""
    paper: str = ""
    protocol: Literal["best-val", "cv", "gin-cv"] = "best-val"
    seeds: int = 1
    folds: int | None = None
    published: Published | None = None
    others: list[Published] | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ExperimentSpec:
        """The inverse of :func:`dataclasses.asdict`."""
        published, others = content.get("published"), content.get("others")
        return cls(
            **{key: value for key, value in content.items() if key not in ("published", "others")},
            published=None if published is None else Published(**published),
            others=None if others is None else [Published(**other) for other in others],
        )

    def __post_init__(self) -> None:
        for name in ("seeds", "folds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"must be at least 1, got {value}", where=f"experiment.{name}")

    @property
    def scale(self) -> float:
        """Factor from a metric between 0 and 1 to the unit of the published number; 1 if there is none."""
        return 1.0 if self.published is None else self.published.scale


def experiment_names(below: str = "") -> list[str]:
    """Names of all experiments, or of those below a folder; a name is the path without ``.yaml``."""
    root = experiments_dir()
    return sorted(p.relative_to(root).with_suffix("").as_posix() for p in (root / below).rglob("*.yaml"))


def find_experiment(name: str | Path) -> Path:
    """The configuration file of an experiment: a file as it stands, else a name under ``experiments/``.

    Raises:
        ConfigError: neither exists; the message has the nearest name.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = experiments_dir() / f"{str(name).removesuffix('.yaml')}.yaml"
    if shipped.is_file():
        return shipped
    raise ConfigError(
        f"no configuration '{name}': not a file, and no experiment of that name", hint=_nearest(str(name))
    )


def find_experiments(name: str) -> dict[str, Path]:
    """Name -> configuration of one experiment, or of every experiment below a folder (a suite).

    Raises:
        ConfigError: no such experiment and no such folder.
    """
    if name.strip("/") and not Path(name).is_file():
        names = experiment_names(name.strip("/"))
        if names:
            return {each: find_experiment(each) for each in names}
    path = find_experiment(name)
    try:
        relative = path.resolve().relative_to(experiments_dir().resolve())
    except ValueError:
        return {path.stem: path}
    return {relative.with_suffix("").as_posix(): path}


def _nearest(name: str) -> str:
    names = experiment_names()
    known = {*names, *(str(parent) for each in names for parent in Path(each).parents if parent.name)}
    if get_close_matches(name, known, n=1, cutoff=0.6):
        return nearest(name, known)
    # A last component alone ("mutag") is a likelier slip than a typo: show what there is below it.
    parts = {part for part in Path(name).parts if len(part) > 2}
    return nearest(name, [each for each in names if parts & set(Path(each).parts)] or names)
