"""Gated graph convolution of Bresson and Laurent, with edge states."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.conv._edges import check_edge_width, gated_messages
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import as_csr
from gnnlab.typing import Adjacency

__all__ = ["GatedGCNConv"]


class GatedGCNConv(nn.Module):
    r"""Residual gated graph convolution with edge states (Bresson and Laurent, 2017, arXiv 1711.07553).

    .. math::
        \hat e_{uv} &= D x_v + E x_u + C e_{uv}, \qquad \eta_{uv} = w_{uv} \, \sigma(\hat e_{uv}) \\
        \hat x_v &= A x_v + \frac{\sum_{u \to v} \eta_{uv} \odot B x_u}{\sum_{u \to v} \eta_{uv} + 10^{-6}} \\
        x'_v &= \mathrm{dropout}(\phi(\mathrm{norm}(\hat x_v))), \qquad
        e'_{uv} = e_{uv} + \mathrm{dropout}(\phi(\mathrm{norm}(\hat e_{uv})))

    Normalisation, activation and dropout belong to the layer, because the edge states need them too;
    the residual connection of the nodes is the model's (``GNN(residual=True, activation=None)``).

    Args:
        in_channels: Width of the input nodes and edges.
        out_channels: Width of the output; the edge residual is only there if it equals ``in_channels``.
        norm: Factory (channels) of the normalisation of nodes and edges; ``None`` for none.
        activation: Factory of :math:`\phi`.
        dropout: Probability of dropping a channel.
        edge_states: Whether edges have features and states. Without, edge features are ignored, :math:`C` is left
            out, and the nodes alone are returned.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, in_channels]
        * **edge_weight:** [E], 1 if missing
        * **output:** ([N, out_channels], [E, out_channels]); the nodes alone if there are no edge features

    Raises:
        GraphError: edge features that do not have the width of the nodes.

    Example:
        >>> conv = GatedGCNConv(8, 8)
        >>> x, edge_attr = conv(torch.randn(4, 8), torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.randn(3, 8))
        >>> x.shape, edge_attr.shape
        (torch.Size([4, 8]), torch.Size([3, 8]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] = nn.ReLU,
        dropout: float = 0.0,
        edge_states: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.edge_states = in_channels, out_channels, edge_states
        self.A, self.B, self.C, self.D, self.E = (
            None if name == "C" and not edge_states else Linear(in_channels, out_channels) for name in "ABCDE"
        )
        self.node_output, self.edge_output = (
            nn.Sequential(norm(out_channels) if norm else nn.Identity(), activation(), Dropout(dropout))
            for _ in range(2)
        )
        if not edge_states:
            self.edge_output = None

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(
        self, x: Tensor, adj: Adjacency, edge_attr: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        adj = as_csr(adj, x.size(0))
        edge_attr = edge_attr if self.edge_states else None
        if edge_attr is not None:
            check_edge_width(edge_attr, self.in_channels, "GatedGCNConv")
        edges = None if edge_attr is None else self.C(edge_attr)
        mixed, edges = gated_messages(self.B(x), self.E(x), self.D(x), edges, adj, edge_weight)
        out = self.node_output(self.A(x) + mixed)
        if edge_attr is None:
            return out
        edges = self.edge_output(edges)
        return out, edge_attr + edges if self.in_channels == self.out_channels else edges

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}"
