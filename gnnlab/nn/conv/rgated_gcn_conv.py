"""Gated graph convolution with relations."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges, joined
from gnnlab.nn._relations import split_relations
from gnnlab.nn._reset import reset
from gnnlab.nn.conv._edges import check_edge_width, gated_messages
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import as_csr
from gnnlab.typing import Adjacency

__all__ = ["RGatedGCNConv"]


class RGatedGCNConv(nn.Module):
    r"""Residual gated graph convolution (Bresson and Laurent, 2017) with gates of its own for every relation.

    .. math::
        \hat e_{uv} &= D_r x_v + E_r x_u + C_r e_{uv}, \qquad \eta_{uv} = w_{uv} \, \sigma(\hat e_{uv}),
        \qquad r = \mathrm{type}(uv) \\
        \hat x_v &= A x_v + \sum_{r = 0}^{R - 1}
        \frac{\sum_{u \to v \text{ of type } r} \eta_{uv} \odot B_r x_u}{\sum_{u \to v \text{ of type } r} \eta_{uv}
        + 10^{-6}} \\
        x'_v &= \mathrm{dropout}(\phi(\mathrm{norm}(\hat x_v))), \qquad
        e'_{uv} = e_{uv} + \mathrm{dropout}(\phi(\mathrm{norm}(\hat e_{uv})))

    The gated means of the relations are added, as R-GCN adds its means (so that many rewired edges do not
    drown the few that were there), and normalised, activated and dropped once: that is what sets it apart from
    :class:`gnnlab.nn.RelationalConv` of :class:`gnnlab.nn.GatedGCNConv`, which activates every relation.

    Args:
        in_channels: Width of the input nodes and edges.
        out_channels: Width of the output; the edge residual is only there if it equals ``in_channels``.
        num_relations: R.
        norm: Factory (channels) of the normalisation of nodes and edges; ``None`` for none.
        activation: Factory of :math:`\phi`.
        dropout: Probability of dropping a channel.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, in_channels]
        * **edge_weight:** [E], 1 if missing
        * **edge_type:** [E] integer in 0, ..., R - 1; 0 if missing
        * **output:** ([N, out_channels], [E, out_channels]); the nodes alone if there are no edge features

    Raises:
        ConfigError: no relation.
        GraphError: edge features that do not have the width of the nodes, or an ``edge_type`` outside of the
            relations.

    Example:
        >>> conv = RGatedGCNConv(8, 8, num_relations=2)
        >>> edge_index, edge_type = torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.tensor([0, 0, 1])
        >>> x, edge_attr = conv(torch.randn(4, 8), edge_index, torch.randn(3, 8), edge_type=edge_type)
        >>> x.shape, edge_attr.shape
        (torch.Size([4, 8]), torch.Size([3, 8]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_relations: int = 2,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] = nn.ReLU,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_relations < 1:
            raise ConfigError(f"num_relations must be at least 1, got {num_relations}", where="RGatedGCNConv")
        self.in_channels, self.out_channels, self.num_relations = in_channels, out_channels, num_relations
        self.A = Linear(in_channels, out_channels)
        self.B, self.C, self.D, self.E = (
            nn.ModuleList(Linear(in_channels, out_channels) for _ in range(num_relations)) for _ in range(4)
        )
        self.node_output, self.edge_output = (
            nn.Sequential(norm(out_channels) if norm else nn.Identity(), activation(), Dropout(dropout))
            for _ in range(2)
        )

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | None = None,
        edge_weight: Tensor | None = None,
        edge_type: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        if edge_attr is not None:
            check_edge_width(edge_attr, self.in_channels, "RGatedGCNConv")
        edges = Edges(as_csr(adj, x.size(0)), None, edge_attr, edge_weight, edge_type)
        parts = split_relations(edges.adj, edges.relation, self.num_relations)
        out, logits = self.A(x), []
        for part, value, edge, target, source in zip(parts, self.B, self.C, self.D, self.E, strict=True):
            seen = edges.only(part)
            attr = None if edge_attr is None else edge(seen.attr)
            mixed, logit = gated_messages(value(x), source(x), target(x), attr, seen.adj, seen.weight)
            out = out + mixed
            logits.append(logit)
        out = self.node_output(out)
        if edge_attr is None:
            return out
        states = self.edge_output(joined(logits, parts))
        return out, edge_attr + states if self.in_channels == self.out_channels else states

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, num_relations={self.num_relations}"
