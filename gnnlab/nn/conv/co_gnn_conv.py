"""One layer of a cooperative network, with an action network of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from gnnlab.nn._actions import ActionForm, ActionNetwork, ConvFactories, Decision, check_choice
from gnnlab.nn._environment import Aggregate, Environment
from gnnlab.nn._gumbel import gumbel
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._reset import reset
from gnnlab.nn.conv.sum_mean_conv import SumMeanConv
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import as_csr
from gnnlab.typing import Adjacency

__all__ = ["CoGNNConv"]


class CoGNNConv(nn.Module):
    r"""Cooperative layer (Finkelshtein, Huang, Bronstein, Ceylan, "Cooperative Graph Neural Networks", ICML 2024,
    arXiv 2310.01267) for :class:`gnnlab.nn.GNN` and ``torch_geometric.nn.Sequential``.

    .. math::
        w_{uv} = \mathrm{out}_u \cdot \mathrm{in}_v, \qquad
        x' = \eta(x, \{u \to v\}, w), \qquad \mathrm{in}, \mathrm{out} \in \{0, 1\}^N \sim \pi(x)

    In :class:`gnnlab.nn.CoGNN`, the model of the paper, one action network :math:`\pi` serves all layers; here every
    layer has its own. Training draws actions with torch's random numbers, evaluation does not draw.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        action: Factory (in_channels, out_channels) of the convolutions of the action network, or one per layer.
        environment: Factory (in_channels, out_channels) of :math:`\eta`, which must take ``edge_weight``.
        action_layers: Layers of the action network; read only where ``action`` is a single factory.
        action_channels: Width between them.
        action_form: As in :class:`gnnlab.nn.CoGNN`.
        temperature: ``learned``, or a constant.
        tau0: As in :class:`gnnlab.nn.CoGNN`.
        aggregate: As in :class:`gnnlab.nn.CoGNN`.
        evaluation: ``argmax``: the most likely actions; ``expected``: weights are their probabilities.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** what the convolutions take; the action network needs width in_channels, if it reads them
        * **edge_weight:** [E], multiplies w; 1 if missing
        * **output:** [N, out_channels], and the edge states if the environment returns new ones

    Raises:
        ConfigError: an environment that takes no ``edge_weight``, an unknown setting.

    Example:
        >>> conv = CoGNNConv(3, 8)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 0, 3]])).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        action: ConvFactories = SumMeanConv,
        environment: Callable[[int, int], nn.Module] = SumMeanConv,
        action_layers: int = 1,
        action_channels: int = 16,
        action_form: ActionForm = "independent",
        temperature: float | Literal["learned"] = "learned",
        tau0: float = 0.1,
        aggregate: Aggregate = "active",
        evaluation: Literal["argmax", "expected"] = "argmax",
    ) -> None:
        super().__init__()
        check_choice("evaluation", evaluation, ("argmax", "expected"), "CoGNNConv")
        self.in_channels, self.out_channels, self.evaluation = in_channels, out_channels, evaluation
        self.action = ActionNetwork(
            in_channels,
            action,
            action_layers,
            action_channels,
            action_form,
            temperature,
            tau0,
            where="CoGNNConv",
        )
        self.environment = Environment(environment(in_channels, out_channels), in_channels, aggregate, "CoGNNConv")
        self.reads_edge_tables = self.action.reads_edge_tables and self.environment.reads_edge_tables

    def reset_parameters(self) -> None:
        reset(self.action)
        reset(self.environment)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EdgeTable | None = None,
        edge_weight: Tensor | None = None,
        edge_type: Tensor | None = None,
        ptr: Tensor | None = None,
        degree: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        edges = self._edges(x, adj, edge_attr, edge_weight, edge_type, ptr, degree)
        out, known = self.environment(x, edges, self._decide(x, edges).product)
        return out if known is edge_attr else (out, known)

    def decide(self, x: Tensor, adj: Adjacency, **known: Tensor) -> Decision:
        """What the nodes do, for analysis; the arguments are those of the layer."""
        return self._decide(x, self._edges(x, adj, **known))

    def _edges(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EdgeTable | None = None,
        edge_weight: Tensor | None = None,
        edge_type: Tensor | None = None,
        ptr: Tensor | None = None,
        degree: Tensor | None = None,
    ) -> Edges:
        ptr = torch.tensor([0, x.size(0)], device=x.device) if ptr is None else ptr
        return Edges(as_csr(adj, x.size(0)), None, edge_attr, edge_weight, edge_type, ptr, degree)

    def _decide(self, x: Tensor, edges: Edges) -> Decision:
        noise = gumbel((x.size(0), 4), x) if self.training else None
        return self.action(x, edges, noise, self.evaluation)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}"
