"""Message passing with plain messages: reduce the neighbours' features, with or without edge weights."""

from __future__ import annotations

from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops import _spmm
from gnnlab.ops._check import edge_layout, node_layout, same_kind
from gnnlab.ops._layout import layout_of
from gnnlab.ops._reduce import as_heads, read_rows, reduce_rows
from gnnlab.ops.csr import CSR, as_csr

__all__ = ["aggregate", "aggregate_edges", "gather_source", "gather_target", "sddmm"]


def aggregate(x: Tensor, adj: CSR | Tensor, reduce: str = "sum", edge_weight: Tensor | None = None) -> Tensor:
    r"""Reduce over the incoming edges of every node, in one fused pass.

    .. math:: \mathrm{out}_v = \mathrm{reduce}_{u \to v} \; w_{uv} \, x_u

    ``mean`` divides by the number of incoming edges (not by the sum of weights). The gradient of ``max`` and
    ``min`` goes to the extreme neighbour, on a tie to the first one in edge order. A node without incoming
    edges gets 0. Differentiable any number of times, and the same bits in every run.

    Args:
        x: Node features.
        adj: The graph; a plain ``edge_index`` is sorted first, so pass a :class:`CSR` where it is used twice.
        reduce: ``"sum"``, ``"mean"``, ``"max"`` or ``"min"``.
        edge_weight: One factor per edge in the caller's edge order, or one per edge and head.

    Shapes:
        x [N], [N, F] or [N, H, C]; adj of N nodes, E edges; edge_weight [E] or [E, H] -> as x

    Raises:
        GraphError: lengths, devices or dtypes that do not fit together, or features that are not floating.
        ConfigError: an unknown ``reduce``.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 2], [1, 0, 0]])
        >>> aggregate(torch.tensor([1.0, 2.0, 4.0]), edge_index, "mean").tolist()
        [3.0, 1.0, 0.0]
    """
    if edge_weight is None:
        (x,) = same_kind(x=x)
        return reduce_rows(x, node_layout(adj, x=x), reduce)
    x, edge_weight = same_kind(x=x, edge_weight=edge_weight)
    layout = edge_layout(node_layout(adj, x=x), edge_weight=edge_weight)
    return reduce_rows(x, layout, reduce, edge_weight)


def aggregate_edges(edge_attr: Tensor, adj: CSR | Tensor, num_nodes: int, edge_weight: Tensor | None = None) -> Tensor:
    r"""Sum edge data over the incoming edges of every node, in one fused pass; the transpose of :func:`gather_target`.

    .. math:: \mathrm{out}_v = \sum_{u \to v} w_{uv} \, e_{uv}

    Args:
        edge_attr: e, in the caller's edge order.
        adj: The graph.
        num_nodes: N.
        edge_weight: w, one factor per edge in the caller's edge order, or one per edge and head.

    Shapes:
        edge_attr [E], [E, F] or [E, H, C]; edge_weight [E] or [E, H] -> [N, ...]

    Raises:
        GraphError: lengths, devices or dtypes that do not fit together, or data that are not floating.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 2], [1, 0, 0]])
        >>> aggregate_edges(torch.tensor([1.0, 2.0, 4.0]), edge_index, 3).tolist()
        [6.0, 1.0, 0.0]
    """
    given = {"edge_attr": edge_attr} | ({} if edge_weight is None else {"edge_weight": edge_weight})
    edge_attr, *weight = same_kind(**given)
    layout = edge_layout(layout_of(as_csr(adj, num_nodes)), **dict(zip(given, (edge_attr, *weight), strict=True)))
    return reduce_rows(edge_attr, layout.edges, "sum", *weight)


def sddmm(a: Tensor, b: Tensor, adj: CSR | Tensor) -> Tensor:
    r"""Inner product per edge over the last dimension, without an array of size E x F.

    .. math:: \mathrm{out}_{u \to v} = \langle a_v, b_u \rangle

    Args:
        a: Features of the targets.
        b: Features of the sources.
        adj: The graph.

    Shapes:
        a, b [N, ..., C] (or [N], read as C = 1) -> [E, ...], in the caller's edge order

    Raises:
        GraphError: ``a`` and ``b`` of different shapes, dtypes or devices, or not of N rows.

    Example:
        >>> a, b = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 3.0], [4.0, 5.0]])
        >>> sddmm(a, b, torch.tensor([[0, 1], [1, 0]])).tolist()
        [3.0, 4.0]
    """
    a, b = same_kind(a=a, b=b)
    layout = node_layout(adj, a=a, b=b)
    if a.shape != b.shape:
        raise GraphError(f"a {list(a.shape)} and b {list(b.shape)} differ in shape")
    heads = a.shape[1:-1]
    out = _spmm.sddmm(as_heads(a, heads.numel()), as_heads(b, heads.numel()), *layout)
    return out.view(layout.num_edges, *heads)


def gather_source(x: Tensor, adj: CSR | Tensor) -> Tensor:
    """The source's row of every edge; its gradient is a fused sum over outgoing edges.

    Args:
        x: Node features.
        adj: The graph.

    Shapes:
        x [N, ...] -> [E, ...], in the caller's edge order

    Raises:
        GraphError: lengths or devices that do not fit together.

    Example:
        >>> gather_source(torch.tensor([10.0, 20.0]), torch.tensor([[0, 1, 1], [1, 0, 1]])).tolist()
        [10.0, 20.0, 20.0]
    """
    (x,) = same_kind(x=x)
    return read_rows(x, node_layout(adj, x=x).t)


def gather_target(x: Tensor, adj: CSR | Tensor) -> Tensor:
    """The target's row of every edge; its gradient is a fused sum over incoming edges.

    Args, shapes and errors as :func:`gather_source`.

    Example:
        >>> gather_target(torch.tensor([10.0, 20.0]), torch.tensor([[0, 1, 1], [1, 0, 1]])).tolist()
        [20.0, 10.0, 20.0]
    """
    (x,) = same_kind(x=x)
    return read_rows(x, node_layout(adj, x=x))
