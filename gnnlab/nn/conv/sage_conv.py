"""GraphSAGE of Hamilton et al."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.conv._edges import weighted_aggregate
from gnnlab.nn.linear import Linear
from gnnlab.nn.node_product import NodeProduct
from gnnlab.ops import as_csr
from gnnlab.typing import Adjacency, Reduce

__all__ = ["SAGEConv"]


class SAGEConv(nn.Module):
    r"""GraphSAGE convolution (Hamilton, Ying and Leskovec, NeurIPS 2017).

    .. math::
        x'_v = W_1 x_v + W_2 \, \mathrm{mean}_{u \to v} x_u + b
        \qquad \text{or} \qquad
        x'_v = \mathrm{update}([x_v \,\|\, \mathrm{mean}_{u \to v} x_u])

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        reduce: How the neighbours are reduced: ``mean``, ``sum``, ``max`` or ``min``.
        bias: Whether b is learned (form with a sum).
        update: Factory (2 in_channels, out_channels) applied to the concatenation; ``None`` is the form with
            a sum. ``torch.nn.Linear`` is the paper's form, ``gnnlab.nn.MLP`` the SAGE block of Platonov et
            al. (ICLR 2023).

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** ignored
        * **edge_weight:** [E], or a :class:`gnnlab.nn.NodeProduct`; multiplies the messages, 1 if missing
        * **output:** [N, out_channels]

    Example:
        >>> conv = SAGEConv(3, 8, update=nn.Linear)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]])).shape
        torch.Size([4, 8])
    """

    reads_node_products = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        reduce: Reduce = "mean",
        bias: bool = True,
        update: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.reduce = in_channels, out_channels, reduce
        self.update = None if update is None else update(2 * in_channels, out_channels)
        self.lin = Linear(in_channels, out_channels, bias=bias) if update is None else None
        self.lin_root = Linear(in_channels, out_channels, bias=False) if update is None else None

    def reset_parameters(self) -> None:
        for module in (self.update, self.lin, self.lin_root):
            reset(module)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | None = None,
        edge_weight: Tensor | NodeProduct | None = None,
    ) -> Tensor:
        neighbours = weighted_aggregate(x, as_csr(adj, x.size(0)), edge_weight, self.reduce)
        if self.update is not None:
            return self.update(torch.cat([x, neighbours], dim=-1))
        return self.lin(neighbours) + self.lin_root(x)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, reduce='{self.reduce}'"
