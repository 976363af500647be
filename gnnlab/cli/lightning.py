"""The Lightning CLI of gnnlab: dataset facts come from the card, typos are errors, everything is written down."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger

from gnnlab.benchmark.experiment import ExperimentSpec
from gnnlab.benchmark.provenance import commit, data_digest, versions
from gnnlab.benchmark.record import run_hash
from gnnlab.cli._configs import config_files, read_config, with_config_files
from gnnlab.cli._explain import explain, with_hint
from gnnlab.data.card import Card, card
from gnnlab.data.datamodule import GraphDataModule
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError
from gnnlab.training.callbacks import default_callbacks, early_stopping
from gnnlab.training.task import GraphTask

__all__ = ["RESOLVED", "GnnlabCLI", "Parser"]

RESOLVED = "resolved.yaml"
"""Name of the file that holds everything that was in force in a run."""

_Callback = TypeVar("_Callback", bound=Callback)

_FROM_CARD: dict[str, Callable[[Card], Any]] = {
    "out_channels": lambda c: c.task.out_channels,
    "level": lambda c: c.task.level,
    "in_channels": lambda c: c.node_features,
}
# A transform may widen x, and how wide a node embedding is, is the model's affair: there the card has a default.
_MAY_DIFFER: dict[str, Callable[[Card], bool]] = {
    "in_channels": lambda c: True,
    "out_channels": lambda c: c.task.level == "link",
}
_DESCRIPTION = (
    "Settings of fit, validate, test, predict and reproduce. -c takes a file or the name of an experiment; without "
    "any configuration the embedded default runs. Dataset facts are linked from the card of data.dataset."
)
# A parser cannot tell a default from the same value given by hand.
_DEFAULTS = {"level": "graph"}
_NOT_HASHED = (
    "experiment",
    "runs",
    "ckpt_path",
    "provenance",
    "seed_everything",
    "data.seed",
    "data.fold",
    "data.root",
    "trainer.logger",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
)


class Parser(LightningArgumentParser):
    """Parser without abbreviations, whose errors name the key and the nearest valid one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # With abbreviations, --trainer.max_epoch=3 would silently be taken for max_epochs.
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        known = {action.dest for action in self._actions if action.dest not in ("help", "==SUPPRESS==")}
        message = with_hint(message, known)
        if not self.exit_on_error:
            super().error(message, ex)
        raise explain(message) from None


class GnnlabCLI(LightningCLI):
    """Parses one configuration and builds trainer, task and data from it, without running them.

    Linked at parse time from the card of ``data.dataset``: ``model.task``, and ``out_channels``, ``level``
    and ``in_channels`` of the network where its class accepts them. A configuration that contradicts the
    card in task, ``out_channels`` or ``level`` is an error; an explicit ``in_channels`` wins, because a
    transform may widen ``x``, and so does the width of the node embeddings of a link task.

    Args:
        arguments: Command line without program and command; names of experiments instead of files are fine.
        build: Whether to build the objects, or to stop after parsing (:meth:`build` goes on from there).
        folder: Folder of the run, given the parsed command line; without one no trainer is built.
        callbacks: Added to those of the configuration.
        settings: Trainer settings that override the configuration's (progress bar and the like).
    """

    def __init__(
        self,
        arguments: list[str],
        *,
        build: bool = True,
        folder: Callable[[GnnlabCLI], Path] | None = None,
        callbacks: Sequence[Callback] = (),
        **settings: Any,
    ) -> None:
        self._build, self._choose_folder, self._settings = build, folder, settings
        self.extra_callbacks = list(callbacks)
        super().__init__(
            GraphTask,
            GraphDataModule,
            args=with_config_files(arguments),
            run=False,
            parser_class=Parser,
            parser_kwargs={"prog": "gnnlab COMMAND", "description": _DESCRIPTION},
            save_config_callback=None,
            seed_everything_default=0,
            # Tensors made in inference mode and kept (the union of a single graph) could not be trained on.
            trainer_defaults={"inference_mode": False},
            auto_configure_optimizers=False,
            # resolved.yaml is the record of a configuration; checkpoints hold weights and states.
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: Parser) -> None:
        parser.add_class_arguments(ExperimentSpec, "experiment")
        parser.add_argument("--runs", type=str, default="runs", help="Folder of all runs.")
        parser.add_argument(
            "--early_stopping.patience",
            type=int | None,
            default=None,
            help="Validations without improvement of the task's metric before training ends.",
        )
        parser.add_argument(
            "--ckpt_path", type=str | None, default=None, help="Checkpoint to go on from, or to evaluate."
        )
        parser.add_argument("--provenance", type=dict | None, default=None, help="Written by gnnlab; read by nobody.")
        for field in fields(TaskSpec):
            parser.link_arguments("data.dataset", f"model.task.{field.name}", compute_fn=_task_link(field.name))
        for name in _FROM_CARD:
            target = f"model.model.init_args.{name}"
            parser.link_arguments(("data.dataset", "model.model"), target, compute_fn=_network_link(name))

    def parse_arguments(self, parser: Parser, args: list[str]) -> None:
        self.config = parser.parse_args(args)
        # A link overwrites what a file says about its target; a file that says otherwise must not go unnoticed.
        stated = self.card.task.to_dict()
        for path in config_files(args):
            task = (read_config(path).get("model") or {}).get("task") or {}
            wrong = {key: value for key, value in task.items() if stated.get(key) != value}
            if wrong:
                raise ConfigError(
                    f"{wrong} contradicts the card of '{self.card.name}'",
                    where=f"{path}, key model.task",
                    hint="leave the task out: it comes from data.dataset",
                )

    def build(self, seed: int, fold: int) -> None:
        """Build network, task and data anew for one seed and fold, without parsing again."""
        self.config["seed_everything"], self.config["data"]["seed"], self.config["data"]["fold"] = seed, seed, fold
        seed_everything(seed, workers=True, verbose=False)
        self._build = True
        self.instantiate_classes()

    def instantiate_classes(self) -> None:
        if not self._build:
            return
        super().instantiate_classes()
        if self.spec.protocol == "gin-cv":
            # The GIN protocol has no validation part: what it watches is the held-out fold itself.
            self.datamodule.val_dataloader = self.datamodule.test_dataloader

    @property
    def trainer_options(self) -> dict[str, Any]:
        """What the configuration says about the trainer, as keyword arguments of Lightning's ``Trainer``."""
        return dict(self.config_init["trainer"])

    @property
    def patience(self) -> int | None:
        return self.config["early_stopping"]["patience"]

    def instantiate_trainer(self, **kwargs: Any) -> Trainer | None:
        if self._choose_folder is None:
            return None
        configured = self.trainer_options
        callbacks = [*(configured.get("callbacks") or []), *self.extra_callbacks]
        own = {type(callback) for callback in callbacks}
        standard = default_callbacks(self.card.task, self.folder)
        if configured["enable_checkpointing"] is False or configured["fast_dev_run"]:
            standard = [callback for callback in standard if not isinstance(callback, Checkpoint)]
        if self.patience is not None:
            callbacks.append(early_stopping(self.card.task, self.patience))
        # A configured callback replaces the standard one of its kind; best before last, as the latter stores it.
        callbacks += [callback for callback in standard if type(callback) not in own]
        settings = {**configured, **self._settings, "callbacks": callbacks, **kwargs}
        if settings.get("logger") in (None, True):
            # No name and an empty version: the files lie in the run's folder itself.
            settings["logger"] = CSVLogger(self.folder, name="", version="")
        return self.trainer_class(**settings)

    @cached_property
    def folder(self) -> Path:
        """Folder of the run."""
        return self._choose_folder(self)

    @property
    def card(self) -> Card:
        return card(self.config["data"]["dataset"])

    @property
    def spec(self) -> ExperimentSpec:
        """The ``experiment:`` group."""
        return ExperimentSpec.from_dict(self.config["experiment"].as_dict())

    @property
    def resolved(self) -> dict[str, Any]:
        """The whole configuration as plain values, links included."""
        return yaml.safe_load(self.parser.dump(self.config, skip_link_targets=False, skip_none=False))

    @property
    def run_hash(self) -> str:
        """Address of everything a result depends on except seed and fold."""
        content = copy.deepcopy(self.resolved)
        for key in _NOT_HASHED:
            group, _, name = key.rpartition(".")
            (content[group] if group else content).pop(name, None)
        return run_hash({"configuration": content, "data": data_digest(self.card)})

    def callback(self, kind: type[_Callback]) -> _Callback:
        """The trainer's callback of one kind."""
        return next(callback for callback in self.trainer.callbacks if isinstance(callback, kind))

    @property
    def transforms(self) -> list[dict[str, Any]]:
        """Class, version, fields and key of everything applied to the data."""
        steps = (*self.datamodule.transforms, *self.datamodule.batch_transforms)
        return [{**step.spec(), "key": step.key()} for step in steps]

    def write_resolved(self, folder: Path) -> Path:
        """Write ``resolved.yaml`` into a run's folder: ``-c`` that file runs the same again."""
        provenance = {
            "versions": versions(),
            "commit": commit(),
            "data_sha256": data_digest(self.card),
            "transforms": self.transforms,
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / RESOLVED
        text = yaml.safe_dump({**self.resolved, "provenance": provenance}, sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
        return path


def _task_link(name: str) -> Callable[[str], Any]:
    def from_card(dataset: str) -> Any:
        return getattr(card(dataset).task, name)

    return from_card


def _network_link(name: str) -> Callable[[str, Any], Any]:
    def from_card(dataset: str, network: Any) -> Any:
        value = _FROM_CARD[name](card(dataset))
        given = (network.get("init_args") or {}).get(name) if network else None
        if given in (None, _DEFAULTS.get(name)):
            return value
        if given != value and not _MAY_DIFFER.get(name, lambda c: False)(card(dataset)):
            raise ConfigError(
                f"{given!r} contradicts the card of '{dataset}', which says {value!r}",
                where=f"model.model.init_args.{name}",
                hint="leave it out: it comes from data.dataset",
            )
        return given

    return from_card
