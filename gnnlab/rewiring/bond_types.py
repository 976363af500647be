"""The type of every edge, from its features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.transform import Transform

__all__ = ["BondTypes"]


@dataclass(frozen=True, repr=False)
class BondTypes(Transform):
    """Writes the type of every edge as ``edge_type``: the "chemical graph" of Gilmer et al. (ICML 2017, arXiv
    1704.01212), for :class:`gnnlab.nn.MatmulMessage`.

    The type is the place of the largest of one-hot features [E, K], or the first column of categorical ones; 0 without
    ``edge_attr``. ``FullyAdjacent(relation=K)`` after it adds the paper's virtual edges: one more type that joins every
    pair without a bond.

    Cost: time and memory O(E K), for any size of graph.

    Args:
        num_types: K, number of types.

    Shapes:
        writes ``edge_type`` [E] long

    Raises:
        GraphError: categories outside 0 to K - 1, or one-hot features of more than K columns.

    Example:
        >>> bonds = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), edge_attr=bonds, num_nodes=2)
        >>> BondTypes(num_types=2)(data).edge_type.tolist()
        [1, 1]
    """

    num_types: int = 4

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        if self.num_types < 1:
            raise ConfigError(f"num_types must be at least 1, got {self.num_types}", where=type(self).__name__)

    def forward(self, data: Data) -> Data:
        data.edge_type = self._types(data)
        return data

    def _types(self, data: Data) -> Tensor:
        attr = data.get("edge_attr")
        if attr is None:
            return torch.zeros_like(data.edge_index[0])
        columns = attr if attr.dim() > 1 else attr[:, None]
        if not attr.is_floating_point():
            kinds = columns[:, 0].long()
        elif columns.size(1) <= self.num_types:
            kinds = columns.argmax(1) if columns.size(1) else torch.zeros_like(data.edge_index[0])
        else:
            raise GraphError(
                f"edge_attr has {columns.size(1)} columns, which cannot be one-hot over {self.num_types} types",
                hint="raise num_types",
            )
        if kinds.numel() and (int(kinds.min()) < 0 or int(kinds.max()) >= self.num_types):
            wrong = int(kinds.max()) if int(kinds.max()) >= self.num_types else int(kinds.min())
            raise GraphError(
                f"edge_attr holds category {wrong}, outside the {self.num_types} types", hint="raise num_types"
            )
        return kinds
