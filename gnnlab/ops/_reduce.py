"""One reduction over the edges of every row, shared by graphs, segments and scattered rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._check import check_name
from gnnlab.ops._extremum import extremum
from gnnlab.ops._layout import Layout
from gnnlab.ops._spmm import spmm

__all__ = ["as_heads", "read_rows", "reduce_edges", "reduce_rows"]


def reduce_rows(x: Tensor, layout: Layout, reduce: str, weight: Tensor | None = None) -> Tensor:
    """[C, ...] -> [R, ...]: ``reduce`` of weight[e] * x[source of e] over the edges e of every row."""
    check_name("reduce", reduce, _REDUCTIONS)
    return _REDUCTIONS[reduce](x, weight, layout)


def reduce_edges(data: Tensor, layout: Layout) -> Tensor:
    """[E, ...] -> [R, ...]: sum of edge data over the edges of every row."""
    return reduce_rows(data, layout.edges, "sum")


def read_rows(x: Tensor, layout: Layout) -> Tensor:
    """[R, ...] -> [E, ...]: the row of every edge's target (its source on the transpose)."""
    return reduce_rows(x, layout.edges.t, "sum")


def as_heads(x: Tensor, heads: int = 1) -> Tensor:
    """[N, ...] -> [N, H, C], the form every linear kernel reads."""
    return x.reshape(x.size(0), heads, prod(x.shape[1:]) // max(heads, 1))


def _linear(x: Tensor, weight: Tensor | None, layout: Layout, mean: bool) -> Tensor:
    if weight is None:
        out = spmm(as_heads(x), None, mean, *layout)
    else:
        _check_heads(x, weight)
        heads = prod(weight.shape[1:])
        out = spmm(as_heads(x, heads), weight.reshape(weight.size(0), heads), mean, *layout)
    return out.view(layout.num_rows, *x.shape[1:])


def _extreme(x: Tensor, weight: Tensor | None, layout: Layout, largest: bool) -> Tensor:
    if weight is not None:
        _check_heads(x, weight)
        x = read_rows(x, layout.t) * weight.reshape(*weight.shape, *[1] * (x.dim() - weight.dim()))
        layout = layout.edges
    out, _ = extremum(x.reshape(x.size(0), prod(x.shape[1:])), largest, *layout)
    return out.view(layout.num_rows, *x.shape[1:])


def _check_heads(x: Tensor, weight: Tensor) -> None:
    if weight.shape[1:] != x.shape[1 : weight.dim()]:
        raise GraphError(
            f"edge_weight {list(weight.shape)} does not fit x {list(x.shape)}",
            hint="pass [E], or [E, H] for x [N, H, ...]",
        )


_REDUCTIONS: dict[str, Callable[[Tensor, Tensor | None, Layout], Tensor]] = {
    "sum": partial(_linear, mean=False),
    "mean": partial(_linear, mean=True),
    "max": partial(_extreme, largest=True),
    "min": partial(_extreme, largest=False),
}
