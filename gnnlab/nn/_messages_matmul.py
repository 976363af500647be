"""Messages of gated graph networks: one matrix per type of edge."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._messages import Message, MessageReduce
from gnnlab.nn._relations import one_relation, split_relations
from gnnlab.ops import aggregate, as_csr
from gnnlab.typing import Adjacency

__all__ = ["MatmulMessage"]


class MatmulMessage(Message):
    r"""One matrix per discrete edge type (GG-NN, Li et al., ICLR 2016, arXiv 1511.05493; "matrix multiplication" of
    Gilmer et al., ICML 2017, arXiv 1704.01212).

    .. math::
        m_v = \sum_{u \to v} A_{\mathrm{type}(u, v)} \, x_u

    :class:`gnnlab.rewiring.BondTypes` and :class:`gnnlab.rewiring.DistanceBins` write the types.

    Cost: time :math:`E d + N K d\,d'` for K types, memory :math:`N K d`.

    Args:
        in_channels: d, width of the node states.
        out_channels: d', width of the messages.
        num_types: K, number of edge types.
        reduce: ``sum``, as in the paper, or ``mean`` over the incoming edges.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** ignored
        * **edge_weight:** [E], multiplies the messages; 1 if missing
        * **edge_type:** [E] integer in 0, ..., K - 1; 0 if missing
        * **output:** [N, out_channels]

    Raises:
        ConfigError: no type.
        GraphError: an ``edge_type`` outside of the types.

    Example:
        >>> message = MatmulMessage(4, 6, num_types=2)
        >>> edge_index, edge_type = torch.tensor([[0, 1, 2], [1, 0, 1]]), torch.tensor([0, 0, 1])
        >>> message(torch.randn(3, 4), edge_index, edge_type=edge_type).shape
        torch.Size([3, 6])
    """

    def __init__(self, in_channels: int, out_channels: int, num_types: int = 4, reduce: MessageReduce = "sum") -> None:
        super().__init__(in_channels, out_channels, reduce)
        if num_types < 1:
            raise ConfigError(f"num_types must be at least 1, got {num_types}", where="MatmulMessage")
        self.num_types = num_types
        self.weight = nn.Parameter(torch.empty(num_types * in_channels, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        # Every matrix on its own, as Glorot and Bengio's rule means it.
        bound = math.sqrt(6 / (self.in_channels + self.out_channels))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | None = None,
        edge_weight: Tensor | None = None,
        edge_type: Tensor | None = None,
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        kinds = one_relation(adj) if edge_type is None else edge_type
        parts = split_relations(adj, kinds, self.num_types)
        sums = [
            aggregate(x, part.adj, edge_weight=None if edge_weight is None else edge_weight[part.edges])
            for part in parts
        ]
        return self.reduced(torch.cat(sums, dim=1) @ self.weight, adj)
