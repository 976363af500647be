"""Encodings as what a network has to predict."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.transform import Transform

__all__ = ["EncodingTargets"]


@dataclass(frozen=True, repr=False)
class EncodingTargets(Transform):
    r"""Node encodings, side by side, as the targets ``y`` of a node task; what ``y`` was is lost.

    What GPSE (:class:`gnnlab.nn.GPSE`) is trained to predict, "Graph Positional and Structural Encoder" (Cantürk, Liu
    et al., ICML 2024, arXiv 2307.07107). Comes after the encodings among the transforms.

    Args:
        attributes: Encodings in the order of their columns.
        absolute: Those of which the absolute value is taken: eigenvectors have no sign.
        keep: Whether the encodings stay in the graph.

    Shapes:
        writes ``y`` [N, sum of the widths] float32.

    Raises:
        ConfigError: no attributes, or an ``absolute`` that is none of them.
        GraphError: the graph lacks an attribute.

    Example:
        >>> graph = Data(pe_lap=torch.tensor([[-1.0], [1.0]]), pe_rwse=torch.zeros(2, 2), num_nodes=2)
        >>> EncodingTargets(("pe_lap", "pe_rwse"))(graph).y.tolist()
        [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """

    attributes: tuple[str, ...] = ("pe_lap", "pe_rwse")
    absolute: tuple[str, ...] = ("pe_lap",)
    keep: bool = False

    def __post_init__(self) -> None:
        # A configuration file brings lists, which no frozen value may hold.
        object.__setattr__(self, "attributes", tuple(self.attributes))
        object.__setattr__(self, "absolute", tuple(self.absolute))
        unknown = sorted(set(self.absolute) - set(self.attributes))
        if not self.attributes or unknown:
            raise ConfigError(
                f"absolute names {unknown}, attributes are {list(self.attributes)}",
                where="EncodingTargets",
                hint="name at least one attribute, and in absolute none but those",
            )

    def forward(self, data: Data) -> Data:
        columns = []
        for name in self.attributes:
            value = data.get(name)
            if value is None:
                raise GraphError(
                    f"the graph has no '{name}'",
                    where="EncodingTargets",
                    hint="put the encoding that writes it before, or change attributes",
                )
            columns.append(value.abs() if name in self.absolute else value)
        data.y = torch.cat(columns, 1).float()
        if not self.keep:
            for name in self.attributes:
                del data[name]
        return data
