"""Attention of all nodes of a graph to all others, never between graphs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.nn._padded import PaddedGroup, padded_layout
from gnnlab.nn.linear import Linear
from gnnlab.ops import dropout, gather
from gnnlab.typing import Adjacency

__all__ = ["SelfAttention", "check_heads"]

_MOST = 16  # GiB of attention weights


class SelfAttention(nn.Module):
    r"""Multi-head attention within every graph (Vaswani et al., "Attention is all you need", NeurIPS 2017).

    .. math::
        x'_v = W_O \Big[ \sum_{u \in g(v)} \mathrm{softmax}_u \Big(
        \frac{\langle W_Q^h x_v, W_K^h x_u \rangle}{\sqrt{d}} \Big) W_V^h x_u \Big]_{h = 1, \dots, H}

    All maps have a bias, d = C / H.

    It is called like any convolution and ignores the edges. Graphs are sorted by size and padded in groups of
    similar size, so that a large graph does not cost the small ones its square (on a GPU, where padding is cheaper
    than launches, all graphs are one group). The grouping is computed once per batch if the layer gets its CSR.

    Cost: :math:`O(N C^2 + \sum_g n_g^2 C)` time. Memory is O(N C) where torch has a fused kernel, and
    :math:`\sum_g n_g^2 H` floats on the CPU while attention weights are dropped, refused where it is more than 16 GiB:
    for graphs of 1e5 nodes use sparse attention (:class:`gnnlab.nn.ExphormerConv`).

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        heads: H, which divides ``out_channels``.
        dropout: Probability of dropping an attention weight.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** ignored
        * **ptr:** [G + 1] first node of every graph; without it all nodes are one graph
        * **output:** [N, out_channels]

    Raises:
        ConfigError: heads that do not divide ``out_channels``, or a step that is recorded as a CUDA graph.
        BudgetError: too many attention weights to drop.

    Example:
        >>> attention = SelfAttention(8, 8, heads=2)
        >>> attention(torch.randn(5, 8), ptr=torch.tensor([0, 2, 5])).shape
        torch.Size([5, 8])
    """

    def __init__(self, in_channels: int, out_channels: int, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads(heads, out_channels, type(self).__name__)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.heads, self.dropout = heads, dropout
        self.query_key_value = Linear(in_channels, 3 * out_channels)
        self.output = Linear(out_channels, out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As ``torch.nn.MultiheadAttention`` does."""
        nn.init.xavier_uniform_(self.query_key_value.weight)
        nn.init.zeros_(self.query_key_value.bias)
        self.output.reset_parameters()
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, adj: Adjacency | None = None, ptr: Tensor | None = None) -> Tensor:
        layout = padded_layout(x.size(0), x.device, adj, ptr)
        padded = gather(self.query_key_value(x), layout.source)
        parts = [self._attend(padded[group.rows], group) for group in layout.groups]
        return self.output(gather(torch.cat([padded.new_zeros(0, self.out_channels), *parts]), layout.place))

    def _attend(self, rows: Tensor, group: PaddedGroup) -> Tensor:
        """[B n, 3 C] of B graphs padded to n nodes -> [B n, C]."""
        query, key, value = rows.view(*group.shape, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        p = self.dropout if self.training else 0.0
        if p and not rows.is_cuda:
            _check_memory(self.heads, *group.shape)
            scores = (query * key.size(-1) ** -0.5) @ key.transpose(-2, -1)
            scores = scores if group.mask is None else scores.masked_fill(~group.mask, -torch.inf)
            out = dropout(scores.softmax(-1), p) @ value
        else:
            out = F.scaled_dot_product_attention(query, key, value, group.mask, p)
        return out.transpose(1, 2).reshape(-1, self.out_channels)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}"


def _check_memory(heads: int, graphs: int, nodes: int) -> None:
    size = 4 * heads * graphs * nodes**2 / 2**30
    if size > _MOST:
        raise BudgetError(
            f"dropout of the attention weights of {graphs} graphs of {nodes:,} nodes takes {size:.0f} GiB",
            where="SelfAttention",
            hint="set its dropout=0, or use sparse attention (gnnlab.nn.ExphormerConv)",
        )


def check_heads(heads: int, channels: int, where: str) -> None:
    """Heads share the channels."""
    if heads < 1 or channels % heads:
        raise ConfigError(f"{heads} heads do not divide {channels} channels", where=where)
