"""Layer of GRIT, of Ma et al.: attention that lives on the states of edges or node pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.nn._reset import reset
from gnnlab.nn.attention import check_heads
from gnnlab.nn.conv._edges import check_edge_width
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.feed_forward import FeedForward, ResidualNorm
from gnnlab.nn.linear import Linear
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import CSR, aggregate, aggregate_edges, as_csr, dropout, edge_softmax, gather_source, gather_target
from gnnlab.typing import Adjacency

__all__ = ["EdgeValue", "GRITConv"]

EdgeValue: TypeAlias = Literal["matrix", "vector"]

_EDGE_VALUES = ("matrix", "vector")


class GRITConv(nn.Module):
    r"""Layer of "Graph Inductive Biases in Transformers without Message Passing" (Ma et al., ICML 2023, arXiv
    2305.17589), on whatever edges it is given.

    .. math::
        \hat e_{uv} &= \mathrm{ReLU}\big(\rho((W_Q x_v + W_K x_u) \odot W_{Ew} e_{uv}) + W_{Eb} e_{uv}\big), \qquad
        \rho(z) = \sqrt{z^+} - \sqrt{z^-} \\
        \alpha_{uv} &= \mathrm{softmax}_{u \to v}\big(\mathrm{clamp}(\langle a, \hat e_{uv} \rangle)\big), \qquad
        y_v = \sum_{u \to v} \alpha_{uv} (W_V x_u + W_{EV} \hat e_{uv}) \\
        h_v &= \mathrm{norm}\big(x_v + W_O (\theta_1 \odot y_v + \log(1 + d_v) \, \theta_2 \odot y_v)\big), \qquad
        x'_v = \mathrm{norm}(h_v + \mathrm{FFN}(h_v)) \\
        e'_{uv} &= \mathrm{norm}(e_{uv} + W_{Oe} \hat e_{uv})

    per head (a, :math:`W_{EV}`), with dropout of y, :math:`\hat e`, :math:`\alpha` and inside the FFN. :math:`d_v` is
    the degree in the graph, also where the edges are node pairs.

    GRIT is ``GNN(edges="pair", conv=GRITConv, norm=None, residual=False, activation=None)`` on the pairs of
    ``gnnlab.encodings.RRWP(pairs="all")``; sparse GRIT (Grötschla, Xie and Wattenhofer, arXiv 2411.12732) is the same
    on edges. The released sparse layer differs: ``edge_value="vector"`` gives all channels of a head the same
    number :math:`\langle w, \hat e_{uv} \rangle`, and ``use_bias=True``. (With RRWP the released configurations of the
    sparse layer still pad the edges to all pairs.)

    Cost: memory and time of P edges or pairs are O(P C) and :math:`O(P C^2)`, against O(N C) for the nodes; all
    pairs of a graph of 1e5 nodes do not fit anywhere, its edges do.

    Args:
        in_channels: Width of the input nodes and edges.
        out_channels: C, width of the output; states are only added to what is new if it equals ``in_channels``.
        heads: Number of heads, which divides ``out_channels``.
        dropout: Probability of dropping a channel.
        attention_dropout: Probability of dropping an attention weight.
        norm: Factory (channels) of the normalisations of nodes and edges; ``None`` for none.
        activation: Factory of the activation of the FFN.
        expansion: Hidden width of the FFN divided by C.
        clamp: Scores are limited to [-clamp, clamp]; ``None`` for no limit.
        use_bias: Whether :math:`W_K` and :math:`W_V` have a bias (the others do).
        edge_value: ``matrix`` or ``vector``: what :math:`W_{EV}` of a head is; ``None`` leaves it out.
        degree_scaler: Whether y is scaled by degree; else :math:`W_O` sees it as it is.
        update_edges: Whether edges get new states; else the nodes alone are returned.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E], of edges or node pairs
        * **edge_attr:** [E, in_channels]
        * **degree:** [N]; in-degree of ``adj`` if missing
        * **ptr:** [G + 1], read by a ``norm`` that knows graphs
        * **output:** ([N, out_channels], [E, out_channels])

    Raises:
        ConfigError: heads that do not divide ``out_channels``, or an unknown ``edge_value``.
        GraphError: no edge states, or not of the width of the nodes.

    Example:
        >>> conv = GRITConv(8, 8, heads=2)
        >>> x, edge_attr = conv(torch.randn(4, 8), torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.randn(3, 8))
        >>> x.shape, edge_attr.shape
        (torch.Size([4, 8]), torch.Size([3, 8]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 8,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] = nn.ReLU,
        expansion: float = 2.0,
        clamp: float | None = 5.0,
        use_bias: bool = False,
        edge_value: EdgeValue | None = "matrix",
        degree_scaler: bool = True,
        update_edges: bool = True,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        check_heads(heads, out_channels, where)
        if edge_value is not None and edge_value not in _EDGE_VALUES:
            hint = nearest(str(edge_value), _EDGE_VALUES)
            raise ConfigError(f"unknown edge_value {edge_value!r}", where=where, hint=hint)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.heads, self.clamp, self.attention_dropout = heads, clamp, attention_dropout
        width = out_channels // heads
        self.query = Linear(in_channels, out_channels)
        self.key, self.value = (Linear(in_channels, out_channels, bias=use_bias) for _ in range(2))
        self.edge = Linear(in_channels, 2 * out_channels)
        self.score = nn.Parameter(torch.empty(heads, width))
        columns = {"matrix": width, "vector": 1}.get(edge_value)
        self.edge_value = None if columns is None else nn.Parameter(torch.empty(heads, width, columns))
        self.degree_weight = nn.Parameter(torch.empty(1, out_channels, 2)) if degree_scaler else None
        self.dropout = Dropout(dropout)
        self.output = Linear(out_channels, out_channels)
        self.residual = ResidualNorm(out_channels, norm)
        self.feed_forward = FeedForward(out_channels, expansion, norm, activation, dropout, output_dropout=0.0)
        self.edge_output = Linear(out_channels, out_channels) if update_edges else None
        self.edge_residual = ResidualNorm(out_channels, norm) if update_edges else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)
        parts = [layer.weight for layer in (self.query, self.key, self.value, self.edge)]
        for weight in (*parts, self.score, self.edge_value, self.degree_weight):
            if weight is not None:
                nn.init.xavier_normal_(weight)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | None = None,
        ptr: Tensor | None = None,
        degree: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        adj = as_csr(adj, x.size(0))
        if edge_attr is None:
            raise GraphError(
                "GRITConv attends by edge states, but there are none",
                hint="give the FeatureEncoder edge=, edge_encodings= or pair=",
            )
        check_edge_width(edge_attr, self.in_channels, type(self).__name__)
        attended, states = self._attend(x, adj, edge_attr)
        adds = self.in_channels == self.out_channels
        out = self._scaled(self.dropout(attended), adj.degree if degree is None else degree)
        out = self.feed_forward(self.residual(self.output(out), x if adds else None, ptr), ptr)
        if self.edge_output is None:
            return out
        states = self.edge_output(self.dropout(states))
        node = adj.edge_index[1] if self.edge_residual.by_graph else None
        return out, self.edge_residual(states, edge_attr if adds else None, ptr, node)

    def _attend(self, x: Tensor, adj: CSR, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        r"""[N, C] y and [E, C] :math:`\hat e`."""
        scale, shift = self.edge(edge_attr).chunk(2, dim=-1)
        product = (gather_target(self.query(x), adj) + gather_source(self.key(x), adj)) * scale
        states = (product.relu().sqrt() - (-product).relu().sqrt() + shift).relu()
        by_head = states.unflatten(-1, (self.heads, -1))
        score = (by_head * self.score).sum(-1)
        score = score if self.clamp is None else score.clamp(-self.clamp, self.clamp)
        share = dropout(edge_softmax(score, adj), self.attention_dropout, self.training)
        out = aggregate(self.value(x).unflatten(-1, (self.heads, -1)), adj, edge_weight=share)
        if self.edge_value is not None:
            read = aggregate_edges(by_head, adj, x.size(0), share)
            out = out + torch.einsum("nhd,hdc->nhc", read, self.edge_value)
        return out.flatten(1), states

    def _scaled(self, out: Tensor, degree: Tensor) -> Tensor:
        if self.degree_weight is None:
            return out
        plain, scaled = self.degree_weight.unbind(-1)
        return out * (plain + degree.to(out.dtype).log1p().unsqueeze(-1) * scaled)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
