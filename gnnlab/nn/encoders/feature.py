"""The encoder of a model: node features, positional encodings and edge or pair features to one width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.nn._reset import reset
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.encoders.categorical import CategoricalEncoder

__all__ = ["FeatureEncoder"]


class FeatureEncoder(nn.Module):
    r"""Join encoded node features and encoded positional encodings; do the same with edges, or encode node pairs.

    Node features are mapped to what the positional encodings leave of ``channels``, so that the width of
    the model is stated once; edge features likewise.

    Args:
        channels: Width of the output nodes and edges (the model passes its ``hidden_channels``).
        node: Factory (channels) of the encoder of ``x``.
        edge: Factory (channels) of the encoder of ``edge_attr``. ``None`` leaves them as they are, or, with
            ``edge_encodings``, leaves them out.
        encodings: Factories () of encoders of positional encodings, which read the batch and have
            ``out_channels`` (:class:`LinearPEEncoder`, :class:`LapPEEncoder`, :class:`SignNet`, ...).
        edge_encodings: The same for encodings of edges, such as
            ``LinearPEEncoder("edge_pe_rrwp", in_channels=21)``.
        combine: ``cat`` or ``add`` encodings to the features; what is added must be ``channels`` wide.
        pair: Factory (channels) of a module that maps the batch to pair states [P, channels], such as
            :class:`PairEncoder`, which take the place of the edge features (the model is given ``edges="pair"``).

    Attributes:
        edge_tables: Return categorical edge features as an :class:`gnnlab.nn.EdgeTable`; a model sets it whose
            layers all read one.

    Shapes:
        * **batch:** ``x``, ``edge_attr`` if ``edge`` is given, and the attributes the encodings read
        * **output:** ([N, channels], [E, channels] or ``batch.edge_attr`` or ``None``; with ``pair`` [P, channels])

    Raises:
        ConfigError: encodings that leave no channel for the features or, without features or where they are
            added, are not ``channels`` wide; edge features beside ``pair``.
        GraphError: a missing attribute.

    Example:
        >>> from gnnlab.nn import AtomEncoder, BondEncoder, LinearPEEncoder
        >>> encoder = FeatureEncoder(64, AtomEncoder, BondEncoder, [LinearPEEncoder])
        >>> sizes = {"x": (3, 9), "edge_attr": (4, 3)}
        >>> data = Data(pe_rwse=torch.rand(3, 20), **{k: torch.zeros(s, dtype=torch.long) for k, s in sizes.items()})
        >>> [tuple(out.shape) for out in encoder(data)]
        [(3, 64), (4, 64)]
    """

    def __init__(
        self,
        channels: int,
        node: Callable[[int], nn.Module],
        edge: Callable[[int], nn.Module] | None = None,
        encodings: Sequence[Callable[[], nn.Module]] = (),
        edge_encodings: Sequence[Callable[[], nn.Module]] = (),
        combine: Literal["cat", "add"] = "cat",
        pair: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if combine not in _LEFT:
            raise ConfigError(f"unknown combine {combine!r}", where="FeatureEncoder", hint=nearest(str(combine), _LEFT))
        if pair is not None and (edge is not None or edge_encodings):
            raise ConfigError(
                "the model reads either edge features or pair states",
                where="FeatureEncoder",
                hint="leave out edge and edge_encodings; PairEncoder(edge=...) adds edge features to the pairs",
            )
        self.combine = combine
        self.encodings = nn.ModuleList(encoding() for encoding in encodings)
        self.edge_encodings = nn.ModuleList(encoding() for encoding in edge_encodings)
        self.node = node(_LEFT[combine](channels, self.encodings, "positional encodings"))
        self.edge = None
        if edge is not None:
            self.edge = edge(_LEFT[combine](channels, self.edge_encodings, "edge encodings"))
        elif self.edge_encodings:
            _check_alone(channels, self.edge_encodings, combine)
        self.pair = None if pair is None else pair(channels)
        self.edge_tables = False

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, batch: Data) -> tuple[Tensor, Tensor | EdgeTable | None]:
        x = batch.get("x")
        if x is None:
            raise GraphError("the batch has no node features 'x'")
        x = self._joined([self.node(x)], self.encodings, batch)
        return x, self._edges(batch) if self.pair is None else self.pair(batch)

    def _edges(self, batch: Data) -> Tensor | EdgeTable | None:
        edge_attr = batch.get("edge_attr")
        if self.edge is None:
            return self._joined([], self.edge_encodings, batch) if self.edge_encodings else edge_attr
        if edge_attr is None:
            raise GraphError(
                "the batch has no 'edge_attr' for the edge encoder",
                hint="leave out edge= of the FeatureEncoder",
            )
        if self.edge_tables and isinstance(self.edge, CategoricalEncoder) and not self.edge_encodings:
            return self.edge.table(edge_attr)
        return self._joined([self.edge(edge_attr)], self.edge_encodings, batch)

    def _joined(self, features: list[Tensor], encodings: nn.ModuleList, batch: Data) -> Tensor:
        parts = features + [encoding(batch) for encoding in encodings]
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, dim=-1) if self.combine == "cat" else sum(parts[1:], start=parts[0])


def _beside(channels: int, encodings: nn.ModuleList, kind: str) -> int:
    """Width of features beside which encodings stand."""
    left = channels - sum(encoding.out_channels for encoding in encodings)
    if left < 1:
        raise ConfigError(
            f"{kind} take {channels - left} channels, the model has {channels}",
            hint="raise hidden_channels, or lower out_channels of the encodings",
        )
    return left


def _under(channels: int, encodings: nn.ModuleList, kind: str) -> int:
    """Width of features to which encodings are added."""
    for encoding in encodings:
        if encoding.out_channels != channels:
            raise ConfigError(
                f"{kind} that are added need out_channels={channels}, but {type(encoding).__name__} has "
                f"{encoding.out_channels}",
                where="FeatureEncoder",
                hint=f"set out_channels={channels} there, or combine='cat'",
            )
    return channels


def _check_alone(channels: int, encodings: nn.ModuleList, combine: str) -> None:
    """Encodings that are all an edge has."""
    if combine == "add":
        _under(channels, encodings, "edge encodings")
        return
    taken = sum(encoding.out_channels for encoding in encodings)
    if taken != channels:
        raise ConfigError(
            f"edge encodings take {taken} channels, but without an edge encoder they must fill all {channels}",
            where="FeatureEncoder",
            hint=f"set out_channels={channels} of the encoding, or give an edge encoder",
        )


_LEFT = {"cat": _beside, "add": _under}
