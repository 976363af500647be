"""The encoder of a model: node features, positional encodings and edge features to one width."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn._reset import reset
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.encoders.categorical import CategoricalEncoder

__all__ = ["FeatureEncoder"]


class FeatureEncoder(nn.Module):
    r"""Concatenate encoded node features and encoded positional encodings; encode edge features.

    Node features are mapped to what the positional encodings leave of ``channels``, so that the width of
    the model is stated once.

    Args:
        channels: Width of the output nodes and edges (the model passes its ``hidden_channels``).
        node: Factory (channels) of the encoder of ``x``.
        edge: Factory (channels) of the encoder of ``edge_attr``; ``None`` leaves them as they are.
        encodings: Factories () of encoders of positional encodings, which read the batch and have
            ``out_channels`` (:class:`LinearPEEncoder`, :class:`DeepSetPEEncoder`).

    Attributes:
        edge_tables: Return categorical edge features as an :class:`gnnlab.nn.EdgeTable`; a model sets it whose
            layers all read one.

    Shapes:
        * **batch:** ``x``, ``edge_attr`` if ``edge`` is given, and the attributes the encodings read
        * **output:** ([N, channels], [E, channels] or ``batch.edge_attr`` or ``None``)

    Raises:
        ConfigError: encodings that leave no channel for the features.
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
    ) -> None:
        super().__init__()
        self.encodings = nn.ModuleList(encoding() for encoding in encodings)
        left = channels - sum(encoding.out_channels for encoding in self.encodings)
        if left < 1:
            raise ConfigError(
                f"positional encodings take {channels - left} channels, the model has {channels}",
                hint="raise hidden_channels, or lower out_channels of the encodings",
            )
        self.node = node(left)
        self.edge = None if edge is None else edge(channels)
        self.edge_tables = False

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, batch: Data) -> tuple[Tensor, Tensor | EdgeTable | None]:
        x, edge_attr = batch.get("x"), batch.get("edge_attr")
        if x is None:
            raise GraphError("the batch has no node features 'x'")
        x = torch.cat([self.node(x), *(encoding(batch) for encoding in self.encodings)], dim=-1)
        if self.edge is None:
            return x, edge_attr
        if edge_attr is None:
            raise GraphError(
                "the batch has no 'edge_attr' for the edge encoder",
                hint="leave out edge= of the FeatureEncoder",
            )
        if self.edge_tables and isinstance(self.edge, CategoricalEncoder):
            return x, self.edge.table(edge_attr)
        return x, self.edge(edge_attr)
