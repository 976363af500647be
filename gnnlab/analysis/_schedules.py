"""Who computes when, and how old what it has heard is: partial asynchrony of Bertsekas and Tsitsiklis."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from gnnlab.errors import ConfigError

__all__ = ["RandomSchedule", "Schedule", "ScriptedSchedule"]


class Schedule(Protocol):
    """Asked once for every tick t = 0, 1, ..., in order."""

    staleness: int

    def tick(self, t: int) -> tuple[Tensor, Tensor]:
        """[N] bool, the nodes that compute, and [E] long, the age in ticks of what the target of an edge knows."""


class RandomSchedule:
    r"""Nodes that compute when they please, on news of any age below B ticks.

    At tick t the node i computes with probability ``rate``, and certainly if it has not for B - 1 ticks: so at least
    once in any B consecutive ticks. The target of an edge knows the state its source had at tick :math:`\tau`, with
    :math:`t - B < \tau \le t` and :math:`\tau \ge 0`, uniformly; a loop is never old, since every node knows itself.

    Cost: O(N + E) random numbers per tick.

    Args:
        edge_index: [2, E] long.
        num_nodes: N.
        staleness: B, in ticks, at least 1; 1 is lock-step.
        seed: Of the private generator.
        rate: Probability of computing in a tick, in (0, 1].
        monotone: Whether news arrives in order, so that nobody goes back to an older state than it has seen: the
            age then grows by at most one per tick.

    Raises:
        ConfigError: ``staleness`` or ``rate`` out of range.

    Example:
        >>> schedule = RandomSchedule(torch.tensor([[0, 1], [1, 0]]), num_nodes=2, staleness=1)
        >>> update, age = schedule.tick(0)
        >>> update.tolist(), age.tolist()
        ([True, True], [0, 0])
    """

    def __init__(
        self,
        edge_index: Tensor,
        num_nodes: int,
        staleness: int,
        seed: int = 0,
        rate: float = 0.5,
        monotone: bool = False,
    ) -> None:
        if staleness < 1:
            raise ConfigError(f"staleness must be at least 1 tick, got {staleness}", where="RandomSchedule")
        if not 0 < rate <= 1:
            raise ConfigError(f"rate must be above 0 and at most 1, got {rate}", where="RandomSchedule")
        self.staleness, self.rate, self.monotone = staleness, rate, monotone
        device = edge_index.device
        self._generator = torch.Generator(device).manual_seed(seed)
        self._loop = edge_index[0] == edge_index[1]
        self._idle = torch.zeros(num_nodes, dtype=torch.long, device=device)
        self._known = torch.full(self._loop.shape, -1, dtype=torch.long, device=device)

    def tick(self, t: int) -> tuple[Tensor, Tensor]:
        nodes = self._idle.numel()
        drawn = torch.rand(nodes + self._loop.numel(), generator=self._generator, device=self._loop.device)
        update = (drawn[:nodes] < self.rate) | (self._idle >= self.staleness - 1)
        self._idle = (self._idle + 1).masked_fill_(update, 0)
        age = (drawn[nodes:] * self.staleness).long().clamp_(max=min(t, self.staleness - 1))
        if self.monotone:
            age = torch.minimum(age, self._known + 1)
            self._known = age
        return update, age.masked_fill(self._loop, 0)


class ScriptedSchedule:
    """A schedule written down tick by tick.

    Args:
        update: [T, N] bool, who computes at every tick.
        age: [T, E] long, how old what the target of every edge knows is; all 0 by default.
        num_edges: E, needed where ``age`` is not given.

    Raises:
        ConfigError: lengths that differ, or an age beyond the beginning.

    Example:
        >>> schedule = ScriptedSchedule(torch.tensor([[True, False], [False, True]]), num_edges=2)
        >>> schedule.num_ticks, schedule.staleness
        (2, 1)
    """

    def __init__(self, update: Tensor, age: Tensor | None = None, num_edges: int = 0) -> None:
        self.num_ticks = update.size(0)
        age = update.new_zeros(self.num_ticks, num_edges, dtype=torch.long) if age is None else age
        if age.size(0) != self.num_ticks:
            raise ConfigError(f"{self.num_ticks} ticks of nodes, but {age.size(0)} of edges", where="ScriptedSchedule")
        if bool((age > torch.arange(self.num_ticks, device=age.device).unsqueeze(1)).any()) or bool((age < 0).any()):
            raise ConfigError("at tick t an age lies between 0 and t", where="ScriptedSchedule")
        self.update, self.age = update, age
        self.staleness = 1 + (int(age.max()) if age.numel() else 0)

    def tick(self, t: int) -> tuple[Tensor, Tensor]:
        return self.update[t], self.age[t]
