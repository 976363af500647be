"""Relational graph convolution of Schlichtkrull et al."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._relations import split_relations
from gnnlab.nn.linear import Linear
from gnnlab.ops import aggregate, as_csr, linear
from gnnlab.typing import Adjacency

__all__ = ["RGCNConv"]


class RGCNConv(nn.Module):
    r"""Relational graph convolution, R-GCN (Schlichtkrull et al., ESWC 2018, arXiv 1703.06103).

    .. math::
        x'_v = W_0 x_v + b + \sum_{r = 0}^{R - 1} W_r \, \mathrm{mean}_{u \to v \text{ of type } r} x_u,
        \qquad W_r = \sum_{b = 1}^B a_{rb} V_b \text{ with a basis}

    The defaults are the R-GCN of the released code of FoSR (Karhadkar et al., ICLR 2023), whose rewired edges are
    a relation of their own. Its network is ``GNN(out_channels, 64, 4, RGCNConv, in_channels=..., residual=False,
    dropout=0.5, head=None)``: the last layer makes the prediction, which is averaged over the nodes.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        num_relations: R.
        num_bases: B, number of matrices all relations share; ``None`` gives every relation its own.
        root: Whether there is a :math:`W_0 x_v`.
        bias: Whether b is learned.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** ignored
        * **edge_weight:** [E], multiplies the messages; 1 if missing
        * **edge_type:** [E] integer in 0, ..., R - 1; 0 if missing
        * **output:** [N, out_channels]

    Raises:
        ConfigError: no relation, or no basis.
        GraphError: an ``edge_type`` outside of the relations.

    Example:
        >>> conv = RGCNConv(3, 8, num_relations=2)
        >>> edge_index, edge_type = torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.tensor([0, 0, 1])
        >>> conv(torch.randn(4, 3), edge_index, edge_type=edge_type).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_relations: int = 2,
        num_bases: int | None = None,
        root: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        for name, value in (("num_relations", num_relations), ("num_bases", num_bases)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}", where="RGCNConv")
        self.in_channels, self.out_channels, self.num_relations = in_channels, out_channels, num_relations
        self.weight = nn.Parameter(torch.empty(num_bases or num_relations, out_channels, in_channels))
        self.basis = nn.Parameter(torch.empty(num_relations, num_bases)) if num_bases else None
        self.root = Linear(in_channels, out_channels, bias=False) if root else None
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        # Every matrix on its own, as Glorot and Bengio's rule means it.
        bound = math.sqrt(6 / (self.in_channels + self.out_channels))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.basis is not None:
            nn.init.xavier_uniform_(self.basis)
        if self.root is not None:
            nn.init.xavier_uniform_(self.root.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | None = None,
        edge_weight: Tensor | None = None,
        edge_type: Tensor | None = None,
    ) -> Tensor:
        edges = Edges(as_csr(adj, x.size(0)), None, None, edge_weight, edge_type)
        parts = split_relations(edges.adj, edges.relation, self.num_relations)
        weights = self.weight if self.basis is None else torch.einsum("rb,boi->roi", self.basis, self.weight)
        means = [
            aggregate(x, part.adj, "mean", None if edge_weight is None else edge_weight[part.edges]) for part in parts
        ]
        # One product for all relations and the root.
        if self.root is not None:
            means.append(x)
            weights = torch.cat([weights, self.root.weight.unsqueeze(0)])
        return linear(torch.cat(means, 1), weights.transpose(0, 1).flatten(1), self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, num_relations={self.num_relations}"
