"""What a node computes by itself, from its own state and what it has heard of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from gnnlab.ops import CSR

__all__ = ["EnergyRule", "FixedPointRule", "HasLocalRule", "LocalGraph", "LocalRule"]


@dataclass(frozen=True)
class LocalGraph:
    """Who hears whom.

    Args:
        adj: The edges along which states travel; what "edge order" means below is its caller's edge order.
        ptr: [G + 1] first node of every graph.
    """

    adj: CSR
    ptr: Tensor

    @property
    def edge_index(self) -> Tensor:
        """[2, E] source and target of every edge, in edge order."""
        return self.adj.memo("edge_index", lambda: self.adj.edge_index)


@runtime_checkable
class LocalRule(Protocol):
    """One node's part of a model whose states are iterated until they rest.

    A rule belongs to one batch: features, weights and graph are inside, only states come and go. The state of a
    node is a row of width d, whatever a model keeps in it. All functions are differentiable in their arguments.
    """

    graph: LocalGraph

    def initial(self) -> Tensor:
        """[N, d] states before the first tick."""

    def readout(self, h: Tensor) -> Tensor:
        """[G or N, out_channels] prediction from states [N, d]."""


@runtime_checkable
class FixedPointRule(LocalRule, Protocol):
    """States of rest are the fixed point of an update."""

    def update(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        """New states of all nodes.

        Args:
            h_views: [E, d] the source's state as the target of every edge sees it, in edge order.
            h_own: [N, d] the nodes' own states.

        Shapes:
            returns [N, d]; row i depends on row i of ``h_own`` and on the rows of ``h_views`` of the edges into i
        """


@runtime_checkable
class EnergyRule(LocalRule, Protocol):
    """States of rest minimise the sum of the nodes' energies.

    A rule that knows the gradients of ``local_energy`` in closed form may offer them as
    ``local_gradients(h_views, h_own)``: [E, d] with respect to ``h_views`` and [N, d] with respect to ``h_own``.
    """

    def local_energy(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        """Energy of every node.

        Args:
            h_views: [E, d] the source's state as the target of every edge sees it, in edge order.
            h_own: [N, d] the nodes' own states.

        Shapes:
            returns [N]; the gradient with respect to ``h_own`` is each node's own part, the one with respect to
            ``h_views`` what the target of an edge tells its source
        """

    def step_size(self) -> Tensor:
        """[G] step at which gradient descent on the graph's energy converges, 1 over its largest curvature."""


@runtime_checkable
class HasLocalRule(Protocol):
    """A model that the asynchronous simulation can run node by node."""

    def local_rule(self, batch: object) -> LocalRule:
        """The rule of the nodes of this batch."""
