"""``gnnlab fit | validate | test | predict``: one run of one configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.utilities import rank_zero_only

from gnnlab.benchmark.experiment import experiment_name
from gnnlab.cli._configs import config_files, with_config_files, with_default
from gnnlab.cli._interrupt import interruptible
from gnnlab.cli.lightning import RESOLVED, GnnlabCLI
from gnnlab.errors import ConfigError
from gnnlab.training.callbacks import BEST, LAST
from gnnlab.training.history import History
from gnnlab.training.quiet import quiet_lightning

__all__ = ["fit", "predict", "test", "validate"]


def fit(argv: list[str]) -> int:
    """Train; ends with the best validation metric and where it is kept."""
    with quiet_lightning():
        # Further processes of a distributed run work in the folder of the first, and leave words and files to it.
        first = rank_zero_only.rank == 0
        listener = None if sys.stdout.isatty() or not first else _print_epoch
        cli = _build(argv, _next_folder if first else _last_folder, [History(listener)])
        resolved = cli.folder / RESOLVED
        if first:
            cli.write_resolved(cli.folder)
            _keep_metrics(cli.folder)
            print(f"run: {cli.folder}")
        with interruptible(cli, f"go on with: gnnlab fit -c {resolved} --ckpt_path={cli.folder / LAST}"):
            cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=cli.config["ckpt_path"])
    if not first:
        return 0
    history, metric = cli.callback(History), f"val/{cli.card.task.metric}"
    best = history.best_epoch(cli.card.task)
    if best >= 0:
        print(f"best {metric} {history.curves[metric][best]:.4f}, epoch {best + 1} of {history.num_epochs}")
    if (cli.folder / BEST).is_file():
        print(f"checkpoint: {cli.folder / BEST}")
    return 0


def validate(argv: list[str]) -> int:
    """Evaluate a checkpoint on the validation split."""
    with quiet_lightning():
        cli = _build(argv, _last_folder, logger=False)
        with interruptible(cli):
            results = cli.trainer.validate(
                cli.model, datamodule=cli.datamodule, ckpt_path=_checkpoint(cli), verbose=False
            )
    _print_results(results)
    return 0


def test(argv: list[str]) -> int:
    """Evaluate a checkpoint on the test split."""
    with quiet_lightning():
        cli = _build(argv, _last_folder, logger=False)
        with interruptible(cli):
            results = cli.trainer.test(cli.model, datamodule=cli.datamodule, ckpt_path=_checkpoint(cli), verbose=False)
    _print_results(results)
    return 0


def predict(argv: list[str]) -> int:
    """Write the predictions on the test split, one row per prediction, to ``predictions.pt``."""
    with quiet_lightning():
        cli = _build(argv, _last_folder, logger=False)
        with interruptible(cli):
            batches = cli.trainer.predict(cli.model, datamodule=cli.datamodule, ckpt_path=_checkpoint(cli))
    path = cli.folder / "predictions.pt"
    torch.save(torch.cat(batches), path)
    print(f"predictions: {path}")
    return 0


def _build(
    argv: list[str], version: Callable[[Path], Path], callbacks: Sequence[Callback] = (), **settings: Any
) -> GnnlabCLI:
    arguments = with_config_files(with_default(argv))
    paths = list(config_files(arguments))

    def folder(cli: GnnlabCLI) -> Path:
        root = Path(cli.config["runs"])
        if paths and paths[-1].resolve().is_relative_to(root.resolve()):
            # A resolved.yaml of an earlier run: its own folder.
            return paths[-1].parent
        network = str(cli.resolved["model"]["model"]["class_path"]).rpartition(".")[2]
        return version(root / (experiment_name(paths[-1]) if paths else f"{cli.card.name}-{network}") / "fit")

    silent = {} if sys.stdout.isatty() else {"enable_progress_bar": False, "enable_model_summary": False}
    return GnnlabCLI(arguments, folder=folder, callbacks=callbacks, **silent, **settings)


def _print_epoch(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
    shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items() if name != "lr")
    print(f"epoch {epoch + 1}{f'/{epochs}' if epochs > 0 else ''}  {shown}", flush=True)


def _print_results(results: list[dict[str, float]]) -> None:
    for name, value in (pair for result in results for pair in result.items()):
        print(f"{name} {value:.4f}")


def _keep_metrics(folder: Path) -> None:
    """Move the file of an interrupted fit aside: the CSV logger starts a new one."""
    old = folder / "metrics.csv"
    if old.is_file():
        taken = len(list(folder.glob("metrics-*.csv")))
        old.rename(folder / f"metrics-{taken}.csv")


def _versions(root: Path) -> list[int]:
    numbers = (path.name.removeprefix("version_") for path in root.glob("version_*"))
    return sorted(int(number) for number in numbers if number.isdigit())


def _next_folder(root: Path) -> Path:
    return root / f"version_{(_versions(root) or [-1])[-1] + 1}"


def _last_folder(root: Path) -> Path:
    return root / f"version_{(_versions(root) or [0])[-1]}"


def _checkpoint(cli: GnnlabCLI) -> str:
    """The checkpoint asked for, else the best one of the last fit of this configuration."""
    given = Path(cli.config["ckpt_path"] or cli.folder / BEST)
    if not given.is_file():
        raise ConfigError(f"no checkpoint '{given}'", where="ckpt_path", hint="run 'gnnlab fit' first, or name a file")
    return str(given)
