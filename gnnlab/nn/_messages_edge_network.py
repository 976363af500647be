"""The edge network of Gilmer et al.: a matrix per edge, which is never built where that would be larger."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._messages import EncodedEdges, Message, MessageReduce, edge_features
from gnnlab.nn._outer_aggregate import outer_aggregate
from gnnlab.nn._reset import reset
from gnnlab.nn.linear import Linear
from gnnlab.ops import aggregate_edges, as_csr, gather_source
from gnnlab.typing import Adjacency

__all__ = ["EdgeNetworkMessage"]


class EdgeNetworkMessage(Message):
    r"""Edge-network messages (Gilmer et al., "Neural Message Passing for Quantum Chemistry", ICML 2017, arXiv
    1704.01212).

    .. math::
        m_v = \sum_{u \to v} A(e_{uv}) \, x_u, \qquad
        A(e) = \sum_{r = 1}^R \phi_r(e) B_r + B_0, \qquad \phi = \text{ReLU MLP}

    The last layer of the network that makes a matrix of an edge is linear, so the sum over edges can be taken before
    the product with the matrices :math:`B_r` (the factored form):

    .. math::
        m_v = \sum_{r = 0}^R B_r \sum_{u \to v} \phi_r(e_{uv}) \, x_u, \qquad \phi_0 = 1.

    Cost: factored, time :math:`E R d + N R d\,d'`, memory :math:`N R d + E (R + d)`; materialised, time
    :math:`E R d\,d'`, memory :math:`E d\,d'`. On a graph of 1e5 nodes and more the factored form holds :math:`N R d`
    numbers: lower ``network_channels``.

    Args:
        in_channels: d, width of the node states.
        out_channels: d', width of the messages.
        edge_channels: Width of the edge features; ``None`` is that of the node states.
        network_channels: R, hidden width of the network.
        network_layers: Linear layers of the network, the last one (to the matrices) included, at least 2.
        factored: Which form is computed: factored, materialised (``False``), or with ``None`` the one of the smaller
            memory, :math:`N R` against :math:`E d'`.
        reduce: ``sum``, as in the paper, or ``mean`` over the incoming edges.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, edge_channels]
        * **edge_weight:** [E], multiplies the messages; 1 if missing
        * **output:** [N, out_channels]

    Raises:
        ConfigError: widths or layers below 1 (2).
        GraphError: edge features that are missing or of another width.

    Example:
        >>> message = EdgeNetworkMessage(4, 6, edge_channels=5, network_channels=8)
        >>> message(torch.randn(3, 4), torch.tensor([[0, 1, 2], [1, 0, 1]]), torch.rand(3, 5)).shape
        torch.Size([3, 6])
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
    ) -> None:
        super().__init__(in_channels, out_channels, reduce)
        if network_channels < 1 or network_layers < 2:
            raise ConfigError(
                f"network_channels must be at least 1 and network_layers at least 2, got {network_channels} and "
                f"{network_layers}",
                where=type(self).__name__,
            )
        self.edge_channels = in_channels if edge_channels is None else edge_channels
        self.factored = factored
        widths = [self.edge_channels] + [network_channels] * (network_layers - 1)
        layers = [layer for pair in pairwise(widths) for layer in (Linear(*pair), nn.ReLU())]
        self.network = nn.Sequential(*layers)
        self.rank = network_channels + 1
        self.weight = nn.Parameter(torch.empty(self.rank * in_channels, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for layer in self.network:
            reset(layer)
        # Glorot's rule for the matrix A(e) as a whole, whose entries are sums of R + 1 terms.
        bound = math.sqrt(6 / (self.in_channels + self.out_channels) / self.rank)
        nn.init.uniform_(self.weight, -bound, bound)

    def encode_edges(self, edge_attr: Tensor, num_nodes: int) -> EncodedEdges:
        """What depends on edge features alone: :math:`\\phi` [E, R + 1], or the matrices [E, d, d']."""
        edge_attr = edge_features(edge_attr, self.edge_channels, type(self).__name__)
        features = self.network(edge_attr)
        features = torch.cat([features, features.new_ones(features.size(0), 1)], dim=1)
        factored = self.factored
        if factored is None:
            factored = num_nodes * self.rank <= edge_attr.size(0) * self.out_channels
        if factored:
            return EncodedEdges(features)
        matrices = features @ self.weight.view(self.rank, -1)
        return EncodedEdges(matrices.view(-1, self.in_channels, self.out_channels))

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EncodedEdges | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        encoded = edge_attr if isinstance(edge_attr, EncodedEdges) else self.encode_edges(edge_attr, x.size(0))
        values = encoded.values
        if values.dim() == 3:
            messages = torch.bmm(gather_source(x, adj).unsqueeze(1), values).squeeze(1)
            return self.reduced(aggregate_edges(messages, adj, x.size(0), edge_weight), adj)
        factors = values if edge_weight is None else values * edge_weight.unsqueeze(-1)
        return self.reduced(outer_aggregate(x, factors, self.weight, adj), adj)
