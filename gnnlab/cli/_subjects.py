"""From a name on the command line to a network to examine: of the bench, of an experiment, or of a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor, nn
from torch_geometric.data import Batch

from gnnlab.analysis.expressiveness import Subject
from gnnlab.analysis.expressiveness_models import BENCH_MODELS, CHANNELS
from gnnlab.benchmark.experiment import experiment_names, find_experiment
from gnnlab.cli._configs import read_config
from gnnlab.data.card import card
from gnnlab.errors import ConfigError, nearest
from gnnlab.nn import CategoricalEncoder
from gnnlab.transform import Transform

__all__ = ["subject_of"]


def subject_of(name: str, bound: str | None = None) -> Subject:
    """The network of a name.

    Args:
        name: Of :data:`gnnlab.analysis.BENCH_MODELS`, of an experiment, or a YAML file: a configuration like that of an
            experiment, or ``class_path`` and ``init_args`` of a network.
        bound: Replaces the bound of the bench, or gives one.

    Raises:
        ConfigError: no such network, or one that cannot be built.
    """
    if name in BENCH_MODELS:
        subject = BENCH_MODELS[name]
        return subject if bound is None else Subject(subject.build, subject.transforms, bound, subject.prepare)
    if not Path(name).is_file() and name not in experiment_names():
        known = [*BENCH_MODELS, *experiment_names()]
        raise ConfigError(f"no network '{name}'", where="gnnlab bench expressiveness", hint=nearest(name, known))
    content = read_config(find_experiment(name))
    if "class_path" in content:
        content = {"model": {"model": content}}
    data = content.get("data") or {}
    facts = card(data["dataset"]) if "dataset" in data else None
    built = _Built(name, content["model"]["model"], data.get("transforms") or [])
    features = _features(built.network(1), 0 if facts is None else facts.node_features)
    return Subject(built.network, built.transforms(), bound, features)


@dataclass(frozen=True)
class _Built:
    """Builds the objects of a configuration, the network anew every time."""

    name: str
    model: Any
    steps: list[Any]

    def network(self, columns: int) -> nn.Module:
        model = self.model if isinstance(self.model, Mapping) else {"class_path": self.model}
        given = dict(model.get("init_args") or {})
        for key, value in (("out_channels", CHANNELS), ("in_channels", columns)):
            if key in _accepted(model["class_path"]):
                given.setdefault(key, value)
        return self._parsed("model", nn.Module, {**model, "init_args": given})

    def transforms(self) -> tuple[Transform, ...]:
        return tuple(self._parsed("transforms", list[Transform], self.steps))

    def _parsed(self, key: str, kind: Any, value: Any) -> Any:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument(f"--{key}", type=kind)
        try:
            return parser.instantiate_classes(parser.parse_object({key: value}))[key]
        except ArgumentError as error:
            raise ConfigError(f"the {key} cannot be built: {error}", where=self.name) from error


@dataclass(frozen=True)
class _Features:
    """Features of the form a network was written for, constant but for the kinds of nodes a set has.

    Args:
        node: Columns of ``x``; 0 leaves it as it is.
        categories: Whether they are categories.
        edge: Columns of ``edge_attr``, categories (all 0); 0 for none.
    """

    node: int
    categories: bool
    edge: int

    def __call__(self, union: Batch) -> Batch:
        if self.node and (self.categories or union.x.size(1) != self.node):
            union.x = self._nodes(union.x)
        if self.edge:
            union.edge_attr = torch.zeros(union.num_edges, self.edge, dtype=torch.long)
        return union

    def _nodes(self, x: Tensor) -> Tensor:
        kind = x.argmax(1)
        if self.categories:
            return torch.cat([kind[:, None], kind.new_zeros(kind.numel(), self.node - 1)], 1)
        return nn.functional.one_hot(kind % self.node, self.node).to(x.dtype)


def _features(model: nn.Module, columns: int) -> _Features:
    parts = dict(model.named_modules())
    node = parts.get("encoder.node")
    tables = [part for name, part in parts.items() if isinstance(part, CategoricalEncoder) and _reads_edges(name)]
    edge = len(tables[0].num_categories) if tables else 0
    if isinstance(node, CategoricalEncoder):
        return _Features(len(node.num_categories), True, edge)
    return _Features(columns, False, edge)


def _reads_edges(name: str) -> bool:
    return name == "encoder.edge" or name.endswith("edge_encoder")


def _accepted(path: str) -> set[str]:
    module, _, name = path.rpartition(".")
    try:
        return set(signature(getattr(import_module(module), name)).parameters)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"'{path}' cannot be imported: {error}", where="class_path") from error
