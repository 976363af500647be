"""One message-passing layer of a model: convolution, normalisation, activation, dropout, residual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges, accepted_arguments, inserted, propagate
from gnnlab.nn._relations import select_relations
from gnnlab.nn._reset import reset
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.norm import normalise_and_activate

__all__ = ["Layer", "NormPosition"]

NormPosition: TypeAlias = Literal["pre", "inner", "post"]


class Layer(nn.Module):
    r"""One layer, by position of the normalisation:

    * ``pre``: :math:`x + \mathrm{dropout}(\phi(\mathrm{conv}(\mathrm{norm}(x))))`
    * ``inner``: :math:`x + \mathrm{dropout}(\phi(\mathrm{norm}(\mathrm{conv}(x))))`
    * ``post``: :math:`\mathrm{norm}(x + \mathrm{dropout}(\phi(\mathrm{conv}(x))))`

    Args:
        conv: Factory (in_channels, out_channels) of the convolution.
        in_channels: Width of the input.
        out_channels: Width of the output.
        norm: Factory (channels) of the normalisation; ``None`` for none.
        norm_position: ``pre``, ``inner`` or ``post``.
        activation: Factory of :math:`\phi`; ``None`` for none.
        dropout: Probability of dropping a channel.
        residual: Whether x is added, where the widths agree.
        relations: Types of the edges the convolution sees; the states of the others stay as they are. ``None``
            is all edges.
    """

    def __init__(
        self,
        conv: Callable[[int, int], nn.Module],
        in_channels: int,
        out_channels: int,
        norm: Callable[[int], nn.Module] | None = None,
        norm_position: NormPosition = "inner",
        activation: Callable[[], nn.Module] | None = None,
        dropout: float = 0.0,
        residual: bool = False,
        relations: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.relations = None if relations is None else tuple(relations)
        self.conv = conv(in_channels, out_channels)
        self.accepted = accepted_arguments(self.conv)
        width = in_channels if norm_position == "pre" else out_channels
        norms = {position: nn.Identity() for position in ("pre", "inner", "post")}
        if norm is not None:
            norms[norm_position] = norm(width)
        self.pre_norm, self.norm, self.post_norm = norms["pre"], norms["inner"], norms["post"]
        self.activation = activation() if activation else nn.Identity()
        self.dropout = Dropout(dropout)
        self.residual = residual and in_channels == out_channels

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, x: Tensor, edges: Edges) -> tuple[Tensor, Edges]:
        part = None if self.relations is None else select_relations(edges.adj, edges.relation, self.relations)
        seen = edges if part is None else edges.only(part)
        out, edge_attr = propagate(self.conv, self.accepted, self.pre_norm(x), seen)
        out = self.update(out, x)
        if edge_attr is seen.attr:
            return out, edges
        return out, replace(edges, attr=edge_attr if part is None else inserted(edge_attr, part, edges.attr))

    def update(self, out: Tensor, x: Tensor) -> Tensor:
        """What follows the convolution: the new states from its result and the former ones."""
        if out.size(-1) != self.out_channels:
            raise ConfigError(
                f"{type(self.conv).__name__} returned {out.size(-1)} channels where the model asked "
                f"for {self.out_channels}",
                hint="attention heads that are concatenated multiply the width: average them (concat=False)",
            )
        out = normalise_and_activate(self.norm, self.activation, out)
        out = self.dropout(out, x if self.residual else None)
        return self.post_norm(out)
