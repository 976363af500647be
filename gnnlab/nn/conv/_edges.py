"""What several convolutions do with edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnlab.errors import GraphError
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.encoders.categorical import CategoricalEncoder
from gnnlab.nn.node_product import NodeProduct
from gnnlab.ops import (
    CSR,
    aggregate,
    gated_aggregate,
    gated_gcn_aggregate,
    gather,
    gather_source,
    gather_target,
    gine_aggregate,
    scatter_reduce,
    segment_reduce,
)
from gnnlab.typing import Reduce

__all__ = ["check_edge_width", "encoded", "gated_messages", "relu_messages", "symmetric_norm", "weighted_aggregate"]


def check_edge_width(edge_attr: Tensor | EdgeTable, channels: int, conv: str) -> None:
    """Edge features are added to node states, so both need the same width and a float type."""
    rows = edge_attr.rows if isinstance(edge_attr, EdgeTable) else edge_attr
    if rows.dim() != 2 or rows.size(1) != channels or not rows.is_floating_point():
        raise GraphError(
            f"{conv} adds edge features to node states of width {channels}, "
            f"but edge_attr is {list(rows.shape)} of {rows.dtype}",
            hint="map them with edge_encoder of the layer, or with edge= of the FeatureEncoder",
        )


def encoded(edge_attr: Tensor, encoder: nn.Module | None) -> Tensor | EdgeTable:
    """Raw edge features through the layer's own encoder, as a table where it makes one."""
    if encoder is None:
        return edge_attr
    return encoder.table(edge_attr) if isinstance(encoder, CategoricalEncoder) else encoder(edge_attr)


def relu_messages(x: Tensor, edge_attr: Tensor | EdgeTable | None, adj: CSR, edge_weight: Tensor | None) -> Tensor:
    r"""Row v of the result is :math:`\sum_{u \to v} w_{uv} \, \mathrm{ReLU}(x_u + e_{uv})`.

    Missing edge features count as 0, missing weights as 1.
    """
    if edge_attr is None:
        return aggregate(x.relu(), adj, edge_weight=edge_weight)
    if edge_weight is None:
        table = isinstance(edge_attr, EdgeTable)
        return gine_aggregate(x, *(edge_attr.rows, adj, edge_attr.index) if table else (edge_attr, adj))
    edge_attr = edge_attr.dense() if isinstance(edge_attr, EdgeTable) else edge_attr
    messages = edge_weight.unsqueeze(-1) * (gather_source(x, adj) + edge_attr).relu()
    return scatter_reduce(messages, adj.edge_index[1], x.size(0), "sum")


def gated_messages(
    value: Tensor, source: Tensor, target: Tensor, edges: Tensor | None, adj: CSR, edge_weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gated mean of the neighbours' values [N, F], the gates' logits [E, F] being source + target + edges."""
    if edge_weight is None:
        return gated_gcn_aggregate(value, source, target, edges, adj)
    logits = gather_target(target, adj) + gather_source(source, adj)
    logits = logits if edges is None else logits + edges
    weighted, total = gated_aggregate(value, logits.sigmoid() * edge_weight.unsqueeze(-1), adj)
    return weighted / (total + 1e-6), logits


def weighted_aggregate(x: Tensor, adj: CSR, edge_weight: Tensor | NodeProduct | None, reduce: Reduce = "sum") -> Tensor:
    """:func:`gnnlab.ops.aggregate`, which scales nodes where weights are products of them."""
    if not isinstance(edge_weight, NodeProduct):
        return aggregate(x, adj, reduce, edge_weight=edge_weight)
    if reduce not in ("sum", "mean"):
        return aggregate(x, adj, reduce, edge_weight=edge_weight.dense(adj))
    source, target = (factor.unsqueeze(-1).to(x.dtype) for factor in edge_weight)
    return target * aggregate(source * x, adj, reduce)


def symmetric_norm(
    adj: CSR, edge_weight: Tensor | NodeProduct | None, add_self_loops: bool, dtype: torch.dtype
) -> tuple[Tensor | NodeProduct, Tensor | None]:
    r"""Entries of :math:`\hat D^{-1/2} \hat A \hat D^{-1/2}` without building a self-loop.

    With ``add_self_loops`` every node has exactly one loop, of weight 1 or, if loops are among the edges
    and weighted, of their mean weight; a loop of weight 0 is none. The returned root coefficient makes up
    the difference between that loop and the ones the edges already hold.

    Returns:
        [E] coefficient of every edge (caller's order), a :class:`NodeProduct` if the weights are one, and [N]
        coefficient of x_v itself (``None`` without self-loops).
    """
    if isinstance(edge_weight, NodeProduct):
        return _normalised_product(adj, edge_weight, add_self_loops, dtype)
    if edge_weight is None:
        return adj.memo(
            ("symmetric_norm", add_self_loops, dtype), lambda: _normalised(adj, None, add_self_loops, dtype)
        )
    return _normalised(adj, edge_weight, add_self_loops, dtype)


def _normalised(
    adj: CSR, edge_weight: Tensor | None, add_self_loops: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    exact = torch.promote_types(dtype, torch.float32)
    weight = None if edge_weight is None else _to_slots(edge_weight.to(exact), adj)
    degree = adj.degree.to(exact) if weight is None else segment_reduce(weight, adj.ptr, "sum")
    missing = _missing_loops(adj, weight, exact) if add_self_loops else None
    if missing is not None:
        degree = degree + missing
    scale = _inverse_root(degree)
    coefficient = gather(scale, adj.src) * gather(scale, adj.rows)
    if weight is not None:
        coefficient = coefficient * weight
    root = None if missing is None else (missing * scale * scale).to(dtype)
    return _to_edges(coefficient, adj).to(dtype), root


def _normalised_product(
    adj: CSR, weight: NodeProduct, add_self_loops: bool, dtype: torch.dtype
) -> tuple[NodeProduct, Tensor | None]:
    exact = torch.promote_types(dtype, torch.float32)
    source, target = (factor.to(exact) for factor in weight)
    degree, missing = target * aggregate(source, adj), None
    if add_self_loops:
        count = adj.memo(("loops", exact), lambda: _loops(adj, exact))
        loop = source * target
        missing = torch.where((count > 0) & (loop != 0), loop, 1) - count * loop
        degree = degree + missing
    scale = _inverse_root(degree)
    root = None if missing is None else (missing * scale * scale).to(dtype)
    return NodeProduct((source * scale).to(dtype), (target * scale).to(dtype)), root


def _inverse_root(degree: Tensor) -> Tensor:
    """Degree to the power of -1/2, 0 (with gradient 0) where nothing arrives."""
    connected = degree > 0
    return torch.where(connected, torch.where(connected, degree, 1).rsqrt(), 0)


def _to_slots(values: Tensor, adj: CSR) -> Tensor:
    """Edge data in the order of the CSR's slots."""
    return values if adj.eid is None else gather(values, adj.eid)


def _to_edges(values: Tensor, adj: CSR) -> Tensor:
    """Slot data in the caller's edge order."""
    return values if adj.eid is None else torch.empty_like(values).index_copy(0, adj.eid.long(), values)


def _missing_loops(adj: CSR, weight: Tensor | None, dtype: torch.dtype) -> Tensor:
    """[N] weight of the one loop a node shall have, minus the weight of the loops it has."""
    if weight is None:
        return 1 - _loops(adj, dtype)
    there = ((adj.src == adj.rows) & (weight != 0)).to(dtype)
    count, total = segment_reduce(there, adj.ptr, "sum"), segment_reduce(there * weight, adj.ptr, "sum")
    return torch.where(count > 0, total / count.clamp(min=1), 1) - total


def _loops(adj: CSR, dtype: torch.dtype) -> Tensor:
    """[N] number of loops of every node."""
    return segment_reduce((adj.src == adj.rows).to(dtype), adj.ptr, "sum")
