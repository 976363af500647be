"""What the message functions of Gilmer et al. share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor, nn

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import CSR

__all__ = ["EncodedEdges", "Message", "MessageReduce", "edge_features"]

MessageReduce: TypeAlias = Literal["sum", "mean"]

_REDUCE = ("sum", "mean")


@dataclass(frozen=True)
class EncodedEdges:
    """What a message function makes of edge features alone: the same in every step that shares its weights.

    Args:
        values: [E, R] features, or [E, in_channels, out_channels] matrices.
    """

    values: Tensor


class Message(nn.Module):
    """A message function with its sum (or mean) over the incoming edges of every node.

    Args:
        in_channels: Width of the node states.
        out_channels: Width of the messages.
        reduce: ``sum`` or ``mean``.
    """

    def __init__(self, in_channels: int, out_channels: int, reduce: MessageReduce) -> None:
        super().__init__()
        name = type(self).__name__
        if reduce not in _REDUCE:
            raise ConfigError(f"unknown reduce {reduce!r}", where=name, hint=nearest(str(reduce), _REDUCE))
        self.in_channels, self.out_channels, self.reduce = in_channels, out_channels, reduce

    def reduced(self, total: Tensor, adj: CSR) -> Tensor:
        """Sums [N, out_channels], or their means."""
        return total if self.reduce == "sum" else total / adj.degree.clamp(min=1).unsqueeze(-1)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, reduce='{self.reduce}'"


def edge_features(edge_attr: Tensor | EdgeTable | None, channels: int, layer: str) -> Tensor:
    """[E, channels] edge features as one tensor.

    Raises:
        GraphError: none, or of another width or kind.
    """
    rows = edge_attr.dense() if isinstance(edge_attr, EdgeTable) else edge_attr
    if rows is None or rows.dim() != 2 or rows.size(1) != channels or not rows.is_floating_point():
        found = "there is none" if rows is None else f"edge_attr is {list(rows.shape)} of {rows.dtype}"
        raise GraphError(
            f"{layer} reads edge features [E, {channels}], but {found}",
            hint="set edge_channels, or encode the features with edge= of the FeatureEncoder",
        )
    return rows
