"""Graph isomorphism network with edge features, of Hu et al."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.conv._edges import check_edge_width, encoded, relu_messages
from gnnlab.nn.conv.gin_conv import GINConv
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.mlp import MLP
from gnnlab.ops import as_csr
from gnnlab.typing import Adjacency

__all__ = ["GINEConv"]


class GINEConv(GINConv):
    r"""Graph isomorphism convolution with edge features (Hu et al., ICLR 2020).

    .. math::
        x'_v = \mathrm{MLP}\Big((1 + \epsilon) x_v + \sum_{u \to v} w_{uv} \, \mathrm{ReLU}(x_u + e_{uv})\Big)

    The defaults with ``update`` = :class:`gnnlab.nn.MLP` (GELU, dropout) are the layer of the tuned LRGB
    runs. OGB's GIN is ``train_eps=True``, ``update`` = MLP with ``expansion=2, norm=BatchNorm``, and
    ``edge_encoder`` = :class:`gnnlab.nn.BondEncoder`, one per layer.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        eps: Initial :math:`\epsilon`.
        train_eps: Whether :math:`\epsilon` is learned.
        update: Factory (in_channels, out_channels) of the MLP.
        edge_encoder: Factory (in_channels) of the layer's own map from raw edge features to node width;
            ``None`` expects edge features of that width.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, in_channels], an :class:`gnnlab.nn.EdgeTable` of that width, or what ``edge_encoder``
          takes; 0 if missing
        * **edge_weight:** [E], 1 if missing
        * **output:** [N, out_channels]

    Raises:
        GraphError: edge features that cannot be added to the node states.

    Example:
        >>> conv = GINEConv(3, 8)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.randn(3, 3)).shape
        torch.Size([4, 8])
    """

    reads_edge_tables = True
    reads_node_products = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        eps: float = 0.0,
        train_eps: bool = False,
        update: Callable[[int, int], nn.Module] = MLP,
        edge_encoder: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, eps, train_eps, update)
        self.edge_encoder = None if edge_encoder is None else edge_encoder(in_channels)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        reset(self.edge_encoder)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EdgeTable | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        if edge_attr is not None:
            edge_attr = encoded(edge_attr, self.edge_encoder)
            check_edge_width(edge_attr, self.in_channels, "GINEConv")
        messages = relu_messages(x, edge_attr, adj, edge_weight)
        return self.update((1 + self.eps) * x + messages)
