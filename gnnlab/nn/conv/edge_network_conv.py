"""Edge-conditioned convolution, the edge network of Gilmer et al. as a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnlab.nn._messages import MessageReduce
from gnnlab.nn._messages_edge_network import EdgeNetworkMessage
from gnnlab.nn._reset import reset
from gnnlab.nn.linear import Linear
from gnnlab.typing import Adjacency

__all__ = ["EdgeNetworkConv"]


class EdgeNetworkConv(nn.Module):
    r"""Edge-conditioned convolution, as in "Neural Message Passing for Quantum Chemistry" (Gilmer et al., ICML 2017,
    arXiv 1704.01212) and "Dynamic Edge-Conditioned Filters in Convolutional Neural Networks on Graphs" (Simonovsky and
    Komodakis, CVPR 2017, arXiv 1704.02901).

    .. math::
        x'_v = W x_v + \sum_{u \to v} A(e_{uv}) \, x_u + b

    PyG's ``NNConv`` with a network that ends in a Linear, without its matrix per edge: see
    :class:`gnnlab.nn.EdgeNetworkMessage`, whose cost it has.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        edge_channels: Width of the edge features; ``None`` is ``in_channels``.
        network_channels: Hidden width of the network behind A.
        network_layers: Its Linear layers, the last one included, at least 2.
        factored: Whether no matrix per edge is built; ``None`` decides by size.
        reduce: ``sum`` or ``mean`` over the incoming edges.
        root: Whether there is a :math:`W x_v`.
        bias: Whether b is learned.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, edge_channels]
        * **edge_weight:** [E], multiplies the messages; 1 if missing
        * **output:** [N, out_channels]

    Raises:
        ConfigError: a network of no layers or channels.
        GraphError: edge features that are missing or of another width.

    Example:
        >>> conv = EdgeNetworkConv(3, 8, edge_channels=2)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.randn(3, 2)).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_channels: int | None = None,
        network_channels: int = 128,
        network_layers: int = 2,
        factored: bool | None = None,
        reduce: MessageReduce = "sum",
        root: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.message = EdgeNetworkMessage(
            in_channels, out_channels, edge_channels, network_channels, network_layers, factored, reduce
        )
        self.root = Linear(in_channels, out_channels, bias=False) if root else None
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self, x: Tensor, adj: Adjacency, edge_attr: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        out = self.message(x, adj, edge_attr, edge_weight)
        out = out if self.root is None else out + self.root(x)
        return out if self.bias is None else out + self.bias
