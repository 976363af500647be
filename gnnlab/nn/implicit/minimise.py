"""Minimisers of strongly convex energies of many graphs at once, each graph at its own pace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn.implicit._lbfgs import Memory
from gnnlab.nn.implicit._segments import Segments, steps
from gnnlab.nn.implicit.convergence import Convergence
from gnnlab.nn.implicit.differentiate import jacobian_product
from gnnlab.nn.implicit.power_iteration import largest_curvature

__all__ = ["METHODS", "energy_and_gradient", "minimise"]

METHODS = {"lbfgs": 8, "gradient": 0}
"""Steps that each method remembers."""

_DECREASE, _OVERSHOOT, _ROUNDING, _PATIENCE = 1e-4, 0.9, 1e3, 12


@torch.no_grad()
def minimise(
    energy: Callable[[Tensor], Tensor],
    start: Tensor,
    ptr: Tensor,
    tolerance: float = 1e-5,
    max_iterations: int = 500,
    method: str = "lbfgs",
) -> tuple[Tensor, Convergence]:
    r"""Minimise the energy of every graph of a union.

    L-BFGS with inner products, line search and memory per graph, so that graphs do not couple: what a graph
    comes to does not depend on its batch, whatever the others need. One evaluation serves all graphs: those whose
    trial step is good take it and choose the next direction, the others shorten theirs, those that are done rest.
    A step is good if it decreases the energy enough (Armijo), if the convex energy still falls at its end or, where the
    decrease is below the rounding error of the energy, if the slope has not turned too far (after Hager and Zhang,
    SIAM Journal on Optimization, 2005). A graph whose search gets stuck goes on by gradient descent with the step
    :math:`1 / \lambda_{max}`, found by power iteration, and remembers anew.

    Args:
        energy: h [N, d] to node energies [N], differentiable twice; a node's energy may depend on its graph alone.
        start: First states.
        ptr: [G + 1] first node of every graph.
        tolerance: Of the root mean square of the entries of the gradient of a graph's energy.
        max_iterations: Evaluations at most; nothing is raised if they do not suffice.
        method: ``lbfgs``, or ``gradient`` (gradient descent with the step :math:`1 / \lambda_{max}`).

    Shapes:
        start [N, d] -> h [N, d], and the :class:`Convergence`

    Raises:
        ConfigError: unknown method.

    Example:
        >>> target = torch.tensor([[1.0], [2.0], [5.0]])
        >>> h, record = minimise(lambda h: (h - target).square().sum(1), torch.zeros(3, 1), torch.tensor([0, 1, 3]))
        >>> h.round(decimals=3).flatten().tolist()
        [1.0, 2.0, 5.0]
    """
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}", where="minimise", hint=nearest(str(method), METHODS))
    segments = Segments(ptr, start)
    search = _Search.begin(energy, start, segments, METHODS[method])
    iterations = torch.ones_like(search.energy, dtype=torch.long)
    for _, look in steps(max_iterations, start.device):
        # Written so that a gradient that is not a number goes on, and is reported.
        active = ~(segments.rms(search.gradient) <= tolerance)
        if look and not bool(active.any()):
            break
        iterations += active
        search.advance(active)
    return search.h, Convergence(iterations, segments.rms(search.gradient), tolerance)


def energy_and_gradient(energy: Callable[[Tensor], Tensor], h: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    """[G] energies of the graphs, and [N, d] their gradient."""
    with torch.enable_grad():
        leaf = h.detach().requires_grad_()
        nodes = energy(leaf)
        (gradient,) = torch.autograd.grad(nodes.sum(), leaf, materialize_grads=True)
    return Segments(ptr, h).sum(nodes.detach()), gradient


@dataclass
class _Search:
    """Where every graph stands, and where it looks next."""

    function: Callable[[Tensor], Tensor]
    segments: Segments
    memory: Memory
    h: Tensor
    energy: Tensor
    gradient: Tensor
    direction: Tensor
    step: Tensor
    refused: Tensor

    @classmethod
    def begin(cls, function: Callable[[Tensor], Tensor], h: Tensor, segments: Segments, size: int) -> _Search:
        energy, gradient = energy_and_gradient(function, h, segments.ptr)
        memory = Memory(size, segments, h)
        refused = torch.zeros_like(energy, dtype=torch.long)
        search = cls(function, segments, memory, h, energy, gradient, -gradient, torch.ones_like(energy), refused)
        search.step = search.first_step() if size else search.safe_step()
        return search

    def first_step(self) -> Tensor:
        """[G] a step of at most unit length."""
        return 1 / self.segments.dot(self.gradient, self.gradient).sqrt().clamp(min=1)

    def safe_step(self) -> Tensor:
        """[G], 1 over the largest curvature where the graphs stand."""
        with torch.enable_grad():
            leaf = self.h.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.function(leaf).sum(), leaf, create_graph=True)
        return 1 / largest_curvature(jacobian_product(gradient, leaf), self.h, self.segments.ptr)

    def advance(self, active: Tensor) -> None:
        """One evaluation: take the step where it is good, shorten it where it is not."""
        dot, spread = self.segments.dot, self.segments.spread
        change = spread(torch.where(active, self.step, 0)) * self.direction
        energy, gradient = energy_and_gradient(self.function, self.h + change, self.segments.ptr)
        slope, new_slope = dot(self.gradient, self.direction), dot(gradient, self.direction)
        enough = energy <= self.energy + _DECREASE * self.step * slope
        # Along a line a convex energy has fallen wherever it still falls; what it says itself may be rounding.
        falling = new_slope <= 0
        invisible = -self.step * slope <= _ROUNDING * torch.finfo(energy.dtype).eps * (1 + self.energy.abs())
        level = invisible & (new_slope <= -_OVERSHOOT * slope)
        taken = active & (enough | falling | level)
        nodes = spread(taken)
        self.memory.push(change, gradient - self.gradient, taken)
        self.h = torch.where(nodes, self.h + change, self.h)
        self.gradient = torch.where(nodes, gradient, self.gradient)
        self.energy = torch.where(taken, energy, self.energy)
        self.refused = torch.where(taken, 0, self.refused + active)
        # The secant of the slope finds the minimum of a parabola.
        secant = (-slope / (new_slope - slope)).nan_to_num(0.5).clamp(0.1, 0.5)
        self.step = torch.where(taken, torch.ones_like(secant) if self.memory.size else self.step, self.step * secant)
        if self.memory.size:
            self.direction = torch.where(nodes, self.memory.direction(self.gradient), self.direction)
        else:
            self.direction = -self.gradient
        self._rescue(active)

    def _rescue(self, active: Tensor) -> None:
        """Start again where a direction does not descend, or where nothing along it was good enough."""
        uphill = ~(self.segments.dot(self.gradient, self.direction) < 0)
        stuck = active & (uphill | (self.refused >= _PATIENCE))
        if not bool(stuck.any()):
            return
        self.memory.forget(stuck)
        self.direction = torch.where(self.segments.spread(stuck), -self.gradient, self.direction)
        self.step = torch.where(stuck, self.safe_step(), self.step)
        self.refused = self.refused.masked_fill(stuck, 0)
