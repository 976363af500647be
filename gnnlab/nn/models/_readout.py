"""From the states of all layers to the prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn.pooling import global_pool
from gnnlab.typing import Reduce

__all__ = ["JumpingKnowledge", "Readout", "ScoreReadout", "build_readout"]

JumpingKnowledge: TypeAlias = Literal["last", "sum", "cat", "score"]

_COMBINE: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "last": lambda states: states[-1],
    "sum": lambda states: torch.stack(states).sum(0),
    "cat": lambda states: torch.cat(states, dim=-1),
}


class Readout(nn.Module):
    """Combine the states of all layers, pool them (``reduce`` given), and apply one head.

    Args:
        widths: Width of every state.
        out_channels: Width of the prediction.
        head: Factory (in_channels, out_channels) of the head; ``None`` returns the states.
        reduce: How the nodes of a graph are pooled; ``None`` predicts for nodes.
        combine: ``last``, ``sum`` or ``cat``.
    """

    def __init__(
        self,
        widths: Sequence[int],
        out_channels: int,
        head: Callable[[int, int], nn.Module] | None,
        reduce: Reduce | None,
        combine: JumpingKnowledge,
    ) -> None:
        super().__init__()
        if combine == "sum" and len(set(widths)) > 1:
            raise ConfigError(
                f"states of widths {list(widths)} cannot be summed",
                hint="give the model an encoder, or use jumping_knowledge cat or score",
            )
        self.reduce, self.combine = reduce, combine
        width = sum(widths) if combine == "cat" else widths[-1]
        self.head = nn.Identity() if head is None else head(width, out_channels)

    def forward(self, states: list[Tensor], ptr: Tensor) -> Tensor:
        x = _COMBINE[self.combine](states)
        return self.head(x if self.reduce is None else global_pool(x, ptr, self.reduce))


class ScoreReadout(nn.Module):
    r"""Readout of GIN (Xu et al., ICLR 2019): every state has its own head, the scores are summed,
    :math:`\hat y = \sum_l \mathrm{head}_l(\mathrm{pool}(h^{(l)}))`.

    Arguments as in :class:`Readout`; ``head`` must be given.
    """

    def __init__(
        self,
        widths: Sequence[int],
        out_channels: int,
        head: Callable[[int, int], nn.Module] | None,
        reduce: Reduce | None,
    ) -> None:
        super().__init__()
        if head is None:
            raise ConfigError("jumping_knowledge 'score' needs a head")
        self.reduce = reduce
        self.heads = nn.ModuleList(head(width, out_channels) for width in widths)

    def forward(self, states: list[Tensor], ptr: Tensor) -> Tensor:
        if self.reduce is not None:
            states = [global_pool(x, ptr, self.reduce) for x in states]
        scores = [head(x) for head, x in zip(self.heads, states, strict=True)]
        return torch.stack(scores).sum(0)


def build_readout(
    widths: Sequence[int],
    out_channels: int,
    head: Callable[[int, int], nn.Module] | None,
    reduce: Reduce | None,
    jumping_knowledge: JumpingKnowledge,
) -> Readout | ScoreReadout:
    """The readout of a mode of jumping knowledge."""
    if jumping_knowledge == "score":
        return ScoreReadout(widths, out_channels, head, reduce)
    return Readout(widths, out_channels, head, reduce, jumping_knowledge)
