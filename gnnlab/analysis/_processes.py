"""One tick of all nodes at once, for each kind of model: fixed point, energy, layers."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis._layered import Layered
from gnnlab.analysis._ring import Ring
from gnnlab.ops import CSR, expand_ptr, gather, segment_reduce

__all__ = ["Descent", "FixedPoint", "Process", "process_of"]


_IN_TIME = 4
"""Staleness up to which gradients are as good as new."""


class Process(Protocol):
    """States that the nodes of a union compute, each at its own pace."""

    edge_index: Tensor
    ptr: Tensor
    h: Tensor
    """[N, d] states."""
    sends: Tensor
    """[N] messages (rows of numbers) that a node sends when it has computed."""

    def step(self, t: int, update: Tensor, age: Tensor) -> Tensor:
        """Let the nodes ``update`` [N] compute at tick t, on news of ``age`` [E] ticks; [N] bool, those that did."""

    def prediction(self) -> Tensor:
        """[G or N, C] what the model says at the states there are now."""

    def finished(self) -> Tensor | None:
        """[G] bool, graphs in which nobody will ever compute again; ``None`` where everybody always does."""


class FixedPoint:
    r"""A node replaces its state: :math:`h_i \leftarrow F_i(\{h_j(\tau_{ij})\}, h_i)`.

    Converges for any B if F is a contraction in a weighted maximum norm.

    Args:
        rule: A fixed-point rule (:mod:`gnnlab.nn.implicit.local_rule`).
        staleness: B.
    """

    def __init__(self, rule: Any, staleness: int) -> None:
        self.rule, self.edge_index, self.ptr = rule, rule.graph.edge_index, rule.graph.ptr
        self.sends = _others(self.edge_index, rule.graph.adj.num_nodes)[0]
        self.ring, self.h = Ring(rule.initial(), staleness), rule.initial().detach()

    def step(self, t: int, update: Tensor, age: Tensor) -> Tensor:
        views = self.ring.read(t, age, self.edge_index[0])
        self.h = torch.where(update.unsqueeze(1), self.rule.update(views, self.h), self.h)
        self.ring.write(t + 1, self.h)
        return update

    def prediction(self) -> Tensor:
        return self.rule.readout(self.h)

    def finished(self) -> None:
        return None


class Descent:
    r"""Gradient descent on :math:`E = \sum_i e_i` of which every node knows but its own term.

    .. math::
        h_i \leftarrow h_i - \alpha \Big(\frac{\partial e_i}{\partial h_i}
        + \sum_{j \in N(i)} g_{ji}(\tau'_{ij})\Big), \qquad g_{ji} = \frac{\partial e_j}{\partial h_i},

    where j has computed :math:`g_{ji}` from its own view when it last computed, so its inputs were up to B - 1 ticks
    old then, and it may have been told to nobody for as long, and travelled for as long: staleness is nested. At a
    tick those who compute send first and move then, which makes B = 1 gradient descent itself. State and gradient
    travel in one message where edges go both ways, and have the same age.

    Args:
        rule: An energy rule (:mod:`gnnlab.nn.implicit.local_rule`).
        staleness: B.
        step: [G] step sizes; by default those of the rule, :math:`1 / \lambda_{max}`, times :math:`\min(1, 4 / B)`:
            what is on average B ticks old, as news of news is, turns longer steps into growing oscillations. Energies
            whose curvature is mostly that of nodes' own terms bear longer ones.
    """

    def __init__(self, rule: Any, staleness: int, step: Tensor | None = None) -> None:
        self.rule, self.edge_index, self.ptr = rule, rule.graph.edge_index, rule.graph.ptr
        self.adj: CSR = rule.graph.adj
        step = rule.step_size() * min(1.0, _IN_TIME / staleness) if step is None else step
        self.alpha = step.to(self.ptr.device).expand(self.ptr.numel() - 1)[expand_ptr(self.ptr)].unsqueeze(1)
        heard, told = _others(self.edge_index, self.adj.num_nodes)
        self.sends = heard + told
        self.loop = self.edge_index[0] == self.edge_index[1]
        self.back = _opposite(self.edge_index, self.adj.num_nodes)
        self.edges = torch.arange(self.loop.numel(), device=self.loop.device)
        self.h = rule.initial().detach()
        self.ring = Ring(self.h, staleness)
        self.pushed = Ring(self._gradients(self.h.index_select(0, self.edge_index[0]))[0], staleness)

    def step(self, t: int, update: Tensor, age: Tensor) -> Tensor:
        to_sources, own = self._gradients(self.ring.read(t, age, self.edge_index[0]))
        told = update.index_select(0, self.edge_index[1]).unsqueeze(1)
        self.pushed.write(t, torch.where(told, to_sources, self.pushed.at(max(t - 1, 0))))
        news = self.pushed.read(t, age.index_select(0, self.back), self.edges)
        # What a node tells itself is never old.
        news = torch.where(self.loop.unsqueeze(1), to_sources, news)
        total = own + segment_reduce(gather(news, self.adj.eid_t), self.adj.ptr_t, "sum")
        self.h = torch.where(update.unsqueeze(1), torch.addcmul(self.h, self.alpha, total, value=-1), self.h)
        self.ring.write(t + 1, self.h)
        return update

    def _gradients(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """[E, d] what every target tells its source, and [N, d] every node's own part."""
        if hasattr(self.rule, "local_gradients"):
            return self.rule.local_gradients(views, self.h)
        with torch.enable_grad():
            views, own = views.detach().requires_grad_(), self.h.detach().requires_grad_()
            energy = self.rule.local_energy(views, own).sum()
            return torch.autograd.grad(energy, (views, own), materialize_grads=True)

    def prediction(self) -> Tensor:
        return self.rule.readout(self.h)

    def finished(self) -> None:
        return None


def process_of(model: Any, batch: Data, staleness: int, step: Tensor | None = None) -> Process:
    """The simulation of one model on one union.

    Raises:
        ConfigError: a model of which nobody knows what a single node does.
    """
    if hasattr(model, "local_rule"):
        rule = model.local_rule(batch)
        return Descent(rule, staleness, step) if hasattr(rule, "local_energy") else FixedPoint(rule, staleness)
    return Layered(model, batch, staleness)


def _others(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """[N] edges from a node to others, and from others to it."""
    between = edge_index[:, edge_index[0] != edge_index[1]]
    return torch.bincount(between[0], minlength=num_nodes), torch.bincount(between[1], minlength=num_nodes)


def _opposite(edge_index: Tensor, num_nodes: int) -> Tensor:
    """[E] the edge that leads back (one of them), or the edge itself where there is none."""
    there, back = edge_index[0] * num_nodes + edge_index[1], edge_index[1] * num_nodes + edge_index[0]
    ordered, edge = torch.sort(there, stable=True)
    place = torch.searchsorted(ordered, back).clamp(max=max(there.numel() - 1, 0))
    return torch.where(ordered[place] == back, edge[place], torch.arange(there.numel(), device=there.device))
