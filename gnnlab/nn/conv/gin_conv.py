"""Graph isomorphism network of Xu et al."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.conv._edges import weighted_aggregate
from gnnlab.nn.mlp import MLP
from gnnlab.nn.node_product import NodeProduct
from gnnlab.ops import as_csr
from gnnlab.typing import Adjacency

__all__ = ["GINConv"]


class GINConv(nn.Module):
    r"""Graph isomorphism convolution (Xu et al., "How powerful are graph neural networks?", ICLR 2019).

    .. math::
        x'_v = \mathrm{MLP}\Big((1 + \epsilon) x_v + \sum_{u \to v} w_{uv} x_u\Big)

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        eps: Initial :math:`\epsilon`.
        train_eps: Whether :math:`\epsilon` is learned.
        update: Factory (in_channels, out_channels) of the MLP.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** ignored
        * **edge_weight:** [E], or a :class:`gnnlab.nn.NodeProduct`; 1 if missing
        * **output:** [N, out_channels]

    Example:
        >>> conv = GINConv(3, 8, train_eps=True)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]])).shape
        torch.Size([4, 8])
    """

    reads_node_products = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        eps: float = 0.0,
        train_eps: bool = False,
        update: Callable[[int, int], nn.Module] = MLP,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.initial_eps, self.train_eps = eps, train_eps
        self.eps = nn.Parameter(torch.tensor(eps)) if train_eps else eps
        self.update = update(in_channels, out_channels)

    def reset_parameters(self) -> None:
        reset(self.update)
        if self.train_eps:
            nn.init.constant_(self.eps, self.initial_eps)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | None = None,
        edge_weight: Tensor | NodeProduct | None = None,
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        return self.update((1 + self.eps) * x + weighted_aggregate(x, adj, edge_weight))

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, eps={self.initial_eps}, train_eps={self.train_eps}"
