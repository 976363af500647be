"""The data border: what is not a graph is refused here, naming graph and attribute."""

from __future__ import annotations

import torch

from gnnlab.data._columns import Column, Layout
from gnnlab.errors import DataError

__all__ = ["check_columns"]

_MAY_BE_NAN = ("y",)


def check_columns(name: str, columns: dict[str, Column], layouts: dict[str, Layout]) -> None:
    """Refuse lengths that do not fit, indices out of range and non-finite features.

    Raises:
        DataError: naming the first graph and attribute concerned.
    """
    for key, column in columns.items():
        layout = layouts[column.level]
        if column.data.size(0) != layout.total:
            raise DataError(
                f"attribute '{key}' has {column.data.size(0)} rows, but its level '{column.level}' has {layout.total}",
                where=name or None,
            )
        if column.indexes is not None:
            _check_index(name, key, column, layout, layouts[column.indexes])
        elif column.data.is_floating_point():
            _check_finite(name, key, column, layout)


def _check_index(name: str, key: str, column: Column, layout: Layout, target: Layout) -> None:
    if not column.data.numel():
        return
    owner = torch.repeat_interleave(torch.arange(layout.sizes.numel()), layout.sizes, output_size=layout.total)
    limit = target.sizes[owner].view(-1, *[1] * (column.data.dim() - 1))
    bad = (column.data < 0) | (column.data >= limit)
    if bad.any():
        row = int(bad.reshape(bad.size(0), -1).any(1).nonzero()[0])
        graph = int(owner[row])
        raise DataError(
            f"graph {graph}: '{key}' holds {column.data[row].tolist()}, but the graph has "
            f"{int(target.sizes[graph])} rows of level '{column.indexes}'",
            where=name or None,
            hint="indices count from 0 within each graph",
        )


def _check_finite(name: str, key: str, column: Column, layout: Layout) -> None:
    if key in _MAY_BE_NAN:
        return
    # One reduction decides: a NaN or an infinity anywhere makes the sum of x - x a NaN.
    if torch.isfinite((column.data - column.data).sum()):
        return
    bad = ~torch.isfinite(column.data)
    row = int(bad.reshape(bad.size(0), -1).any(1).nonzero()[0])
    graph = int(torch.searchsorted(layout.ptr, torch.tensor(row), right=True)) - 1
    raise DataError(
        f"graph {graph}: '{key}' is not finite in row {row - int(layout.ptr[graph])} of that graph",
        where=name or None,
        hint="only the targets 'y' may hold NaN (unlabelled); impute or mask features before building the store",
    )
