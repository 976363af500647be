"""Set2Set: attention over a set in several steps, with a memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._reset import reset
from gnnlab.nn.linear import Linear
from gnnlab.ops import segment_expand, segment_reduce

__all__ = ["Set2Set"]


class Set2Set(nn.Module):
    r"""Set2Set readout (Vinyals, Bengio and Kudlur, "Order Matters: Sequence to sequence for sets", ICLR 2016, arXiv
    1511.06391), as Gilmer et al. use it (ICML 2017, arXiv 1704.01212).

    .. math::
        q_t = \mathrm{LSTM}(q^*_{t-1}), \qquad a_{v,t} = \mathrm{softmax}_v \langle m_v, q_t \rangle, \qquad
        r_t = \sum_v a_{v,t} \, m_v, \qquad q^*_t = [q_t \,\|\, r_t]

    from :math:`q^*_0 = 0`, for every graph of a union at once. The softmax makes it blind to counts: a graph and two
    copies of it taken as one graph have the same readout (where :class:`gnnlab.nn.GatedSum` doubles). A graph without
    nodes has r = 0.

    Cost: time :math:`M (N d + G d^2)`, memory :math:`N d`, for any size of graph.

    Args:
        in_channels: Width of the node states.
        initial_channels: Width of the nodes' first states: with them, m is a linear map of both to ``in_channels``;
            with 0, m is the node state itself.
        num_steps: M, at least 1.

    Shapes:
        * **x:** [N, in_channels]
        * **ptr:** [G + 1], first node of every graph
        * **initial:** [N, initial_channels], if there are any
        * **output:** [G, 2 in_channels]

    Raises:
        ConfigError: no step.

    Example:
        >>> Set2Set(4)(torch.randn(5, 4), torch.tensor([0, 2, 5])).shape
        torch.Size([2, 8])
    """

    def __init__(self, in_channels: int, initial_channels: int = 0, num_steps: int = 3) -> None:
        super().__init__()
        if num_steps < 1:
            raise ConfigError(f"num_steps must be at least 1, got {num_steps}", where="Set2Set")
        self.in_channels, self.num_steps = in_channels, num_steps
        self.out_channels = 2 * in_channels
        self.lin = Linear(in_channels + initial_channels, in_channels) if initial_channels else None
        self.lstm = nn.LSTMCell(2 * in_channels, in_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, x: Tensor, ptr: Tensor, initial: Tensor | None = None) -> Tensor:
        memory = x if self.lin is None else self.lin(torch.cat([x, initial], dim=-1))
        graphs = ptr.numel() - 1
        hidden = cell = memory.new_zeros(graphs, self.in_channels)
        read = memory.new_zeros(graphs, self.out_channels)
        for _ in range(self.num_steps):
            hidden, cell = self.lstm(read, (hidden, cell))
            scores = (memory * segment_expand(hidden, ptr, memory.size(0))).sum(-1)
            attended = segment_reduce(memory * _softmax(scores, ptr).unsqueeze(-1), ptr, "sum")
            read = torch.cat([hidden, attended], dim=-1)
        return read

    def extra_repr(self) -> str:
        return f"{self.in_channels}, num_steps={self.num_steps}"


def _softmax(scores: Tensor, ptr: Tensor) -> Tensor:
    """[N], normalised within every graph."""
    total = scores.size(0)
    # A constant of the softmax, so no gradient has to go through it.
    largest = segment_reduce(scores.detach(), ptr, "max")
    weights = (scores - segment_expand(largest, ptr, total)).exp()
    return weights / segment_expand(segment_reduce(weights, ptr, "sum"), ptr, total)
