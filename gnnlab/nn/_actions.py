"""The choices of cooperative networks: who listens, who broadcasts, and what that makes of the edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.nn._gumbel import most_likely, straight_through
from gnnlab.nn._message_passing import Edges, accepted_arguments, propagate
from gnnlab.nn._reset import reset
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear
from gnnlab.nn.node_product import NodeProduct
from gnnlab.ops import CSR
from gnnlab.ops._debug import free_to_look

__all__ = ["ActionForm", "ActionNetwork", "ConvFactories", "Decision", "Evaluation", "check_choice"]

ActionForm: TypeAlias = Literal["independent", "joint", "separate"]
Evaluation: TypeAlias = Literal["argmax", "sample", "expected"]
ConvFactories: TypeAlias = Callable[[int, int], nn.Module] | Sequence[Callable[[int, int], nn.Module]]


class Decision(NamedTuple):
    """What the nodes of a batch do in one layer.

    Args:
        listen: [N], 1 where a node hears its neighbours and 0 where it does not (or the probability).
        broadcast: [N], likewise whether its neighbours can hear it.
    """

    listen: Tensor
    broadcast: Tensor

    def weight(self, adj: CSR) -> Tensor:
        """[E], what is left of every edge: 1 if its source broadcasts and its target listens."""
        return self.product.dense(adj)

    @property
    def product(self) -> NodeProduct:
        """The same, as factors of the nodes."""
        return NodeProduct(self.broadcast, self.listen)

    @property
    def action(self) -> Tensor:
        """[N] long: 0 standard (both), 1 listen, 2 broadcast, 3 isolate (neither); by the likelier choice."""
        return 3 - 2 * (self.listen >= 0.5).long() - (self.broadcast >= 0.5).long()


class ActionNetwork(nn.Module):
    r"""Chooses an action for every node, by logits of convolutions along the edges of the graph.

    Args:
        channels: Width of the node states.
        conv: Factory (in_channels, out_channels) of the convolutions, or one for each layer. The first sees edge
            features, whose width is ``channels``; the others see edges without.
        num_layers: Number of layers; read only where ``conv`` is a single factory.
        hidden_channels: Width between the layers.
        form: See :class:`gnnlab.nn.CoGNN`.
        temperature: ``learned``, or the constant :math:`\tau`.
        tau0: :math:`\tau_0` of the learned temperature.
        dropout: Probability of dropping a channel between the layers.

    Shapes:
        * **x:** [N, channels]
        * **output:** a :class:`Decision`
    """

    def __init__(
        self,
        channels: int,
        conv: ConvFactories,
        num_layers: int = 1,
        hidden_channels: int = 16,
        form: ActionForm = "independent",
        temperature: float | Literal["learned"] = "learned",
        tau0: float = 0.1,
        dropout: float = 0.0,
        where: str = "CoGNN",
    ) -> None:
        super().__init__()
        check_choice("action_form", form, _FORMS, where)
        convs = list(conv) if isinstance(conv, Sequence) else [conv] * num_layers
        if not convs:
            raise ConfigError("action networks have at least one layer", where=where)
        learned = temperature == "learned"
        if learned and not 0 <= tau0 < float("inf"):
            raise ConfigError(f"tau0 must be at least 0, got {tau0}", where=where)
        if not learned and not (isinstance(temperature, (int, float)) and 0 < temperature < float("inf")):
            raise ConfigError(f"temperature must be positive or 'learned', got {temperature!r}", where=where)
        parts = 2 if form == "separate" else 1
        widths = [channels] + [hidden_channels] * (len(convs) - 1) + [4 // parts]
        self.networks = nn.ModuleList(_Stack(convs, widths, dropout) for _ in range(parts))
        self.form, self.tau0, self.where = form, tau0, where
        self.constant = None if learned else float(temperature)
        self.slope = Linear(channels, 1, bias=False) if learned else None
        self.reads_edge_tables = all(network.reads_edge_tables for network in self.networks)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, x: Tensor, edges: Edges, noise: Tensor | None, evaluation: Evaluation) -> Decision:
        """Decide; ``noise`` [N, 4] is standard Gumbel, and not needed in evaluation unless it samples."""
        logits = self.logits(x, edges)
        if self.training:
            sharpness = self.sharpness(x)[:, None]
            choice = _FORMS[self.form](logits, noise.to(logits.dtype), sharpness, straight_through)
        else:
            noise = logits if noise is None else noise.to(logits.dtype)
            choice = _FORMS[self.form](logits, noise, 1.0, _EVALUATIONS[evaluation])
        return Decision(*(part.to(x.dtype) for part in choice))

    def logits(self, x: Tensor, edges: Edges) -> Tensor:
        """[N, 4]: for listening and for broadcasting, to do so and not to; or (``joint``) for the four actions."""
        exact = torch.promote_types(x.dtype, torch.float32)
        return torch.cat([network(x, edges) for network in self.networks], -1).to(exact)

    def sharpness(self, x: Tensor) -> Tensor:
        r"""[N] :math:`1 / \tau`, which unlike :math:`\tau` is finite however small it is."""
        if self.slope is None:
            return x.new_full((x.size(0),), 1 / self.constant)
        sharpness = F.softplus(self.slope(x).squeeze(-1)) + self.tau0
        if free_to_look(sharpness) and not bool(sharpness.isfinite().all()):
            lost = int((~sharpness.isfinite()).sum())
            raise GraphError(
                f"the temperature of {lost} of {x.size(0)} nodes is not finite, since their states are not",
                where=self.where,
                hint="lower the learning rate, clip gradients, or normalise the states (norm=torch.nn.LayerNorm)",
            )
        return sharpness


class _Stack(nn.Module):
    """Convolutions with ReLU and dropout between them."""

    def __init__(self, convs: Sequence[Callable[[int, int], nn.Module]], widths: list[int], dropout: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(*pair) for conv, pair in zip(convs, pairwise(widths), strict=True))
        self.accepted = [accepted_arguments(conv) for conv in self.convs]
        self.dropout = Dropout(dropout)
        first = self.convs[0]
        self.reads_edge_tables = "edge_attr" not in self.accepted[0] or getattr(first, "reads_edge_tables", False)

    def reset_parameters(self) -> None:
        for conv in self.convs:
            reset(conv)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        for index, (conv, accepted) in enumerate(zip(self.convs, self.accepted, strict=True)):
            x = self.dropout(x.relu()) if index else x
            x, _ = propagate(conv, accepted - {"edge_attr"} if index else accepted, x, edges)
        return x


def check_choice(name: str, value: str, known: object, where: str) -> None:
    """Refuse a setting that is none of the known ones."""
    if value not in known:
        raise ConfigError(f"unknown {name} {value!r}", where=where, hint=nearest(str(value), known))


def _bits(logits: Tensor, noise: Tensor, sharpness: Tensor | float, choose: Callable) -> tuple[Tensor, Tensor]:
    sharpness = sharpness[:, None] if isinstance(sharpness, Tensor) else sharpness
    kept = choose(logits.unflatten(-1, (2, 2)), noise.unflatten(-1, (2, 2)), sharpness)
    return kept[:, 0, 0], kept[:, 1, 0]


def _joint(logits: Tensor, noise: Tensor, sharpness: Tensor | float, choose: Callable) -> tuple[Tensor, Tensor]:
    standard, listen, broadcast, _ = choose(logits, noise, sharpness).unbind(-1)
    return standard + listen, standard + broadcast


_FORMS = {"independent": _bits, "joint": _joint, "separate": _bits}
"""From four logits per node to listening and broadcasting."""

_EVALUATIONS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "argmax": lambda logits, noise, sharpness: most_likely(logits),
    "sample": lambda logits, noise, sharpness: most_likely(logits + noise),
    "expected": lambda logits, noise, sharpness: logits.softmax(-1),
}
