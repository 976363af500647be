"""Sparse attention of Exphormer, of Shirzad et al."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._reset import reset
from gnnlab.nn.attention import check_heads
from gnnlab.nn.conv._edges import check_edge_width
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.linear import Linear
from gnnlab.ops import as_csr, attention_aggregate, dropout, gather, gather_source, gather_target
from gnnlab.typing import Adjacency

__all__ = ["ExphormerConv"]


class ExphormerConv(nn.Module):
    r"""Attention over edges, expander edges and virtual nodes (Shirzad et al., "Exphormer: Sparse Transformers for
    Graphs", ICML 2023, arXiv 2303.06147).

    .. math::
        s_{uv} = \mathrm{clamp}\Big(\frac{\langle W_K x_u \odot W_E (e_{uv} + r_{t(uv)}), W_Q x_v \rangle}{\sqrt{d}}
        \Big), \qquad x'_v = \sum_{u \to v} \mathrm{softmax}_{u \to v}(s_{uv}) \, W_V x_u

    per head of width d, where t(uv) is the edge type and :math:`r_t` a learned embedding. It is the attention half
    of a layer: ``GPSConv(local=..., attention=ExphormerConv, local_relations=[0])``, with edges of type 1 from
    ``gnnlab.rewiring.Expander(kind="regular")`` and of type 2 from ``gnnlab.rewiring.VirtualNode(relation=2)``.

    As released there is no output projection. Otherwise than there: the embeddings are those of the layer, not of the
    model; edges of the graph have the states the local half has given them, not their first ones; virtual nodes
    are nodes like any other (with local half and FFN); and the sum of weights has no 1e-6 added.

    Cost: O(E C) memory and time, :math:`O((N + E) C^2)` for the linear maps. It works for graphs of any size.

    Args:
        in_channels: Width of the input nodes and edges.
        out_channels: Width of the output.
        heads: Number of heads, which divides ``out_channels``.
        num_relations: Number of edge types with an embedding; ``None`` for no embedding, so that edges need features.
        dropout: Probability of dropping an attention weight; 0 in the released code.
        clamp: Scores are limited to [-clamp, clamp]; ``None`` for no limit.
        use_bias: Whether the linear maps have a bias.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, in_channels], or their table; 0 if missing
        * **edge_type:** [E] integer in 0, ..., num_relations - 1; 0 if missing
        * **output:** [N, out_channels]; 0 where a node has no edges

    Raises:
        ConfigError: heads that do not divide ``out_channels``, or no relation.
        GraphError: edges without features or type, or features of another width.

    Example:
        >>> conv, edge_index = ExphormerConv(8, 8, heads=2), torch.tensor([[0, 1, 2], [1, 0, 3]])
        >>> conv(torch.randn(4, 8), edge_index, edge_type=torch.tensor([0, 0, 1])).shape
        torch.Size([4, 8])
    """

    reads_edge_tables = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 4,
        num_relations: int | None = 3,
        dropout: float = 0.0,
        clamp: float | None = 5.0,
        use_bias: bool = False,
    ) -> None:
        super().__init__()
        check_heads(heads, out_channels, type(self).__name__)
        if num_relations is not None and num_relations < 1:
            raise ConfigError(f"num_relations must be at least 1, got {num_relations}", where=type(self).__name__)
        self.in_channels, self.out_channels, self.num_relations = in_channels, out_channels, num_relations
        self.heads, self.dropout, self.clamp = heads, dropout, clamp
        maps = (Linear(in_channels, out_channels, bias=use_bias) for _ in range(4))
        self.query, self.key, self.value, self.edge = maps
        self.relation = None if num_relations is None else nn.Embedding(num_relations, in_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EdgeTable | None = None,
        edge_type: Tensor | None = None,
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        edges = Edges(adj, attr=edge_attr, type=edge_type)
        modulated = gather_source(self.key(x), adj) * self._edge_factors(edges)
        score = (modulated * gather_target(self.query(x), adj)).unflatten(-1, (self.heads, -1)).sum(-1)
        score = score * (self.out_channels // self.heads) ** -0.5
        score = score if self.clamp is None else score.clamp(-self.clamp, self.clamp)
        kept = dropout(torch.ones_like(score), self.dropout) if self.training and self.dropout else None
        value = self.value(x).unflatten(-1, (self.heads, -1))
        return attention_aggregate(value, adj, edge=score, weight=kept).flatten(1)

    def _edge_factors(self, edges: Edges) -> Tensor:
        """[E, C], the linear map of few different rows where edges have a table or nothing but a type."""
        kind = None if self.relation is None else _checked(edges.relation, self.num_relations)
        if edges.attr is None:
            if kind is None:
                raise GraphError(
                    "ExphormerConv needs features or types of edges, but has neither",
                    hint="set num_relations, or give the FeatureEncoder edge=",
                )
            return gather(self.edge(self.relation.weight), kind)
        check_edge_width(edges.attr, self.in_channels, type(self).__name__)
        if isinstance(edges.attr, EdgeTable):
            factors = gather(self.edge(edges.attr.rows), edges.attr.index)
            return factors if kind is None else factors + gather(self.relation.weight @ self.edge.weight.t(), kind)
        return self.edge(edges.attr if kind is None else edges.attr + gather(self.relation.weight, kind))

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}, num_relations={self.num_relations}"


def _checked(edge_type: Tensor, num_relations: int) -> Tensor:
    """Types that have an embedding; looked at where that costs no wait for the device."""
    if edge_type.device.type == "cpu" and edge_type.numel() and not torch.compiler.is_compiling():
        low, high = (int(bound) for bound in torch.aminmax(edge_type))
        if low < 0 or high >= num_relations:
            raise GraphError(
                f"edge_type holds relation {low if low < 0 else high}, but the layer has {num_relations} relations "
                f"(0 to {num_relations - 1})",
                hint="raise num_relations, or change relation= of the rewiring",
            )
    return edge_type
