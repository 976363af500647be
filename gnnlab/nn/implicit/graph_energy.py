"""Energies of graphs that are strongly convex in the states of the nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._reset import reset
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.implicit.picnn import PICNN, BoundPICNN
from gnnlab.nn.linear import Linear
from gnnlab.ops import CSR, aggregate, aggregate_edges, edge_softmax, gather_source, gather_target

__all__ = ["BoundEnergy", "EnergyKind", "GraphEnergy", "non_negative"]

EnergyKind: TypeAlias = Literal["node", "edge", "attention"]
"""What a message depends on, and how messages are summed."""

_KINDS = ("node", "edge", "attention")


class GraphEnergy(nn.Module):
    r"""Strongly convex energy of a graph (Solodova, Richardson, Oktay, Adams, ICLR 2025, arXiv 2407.00494).

    .. math::
        m_{ij} = M(h_i, h_j; x_i, x_j, e_{ij}), \qquad m_i = \sum_{j \to i} \alpha_{ij} m_{ij}, \qquad
        e_i = U(m_i, h_i; x_i) + \tfrac{\beta}{2} \lVert h_i \rVert^2, \qquad E = \sum_i e_i

    M is a :class:`PICNN` convex in the states; U is one convex in (m, h) and non-decreasing in m. A non-decreasing
    convex function of convex functions is convex, weights :math:`\alpha \geq 0` that are functions of the features
    alone keep it so, and :math:`\beta` makes the smallest curvature at least :math:`\beta`: there is exactly one
    minimiser. There is no dropout and no normalisation inside, so E is the same function whenever it is asked.

    Args:
        state_channels: Width d of the states.
        node_channels: Width of x.
        edge_channels: Width of e; 0 reads no edge features.
        kind: ``node`` (a message depends on its sender alone, M(h_j; x_j)), ``edge`` (on both ends and the edge),
            or ``attention`` (edge, and :math:`\alpha` is a softmax over the edges into a node; else it is 1).
        beta: :math:`\beta`, above 0.
        message_channels: Width of the messages.
        picnn_channels: Width of the hidden layers of M and U.
        picnn_layers: Number of their layers.

    Shapes:
        * **x:** [N, node_channels]
        * **edges:** ``attr`` [E, edge_channels]; ``weight`` [E], not negative, multiplies :math:`\alpha`
        * **output of bind:** a :class:`BoundEnergy`, h [N, state_channels] to [N]

    Raises:
        ConfigError: unknown kind, ``beta`` that is not positive, edge features where messages read none.
        GraphError: negative weights, or missing edge features.

    Example:
        >>> edges = Edges(CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2))
        >>> energy = GraphEnergy(4, node_channels=3).bind(torch.randn(2, 3), edges)
        >>> energy(torch.zeros(2, 4)).shape
        torch.Size([2])
    """

    def __init__(
        self,
        state_channels: int,
        node_channels: int,
        edge_channels: int = 0,
        kind: EnergyKind = "attention",
        beta: float = 0.1,
        message_channels: int = 16,
        picnn_channels: int = 16,
        picnn_layers: int = 3,
    ) -> None:
        super().__init__()
        if kind not in _KINDS:
            raise ConfigError(f"unknown kind {kind!r}", where="GraphEnergy", hint=nearest(str(kind), _KINDS))
        if not 0 < beta < float("inf"):
            raise ConfigError(
                f"beta must be positive, got {beta}", where="GraphEnergy", hint="without it the minimiser is not unique"
            )
        if kind == "node" and edge_channels:
            raise ConfigError(
                "messages of kind node depend on the sender alone", where="GraphEnergy", hint="leave out edge_channels"
            )
        self.kind, self.beta, self.edge_channels = kind, beta, edge_channels
        ends = 1 if kind == "node" else 2
        context = ends * node_channels + edge_channels
        size = {"hidden_channels": picnn_channels, "num_layers": picnn_layers}
        self.message = PICNN(ends * state_channels, context, message_channels, **size)
        # A constant would move the energy, not its minimiser.
        self.update = PICNN(
            message_channels + state_channels, node_channels, 1, **size, monotone=message_channels, offset=False
        )
        self.attention = None
        if kind == "attention":
            self.attention = nn.Sequential(Linear(context, picnn_channels), nn.ReLU(), Linear(picnn_channels, 1))

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def bind(self, x: Tensor, edges: Edges) -> BoundEnergy:
        """The energy as a function of the states alone."""
        adj = edges.adj
        weight = non_negative(edges.weight, "edge weights")
        if self.kind == "node":
            return BoundEnergy(self.message.bind(x), self.update.bind(x), weight, self.beta, adj, per_edge=False)
        parts = [gather_source(x, adj), gather_target(x, adj)]
        if self.edge_channels:
            parts.append(_edge_features(edges.attr, self.edge_channels))
        context = torch.cat(parts, 1)
        if self.attention is not None:
            alpha = non_negative(self.weights(context, adj), "attention weights")
            weight = alpha if weight is None else alpha * weight
        return BoundEnergy(self.message.bind(context), self.update.bind(x), weight, self.beta, adj, per_edge=True)

    def weights(self, context: Tensor, adj: CSR) -> Tensor:
        r"""[E] :math:`\alpha`, from the features of the edges and their ends alone."""
        return edge_softmax(self.attention(context).squeeze(1), adj)


@dataclass(frozen=True)
class BoundEnergy:
    """A :class:`GraphEnergy` for given features and edges: h [N, d] to node energies [N].

    Args:
        message: M, for the contexts of the edges or, if ``per_edge`` is false, of the nodes.
        update: U, for the contexts of the nodes.
        weight: [E] weights of the messages, not negative, or ``None`` for 1.
        beta: Curvature added to every state.
        adj: The edges.
        per_edge: Whether a message depends on both ends.
    """

    message: BoundPICNN
    update: BoundPICNN
    weight: Tensor | None
    beta: float
    adj: CSR
    per_edge: bool

    def __call__(self, h: Tensor) -> Tensor:
        if self.per_edge:
            return self.local(gather_source(h, self.adj), h)
        return self._node_energy(aggregate(self.message(h), self.adj, edge_weight=self.weight), h)

    def local(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        """[N], where the target of every edge sees the source's state as ``h_views`` [E, d] has it."""
        if self.per_edge:
            messages = self.message(torch.cat([h_views, gather_target(h_own, self.adj)], 1))
        else:
            messages = self.message.rows(self.adj.memo("edge_index", lambda: self.adj.edge_index)[0])(h_views)
        return self._node_energy(aggregate_edges(messages, self.adj, h_own.size(0), self.weight), h_own)

    def detach(self) -> BoundEnergy:
        """Without the gradients of parameters and features."""
        weight = None if self.weight is None else self.weight.detach()
        return replace(self, message=self.message.detach(), update=self.update.detach(), weight=weight)

    def _node_energy(self, m: Tensor, h: Tensor) -> Tensor:
        return self.update(torch.cat([m, h], 1)).squeeze(1) + self.beta / 2 * h.square().sum(1)


def non_negative(weight: Tensor | None, what: str) -> Tensor | None:
    """The weights [E] themselves, once it is seen that none is negative."""
    if weight is not None and not bool((weight.detach() >= 0).all()):
        raise GraphError(
            f"{what} must be non-negative numbers, the smallest is {float(weight.detach().min()):.3g}",
            hint="a negative weight would make the equation of the states lose its unique solution",
        )
    return weight


def _edge_features(attr: Tensor | EdgeTable | None, channels: int) -> Tensor:
    attr = attr.dense() if isinstance(attr, EdgeTable) else attr
    if attr is None or attr.dim() != 2 or attr.size(1) != channels or not attr.is_floating_point():
        found = "none" if attr is None else f"{list(attr.shape)} of {attr.dtype}"
        raise GraphError(
            f"messages read edge features of width {channels}, the encoder or the batch gives {found}",
            hint="map them with edge= of the FeatureEncoder, or set edge_channels to their width",
        )
    return attr
