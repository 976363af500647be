"""Graph attention of Veličković et al."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._reset import reset
from gnnlab.nn.linear import Linear
from gnnlab.ops import CSR, as_csr, attention_aggregate, dropout
from gnnlab.typing import Adjacency

__all__ = ["GATConv"]


class GATConv(nn.Module):
    r"""Graph attention (Veličković et al., ICLR 2018), H heads.

    .. math::
        h = W x, \qquad
        \alpha_{uv} = \mathrm{softmax}_{u \to v}\big(\mathrm{LeakyReLU}(a_s^\top h_u + a_t^\top h_v)\big), \qquad
        x'_v = \sum_{u \to v} w_{uv} \, \alpha_{uv} h_u + b

    The self-loop of every node is computed, not built; loops among the edges are replaced by it, as in
    PyG. ``out_channels`` is the width of the result, whatever the number of heads.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        heads: H.
        concat: Whether the heads, of width out_channels / H, are concatenated; else heads of width
            ``out_channels`` are averaged.
        add_self_loops: Whether every node also attends to itself.
        negative_slope: Slope of the LeakyReLU below 0.
        dropout: Probability of dropping an attention coefficient.
        bias: Whether b is learned.
        update: Factory (out_channels, out_channels) of a network applied last; ``gnnlab.nn.MLP`` gives the GAT
            block of Platonov et al. (ICLR 2023).

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** ignored
        * **edge_weight:** [E], 1 if missing (and for self-loops)
        * **output:** [N, out_channels]

    Raises:
        ConfigError: concatenated heads that do not divide ``out_channels``.

    Example:
        >>> conv = GATConv(3, 8, heads=4)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]])).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        concat: bool = True,
        add_self_loops: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        bias: bool = True,
        update: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if concat and out_channels % heads:
            raise ConfigError(
                f"{heads} concatenated heads do not divide {out_channels} channels",
                hint="change heads, or average them with concat=False",
            )
        width = out_channels // heads if concat else out_channels
        self.in_channels, self.out_channels, self.heads, self.concat = in_channels, out_channels, heads, concat
        self.add_self_loops, self.negative_slope, self.dropout = add_self_loops, negative_slope, dropout
        self.lin = Linear(in_channels, heads * width, bias=False)
        self.att_src = nn.Parameter(torch.empty(heads, width))
        self.att_dst = nn.Parameter(torch.empty(heads, width))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.update = None if update is None else update(out_channels, out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for weight in (self.lin.weight, self.att_src, self.att_dst):
            nn.init.xavier_uniform_(weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        reset(self.update)

    def forward(
        self, x: Tensor, adj: Adjacency, edge_attr: Tensor | None = None, edge_weight: Tensor | None = None
    ) -> Tensor:
        adj = as_csr(adj, x.size(0))
        x = self.lin(x).view(-1, *self.att_src.shape)
        out = self._attend(x, adj, edge_weight)
        out = out.flatten(1) if self.concat else out.mean(1)
        out = out if self.bias is None else out + self.bias
        return out if self.update is None else self.update(out)

    def _attend(self, x: Tensor, adj: CSR, edge_weight: Tensor | None) -> Tensor:
        """[N, H, C], the heads before they are joined."""
        source, target = (x * self.att_src).sum(-1), (x * self.att_dst).sum(-1)
        out, lse = attention_aggregate(
            x,
            adj,
            source,
            target,
            weight=self._factors(source, adj, edge_weight),
            negative_slope=self.negative_slope,
            skip_loops=self.add_self_loops,
            return_lse=True,
        )
        if not self.add_self_loops:
            return out
        # One more term of the softmax: its share is exp(l) / (exp(l) + exp(lse)).
        loop = F.leaky_relu(source + target, self.negative_slope)
        share = (loop - lse).sigmoid().to(x.dtype)
        kept = dropout(share, self.dropout, self.training)
        return torch.addcmul(out * (1 - share).unsqueeze(-1), kept.unsqueeze(-1), x)

    def _factors(self, source: Tensor, adj: CSR, edge_weight: Tensor | None) -> Tensor | None:
        """[E, H] edge weights and dropout of the coefficients; ``None`` where both do nothing."""
        if edge_weight is None and not (self.training and self.dropout):
            return None
        factor = source.new_ones(adj.num_edges, self.heads)
        factor = factor if edge_weight is None else factor * edge_weight.unsqueeze(-1)
        return dropout(factor, self.dropout, self.training)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
