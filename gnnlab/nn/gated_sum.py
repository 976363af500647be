"""The gated sum of gated graph networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.linear import Linear
from gnnlab.nn.pooling import global_pool

__all__ = ["GatedSum"]


class GatedSum(nn.Module):
    r"""Readout of GG-NN (Li et al., "Gated Graph Sequence Neural Networks", ICLR 2016, arXiv 1511.05493), as Gilmer et
    al. use it (ICML 2017, arXiv 1704.01212).

    .. math::
        R = \sum_v \sigma(i(h_v, h^0_v)) \odot j(h_v)

    A sum, so it counts: two copies of a graph taken as one have twice its readout.

    Args:
        in_channels: Width of the node states.
        initial_channels: Width of the nodes' first states, which the gate sees too; 0 for none.
        out_channels: Width of the readout; ``None`` is ``in_channels``.
        network: Factory (in_channels, out_channels) of i and j.

    Shapes:
        * **x:** [N, in_channels]
        * **ptr:** [G + 1], first node of every graph
        * **initial:** [N, initial_channels], if there are any
        * **output:** [G, out_channels]; 0 for a graph without nodes

    Example:
        >>> GatedSum(4, out_channels=6)(torch.randn(5, 4), torch.tensor([0, 2, 5])).shape
        torch.Size([2, 6])
    """

    def __init__(
        self,
        in_channels: int,
        initial_channels: int = 0,
        out_channels: int | None = None,
        network: Callable[[int, int], nn.Module] = Linear,
    ) -> None:
        super().__init__()
        self.out_channels = in_channels if out_channels is None else out_channels
        self.reads_initial = initial_channels > 0
        self.gate = network(in_channels + initial_channels, self.out_channels)
        self.value = network(in_channels, self.out_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, x: Tensor, ptr: Tensor, initial: Tensor | None = None) -> Tensor:
        seen = torch.cat([x, initial], dim=-1) if self.reads_initial else x
        return global_pool(self.gate(seen).sigmoid() * self.value(x), ptr, "sum")
