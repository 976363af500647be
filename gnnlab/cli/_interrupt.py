"""Ctrl-C during a run: exit code 130 (143 for SIGTERM) and a note on what is saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from gnnlab.cli.lightning import GnnlabCLI
from gnnlab.training.callbacks import LAST
from gnnlab.training.interrupt import GracefulStop, Interrupted

__all__ = ["interruptible"]


@contextmanager
def interruptible(cli: GnnlabCLI, resume: str | None = None) -> Iterator[None]:
    """Turn a run that was stopped by a signal into an error with a note.

    The first signal lets the epoch finish (:class:`gnnlab.training.interrupt.GracefulStop`); a second one
    ends it at once, where Lightning would exit with 1 and keep ignoring Ctrl-C.

    Args:
        cli: Has the trainer at work and the folder of the run.
        resume: How to go on from the last checkpoint.

    Raises:
        Interrupted: the run was stopped.
    """
    signum = signal.SIGINT
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        if not cli.trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        signum = cli.callback(GracefulStop).received
        if signum is None:
            return
    saved = (cli.folder / LAST).is_file()
    epochs = cli.trainer.current_epoch
    raise Interrupted(
        f"interrupted; {epochs} epochs are saved in {cli.folder}" if saved else "interrupted; nothing is saved yet",
        hint=resume if saved else None,
        signum=int(signum),
    )
