"""Bag-of-words features as frequencies."""

from __future__ import annotations

from dataclasses import dataclass

from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.transform import Transform

__all__ = ["RowNormalize"]


@dataclass(frozen=True)
class RowNormalize(Transform):
    r"""Divide every row of the features by its sum, :math:`x_{vi} \leftarrow x_{vi} / \sum_j x_{vj}`.

    What Kipf and Welling (ICLR 2017) and most work after them feed to networks on citation graphs. A row that
    sums to zero stays as it is.

    Args:
        attribute: Name of the features, [N, F] floating point.

    Raises:
        GraphError: the graph lacks the attribute, or it holds integers.

    Example:
        >>> RowNormalize()(Data(x=torch.tensor([[1.0, 3.0], [0.0, 0.0]]))).x.tolist()
        [[0.25, 0.75], [0.0, 0.0]]
    """

    attribute: str = "x"

    def forward(self, data: Data) -> Data:
        x = data.get(self.attribute)
        if x is None or not x.is_floating_point():
            found = "none" if x is None else f"values of {x.dtype}"
            raise GraphError(f"'{self.attribute}' must be floating point to be normalised, the graph has {found}")
        total = x.sum(dim=-1, keepdim=True)
        data[self.attribute] = x / total.where(total != 0, 1)
        return data
