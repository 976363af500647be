"""Graph convolution of Kipf and Welling."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.conv._edges import symmetric_norm, weighted_aggregate
from gnnlab.nn.linear import Linear
from gnnlab.nn.node_product import NodeProduct
from gnnlab.ops import CSR, as_csr
from gnnlab.typing import Adjacency

__all__ = ["GCNConv"]


class GCNConv(nn.Module):
    r"""Graph convolution (Kipf and Welling, ICLR 2017).

    .. math::
        X' = \hat D^{-1/2} \hat A \hat D^{-1/2} X W + b, \qquad \hat A = A + I,

    with :math:`\hat D` the weighted in-degree of :math:`\hat A`. The loops of :math:`I` are never built:
    they are a term :math:`x_v / \hat d_v` computed from the degrees. Loops among the edges are replaced,
    not doubled, as in PyG.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        add_self_loops: Whether every node has a loop; ``False`` uses the edges as they are.
        bias: Whether b is learned.
        update: Factory (in_channels, out_channels) of a network that replaces W and b, applied after the
            aggregation; ``gnnlab.nn.MLP`` gives the GCN block of Platonov et al. (ICLR 2023).

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** ignored
        * **edge_weight:** [E], or a :class:`gnnlab.nn.NodeProduct`
        * **output:** [N, out_channels]

    Example:
        >>> conv = GCNConv(3, 8)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]])).shape
        torch.Size([4, 8])
    """

    reads_node_products = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        add_self_loops: bool = True,
        bias: bool = True,
        update: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.add_self_loops = add_self_loops
        self.update = None if update is None else update(in_channels, out_channels)
        self.lin = Linear(in_channels, out_channels, bias=False) if update is None else None
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias and update is None else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset(self.update)
        if self.lin is not None:
            nn.init.xavier_uniform_(self.lin.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | None = None,
        edge_weight: Tensor | NodeProduct | None = None,
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        if self.update is not None:
            return self.update(self._propagate(x, adj, edge_weight))
        # The product commutes with the aggregation: move the narrower of the two along the edges.
        if self.out_channels <= self.in_channels:
            out = self._propagate(self.lin(x), adj, edge_weight)
        else:
            out = self.lin(self._propagate(x, adj, edge_weight))
        return out if self.bias is None else out + self.bias

    def _propagate(self, x: Tensor, adj: CSR, edge_weight: Tensor | NodeProduct | None) -> Tensor:
        coefficient, root = symmetric_norm(adj, edge_weight, self.add_self_loops, x.dtype)
        out = weighted_aggregate(x, adj, coefficient)
        return out if root is None else torch.addcmul(out, root.unsqueeze(-1), x)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, add_self_loops={self.add_self_loops}"
