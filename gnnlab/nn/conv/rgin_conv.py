"""Relational graph isomorphism network of the rewiring literature."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from gnnlab.nn.conv.gin_conv import GINConv
from gnnlab.nn.conv.relational_conv import RelationalConv
from gnnlab.nn.mlp import MLP
from gnnlab.nn.norm import BatchNorm

__all__ = ["RGINConv"]


class RGINConv(RelationalConv):
    r"""Relational graph isomorphism convolution, R-GIN (Karhadkar, Banerjee and Montúfar, "FoSR", ICLR 2023).

    .. math::
        x'_v = W_0 x_v + b + \sum_{r = 0}^{R - 1}
        \mathrm{MLP}_r\Big((1 + \epsilon_r) x_v + \sum_{u \to v \text{ of type } r} w_{uv} x_u\Big)

    :class:`gnnlab.nn.RelationalConv` of :class:`gnnlab.nn.GINConv`; the defaults are the layer of the released
    code, whose MLP is Linear, BatchNorm, ReLU, Linear of width ``out_channels``.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        num_relations: R.
        eps: Initial :math:`\epsilon`.
        train_eps: Whether every :math:`\epsilon_r` is learned.
        norm: Factory (channels) of the normalisation within the MLPs; ``None`` for none.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** ignored
        * **edge_weight:** [E], 1 if missing
        * **edge_type:** [E] integer in 0, ..., R - 1; 0 if missing
        * **output:** [N, out_channels]

    Raises:
        ConfigError: no relation.
        GraphError: an ``edge_type`` outside of the relations.

    Example:
        >>> conv = RGINConv(3, 8, num_relations=2)
        >>> edge_index, edge_type = torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.tensor([0, 0, 1])
        >>> conv(torch.randn(4, 3), edge_index, edge_type=edge_type).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_relations: int = 2,
        eps: float = 0.0,
        train_eps: bool = False,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
    ) -> None:
        conv = partial(GINConv, eps=eps, train_eps=train_eps, update=partial(MLP, norm=norm))
        super().__init__(in_channels, out_channels, conv, num_relations)
