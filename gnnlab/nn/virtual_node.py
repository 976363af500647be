"""One more state per graph, read and written by all of its nodes between the layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.mlp import MLP
from gnnlab.nn.norm import BatchNorm
from gnnlab.nn.pooling import global_pool

__all__ = ["VirtualNode"]


class VirtualNode(nn.Module):
    r"""Virtual node of OGB's molecular baselines (Gilmer et al., ICML 2017; Hu et al., NeurIPS 2020).

    Every graph g has a state :math:`s_g`, zero-initialised and learned. Before layer l it is added to
    the nodes of the graph, :math:`x_v \leftarrow x_v + s_g`; between layers it becomes

    .. math::
        s_g \leftarrow \mathrm{dropout}(\mathrm{MLP}_l(s_g + \sum_{v \in g} x_v)) \; [+ s_g],

    with :math:`d \to 2d \to d`, BatchNorm and ReLU after both Linear layers. :math:`x_v` is the input of
    the layer just passed, the state already added.

    Args:
        channels: d, width of the node states.
        num_updates: Number of updates, one less than the layers of the model.
        dropout: Probability of dropping a channel of the updated state.
        residual: Whether the former state is added.

    Shapes:
        * **x:** [N, d]
        * **state:** [G, d]
        * **ptr:** [G + 1]
        * **output:** [G, d]

    Example:
        >>> node, ptr = VirtualNode(4, num_updates=1), torch.tensor([0, 2, 5])
        >>> node(torch.ones(5, 4), node.initial(2), ptr, 0).shape
        torch.Size([2, 4])
    """

    def __init__(self, channels: int, num_updates: int, dropout: float = 0.0, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.embedding = nn.Parameter(torch.empty(1, channels))
        self.updates = nn.ModuleList(
            nn.Sequential(
                MLP(channels, channels, expansion=2, norm=BatchNorm),
                BatchNorm(channels),
                nn.ReLU(),
                Dropout(dropout),
            )
            for _ in range(num_updates)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.embedding)
        for update in self.updates:
            reset(update)

    def initial(self, num_graphs: int) -> Tensor:
        """[G, d], the state before the first layer."""
        return self.embedding.expand(num_graphs, -1)

    def forward(self, x: Tensor, state: Tensor, ptr: Tensor, layer: int) -> Tensor:
        new = self.updates[layer](state + global_pool(x, ptr, "sum"))
        return state + new if self.residual else new
