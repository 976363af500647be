"""The GCN with edge features of OGB's molecular baselines."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.conv._edges import check_edge_width, relu_messages
from gnnlab.nn.linear import Linear
from gnnlab.ops import as_csr, gather_source
from gnnlab.typing import Adjacency

__all__ = ["OGBGCNConv"]


class OGBGCNConv(nn.Module):
    r"""GCN with edge features (Hu et al., "Open Graph Benchmark", NeurIPS 2020, molecular baseline).

    .. math::
        h = W x + b, \qquad
        x'_v = \sum_{u \to v} \frac{w_{uv} \, \mathrm{ReLU}(h_u + e_{uv})}{\sqrt{d_u d_v}}
        + \frac{\mathrm{ReLU}(h_v + r)}{d_v},

    with :math:`d_v` one more than the in-degree and r a learned vector in place of the features of a
    self-loop. (The published code counts outgoing edges; molecules are undirected.)

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        edge_encoder: Factory (out_channels) of the layer's own map from raw edge features, such as
            :class:`gnnlab.nn.BondEncoder`; ``None`` expects edge features of width ``out_channels``.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, out_channels], or what ``edge_encoder`` takes; 0 if missing
        * **edge_weight:** [E], 1 if missing
        * **output:** [N, out_channels]

    Raises:
        GraphError: edge features that cannot be added to the node states.

    Example:
        >>> conv = OGBGCNConv(3, 8)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.randn(3, 8)).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_encoder: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.lin = Linear(in_channels, out_channels)
        self.root = nn.Parameter(torch.empty(out_channels))
        self.edge_encoder = None if edge_encoder is None else edge_encoder(out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self.lin.reset_parameters()
        nn.init.normal_(self.root)
        reset(self.edge_encoder)

    def forward(
        self, x: Tensor, adj: Adjacency, edge_attr: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        x = self.lin(x)
        degree = adj.degree.to(x.dtype).unsqueeze(-1) + 1
        scale = degree.rsqrt()
        if edge_attr is not None:
            edge_attr = edge_attr if self.edge_encoder is None else self.edge_encoder(edge_attr)
            check_edge_width(edge_attr, self.out_channels, "OGBGCNConv")
            edge_attr = edge_attr * gather_source(scale, adj)
        # ReLU(s a) = s ReLU(a) for s > 0, so the normalisation needs no pass of its own over the messages.
        messages = relu_messages(x * scale, edge_attr, adj, edge_weight)
        return scale * messages + (x + self.root).relu() / degree

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}"
