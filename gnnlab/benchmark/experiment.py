"""Experiments: complete configurations under ``experiments/``, each with the number it has to reproduce."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from gnnlab.benchmark._members import member_file, member_name
from gnnlab.benchmark.grid import SUFFIX, Grid, read_grid
from gnnlab.benchmark.statistics import Sample
from gnnlab.errors import ConfigError, nearest
from gnnlab.resources import experiments_dir

__all__ = [
    "ExperimentSpec",
    "Published",
    "experiment_name",
    "experiment_names",
    "find_experiment",
    "find_experiments",
]

_BOUNDED = ("accuracy", "ap", "rocauc", "macro_f1", "mrr", "hits")
# Half the width of a 95 % interval, in standard errors.
_STANDARD_ERRORS = {"sem": 1.0, "ci95": 1.96}


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
        interval: What ``std`` is: ``std`` (standard deviation between runs), ``sem`` (standard error of the mean) or
            ``ci95`` (half of a 95 % confidence interval). Tests convert it; tables show it as printed.
        verified: Whether somebody has looked the number up. One quoted from memory is shown as unverified and
            gets no test and no verdict.
    """

    metric: str
    mean: float
    std: float | None = None
    runs: int | None = None
    source: str = ""
    note: str = ""
    percent: bool | None = None
    interval: Literal["std", "sem", "ci95"] = "std"
    verified: bool = True

    def __post_init__(self) -> None:
        if self.interval != "std" and self.interval not in _STANDARD_ERRORS:
            known = nearest(self.interval, ["std", *_STANDARD_ERRORS])
            raise ConfigError(f"unknown interval '{self.interval}'", where="published.interval", hint=known)

    @property
    def sample(self) -> Sample:
        """Mean, standard deviation between runs, and runs; no deviation if it cannot be had from what is printed.

        Example:
            >>> Published("accuracy", 80.0, 1.0, runs=100, interval="sem").sample
            Sample(mean=80.0, std=10.0, runs=100)
        """
        std = self.std
        if std is not None and self.interval != "std":
            std = std * math.sqrt(self.runs) / _STANDARD_ERRORS[self.interval] if self.runs else None
        return Sample(self.mean, std, self.runs)

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
        available: Folds the split has, where it has more than one; filled in by ``gnnlab reproduce``.
        published: The number to reproduce.
        others: Further published numbers for the same model and data, listed in reports.
    """

    title: str = ""
    paper: str = ""
    protocol: Literal["best-val", "cv", "gin-cv"] = "best-val"
    seeds: int = 1
    folds: int | None = None
    available: int | None = None
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
    """Names of all experiments, or of those below a folder; a name is the path without ``.yaml``.

    Raises:
        ConfigError: a malformed grid, or two experiments of one name.
    """
    root = experiments_dir()
    files = [path.relative_to(root).with_suffix("").as_posix() for path in _files(root) if not _is_grid(path)]
    names = sorted([*files, *(name for grid in _grids(root) for name in grid.members)])
    for name, following in pairwise(names):
        if name == following:
            raise ConfigError(f"two experiments are called '{name}'", where=str(root))
    return [name for name in names if name.startswith(f"{below}/" if below else "")]


def find_experiment(name: str | Path) -> Path:
    """The configuration file of an experiment: a file as it stands, else a name under ``experiments/``.

    A member of a grid has no file of its own; its configuration is written into the cache.

    Raises:
        ConfigError: neither exists; the message has the nearest name.
    """
    path, root = Path(name), experiments_dir()
    stem = str(name).removesuffix(".yaml")
    for file in (path, root / f"{stem}.yaml"):
        if file.is_file():
            return _single(file)
    for grid in _grids(root):
        if stem in grid.members:
            return member_file(grid, stem)
    raise ConfigError(
        f"no configuration '{name}': not a file, and no experiment of that name", hint=_nearest(str(name))
    )


def find_experiments(name: str) -> dict[str, Path]:
    """Name -> configuration of one experiment, of every experiment below a folder (a suite), or of a grid's file.

    Raises:
        ConfigError: no such experiment and no such folder.
    """
    path = Path(name)
    if path.is_file() and _is_grid(path):
        grid = read_grid(path)
        return {member: member_file(grid, member) for member in grid.members}
    if name.strip("/") and not path.is_file():
        names = experiment_names(name.strip("/"))
        if names:
            return {each: find_experiment(each) for each in names}
    path = find_experiment(name)
    return {experiment_name(path): path}


def experiment_name(path: Path) -> str:
    """Name for the runs of a configuration file: that of the experiment, else of the file."""
    try:
        return path.resolve().relative_to(experiments_dir().resolve()).with_suffix("").as_posix()
    except ValueError:
        return member_name(path) or path.stem


def _files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.yaml"))


def _is_grid(path: Path) -> bool:
    return path.name.endswith(SUFFIX)


def _grids(root: Path) -> list[Grid]:
    return [read_grid(path) for path in _files(root) if _is_grid(path)]


def _single(path: Path) -> Path:
    if not _is_grid(path):
        return path
    names = list(read_grid(path).members)
    hint = f"name one of them, such as {names[0]}; 'gnnlab reproduce {path}' runs them all"
    raise ConfigError(f"a grid stands for {len(names)} experiments", where=str(path), hint=hint)


def _nearest(name: str) -> str:
    names = experiment_names()
    known = {*names, *(str(parent) for each in names for parent in Path(each).parents if parent.name)}
    if get_close_matches(name, known, n=1, cutoff=0.6):
        return nearest(name, known)
    # A last component alone ("mutag") is a likelier slip than a typo: show what there is below it.
    parts = {part for part in Path(name).parts if len(part) > 2}
    return nearest(name, [each for each in names if parts & set(Path(each).parts)] or names)
