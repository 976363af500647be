"""Plain text tables, compressed or not, as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gnnlab.errors import IntegrityError

__all__ = ["read_column", "read_frame", "read_table", "split_of"]


def read_frame(path: Path, **options: object) -> pd.DataFrame:
    """A CSV file as a data frame; compression by suffix.

    Raises:
        IntegrityError: no text, no table, or cut short.
    """
    try:
        return pd.read_csv(path, **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError, OSError) as error:
        raise IntegrityError(f"not a readable table: {error}", where=str(path)) from error


def read_table(path: Path) -> Tensor:
    """[rows, columns] of numbers without a header: long if all are integers, else float32 (empty cell = NaN).

    Raises:
        IntegrityError: a cell is no number.
    """
    values = read_frame(path, header=None).to_numpy()
    if values.dtype == object or values.dtype == bool:
        raise IntegrityError("a table of numbers holds text", where=str(path))
    kind = np.int64 if np.issubdtype(values.dtype, np.integer) else np.float32
    return torch.from_numpy(np.array(values, dtype=kind))


def read_column(path: Path) -> Tensor:
    """The only column of a table, [rows]."""
    return read_table(path)[:, 0]


def split_of(files: dict[str, Path]) -> dict[str, Tensor]:
    """The fold whose parts are the index tables with the roles ``train``, ``val``, ``test``."""
    return {part: read_column(files[part]).long() for part in ("train", "val", "test")}
