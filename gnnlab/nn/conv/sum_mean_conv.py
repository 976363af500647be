"""The plainest message passing: a Linear of a state and the sum or mean of its neighbours."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn.conv._edges import check_edge_width, weighted_aggregate
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.linear import Linear
from gnnlab.nn.node_product import NodeProduct
from gnnlab.ops import CSR, aggregate, aggregate_edges, as_csr, linear
from gnnlab.typing import Adjacency

__all__ = ["SumMeanConv"]

_REDUCE = ("mean", "sum")


class SumMeanConv(nn.Module):
    r"""MeanGNN and SumGNN, the base networks :math:`\mu` and :math:`\Sigma` of cooperative networks (Finkelshtein et
    al., ICML 2024, arXiv 2310.01267).

    .. math::
        x'_v = W \Big[x_v \,\Big\|\, \mathrm{reduce}_{u \to v} \; w_{uv} (x_u + e_{uv})\Big] + b

    A mean divides by the number of edges, whatever they weigh. The product commutes with the aggregation, so a layer
    that narrows multiplies first and moves ``out_channels`` columns along the edges.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        reduce: ``mean`` or ``sum``.
        bias: Whether b is learned.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, in_channels] or an :class:`gnnlab.nn.EdgeTable` of that width; 0 if missing
        * **edge_weight:** [E], or a :class:`gnnlab.nn.NodeProduct`; 1 if missing
        * **output:** [N, out_channels]

    Raises:
        ConfigError: another ``reduce``.
        GraphError: edge features that cannot be added to the node states.

    Example:
        >>> conv = SumMeanConv(3, 8, reduce="sum")
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]])).shape
        torch.Size([4, 8])
    """

    reads_edge_tables = True
    reads_node_products = True

    def __init__(
        self, in_channels: int, out_channels: int, reduce: Literal["mean", "sum"] = "mean", bias: bool = True
    ) -> None:
        super().__init__()
        if reduce not in _REDUCE:
            raise ConfigError(f"unknown reduce {reduce!r}", where="SumMeanConv", hint=nearest(str(reduce), _REDUCE))
        self.in_channels, self.out_channels, self.reduce = in_channels, out_channels, reduce
        self.lin = Linear(2 * in_channels, out_channels, bias=bias)

    def reset_parameters(self) -> None:
        self.lin.reset_parameters()

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EdgeTable | None = None,
        edge_weight: Tensor | NodeProduct | None = None,
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        if edge_attr is not None:
            check_edge_width(edge_attr, self.in_channels, "SumMeanConv")
        if self.out_channels >= self.in_channels:
            neighbours = self._reduced(x, edge_attr, adj, edge_weight)
            return self.lin(torch.cat([x, neighbours], dim=-1))
        root, message = self.lin.weight.split(self.in_channels, dim=1)
        own, moved = linear(x, torch.cat([root, message])).split(self.out_channels, dim=-1)
        neighbours = self._reduced(moved.contiguous(), _mapped(edge_attr, message), adj, edge_weight)
        out = own + neighbours
        return out if self.lin.bias is None else out + self.lin.bias

    def _reduced(
        self, x: Tensor, edge_attr: Tensor | EdgeTable | None, adj: CSR, weight: Tensor | NodeProduct | None
    ) -> Tensor:
        if edge_attr is None:
            return weighted_aggregate(x, adj, weight, self.reduce)
        weight = weight.dense(adj) if isinstance(weight, NodeProduct) else weight
        rows = edge_attr.dense() if isinstance(edge_attr, EdgeTable) else edge_attr
        total = aggregate(x, adj, edge_weight=weight) + aggregate_edges(rows, adj, x.size(0), edge_weight=weight)
        return total if self.reduce == "sum" else total / adj.degree.clamp(min=1).unsqueeze(-1)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, reduce='{self.reduce}'"


def _mapped(edge_attr: Tensor | EdgeTable | None, weight: Tensor) -> Tensor | EdgeTable | None:
    if edge_attr is None:
        return None
    if isinstance(edge_attr, EdgeTable):
        return EdgeTable(linear(edge_attr.rows, weight), edge_attr.index)
    return linear(edge_attr, weight)
