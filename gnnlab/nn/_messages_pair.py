"""Messages that see both ends of an edge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnlab.nn._messages import EncodedEdges, Message, MessageReduce, edge_features
from gnnlab.nn._reset import reset
from gnnlab.nn.linear import Linear
from gnnlab.ops import aggregate_edges, as_csr, gather_source, gather_target
from gnnlab.typing import Adjacency

__all__ = ["PairMessage"]


class PairMessage(Message):
    r"""Pair messages: a network of both node states and the edge (Gilmer et al., ICML 2017, arXiv 1704.01212; there
    clearly worse than the edge network).

    .. math::
        m_v = \sum_{u \to v} \big(W_2 \, \mathrm{ReLU}(W_s x_u + W_t x_v + W_e e_{uv} + b_1) + b_2\big)

    Node states are projected before they are gathered and sums are taken before the last layer, so the time is
    :math:`N d\,c + E c` for c hidden channels, the memory :math:`E c`.

    Args:
        in_channels: Width of the node states.
        out_channels: Width of the messages.
        edge_channels: Width of the edge features; ``None`` is that of the node states.
        pair_channels: c, hidden width; ``None`` is ``out_channels``.
        reduce: ``sum``, as in the paper, or ``mean`` over the incoming edges.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, edge_channels]
        * **edge_weight:** [E], multiplies the messages; 1 if missing
        * **output:** [N, out_channels]

    Raises:
        GraphError: edge features that are missing or of another width.

    Example:
        >>> message = PairMessage(4, 6, edge_channels=5)
        >>> message(torch.randn(3, 4), torch.tensor([[0, 1, 2], [1, 0, 1]]), torch.rand(3, 5)).shape
        torch.Size([3, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_channels: int | None = None,
        pair_channels: int | None = None,
        reduce: MessageReduce = "sum",
    ) -> None:
        super().__init__(in_channels, out_channels, reduce)
        hidden = out_channels if pair_channels is None else pair_channels
        self.edge_channels = in_channels if edge_channels is None else edge_channels
        self.source = Linear(in_channels, hidden, bias=False)
        self.target = Linear(in_channels, hidden, bias=False)
        self.edge = Linear(self.edge_channels, hidden)
        self.last = Linear(hidden, out_channels, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def reset_parameters(self) -> None:
        for layer in self.children():
            reset(layer)
        nn.init.zeros_(self.bias)

    def encode_edges(self, edge_attr: Tensor, num_nodes: int) -> EncodedEdges:
        """[E, c], the share of the edge features in the hidden layer."""
        return EncodedEdges(self.edge(edge_features(edge_attr, self.edge_channels, "PairMessage")))

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EncodedEdges | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        encoded = edge_attr if isinstance(edge_attr, EncodedEdges) else self.encode_edges(edge_attr, x.size(0))
        hidden = gather_source(self.source(x), adj) + gather_target(self.target(x), adj) + encoded.values
        total = self.last(aggregate_edges(hidden.relu(), adj, x.size(0), edge_weight))
        count = aggregate_edges(hidden.new_ones(hidden.size(0)), adj, x.size(0), edge_weight)
        return self.reduced(total + count.unsqueeze(-1) * self.bias, adj)
