"""The one place where Lightning's advice to beginners is turned down."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_lightning"]

# Loaders assemble batches on the device: workers and persistent workers would make them slower. Short epochs,
# existing run folders and resumption are what the tools here do on purpose; an empty split has an error of its
# own; the learning rate is the same on all replicas; the last one is Lightning's use of torch.
_ADVICE = (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*exists and is not empty.*",
    ".*resuming from a checkpoint that ended before.*",
    ".*across ranks is zero.*",
    ".*self.log\\('lr'.*sync_dist.*",
    ".*LeafSpec.*",
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within the block, Lightning reports problems only: no hardware banner, no tips, no advice on workers."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _ADVICE:
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
