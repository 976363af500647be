"""Encoders of categorical columns: atoms, bonds, node types."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnlab.errors import GraphError
from gnnlab.nn.edge_table import EdgeTable

__all__ = ["ATOM_CATEGORIES", "BOND_CATEGORIES", "AtomEncoder", "BondEncoder", "CategoricalEncoder"]

ATOM_CATEGORIES = (119, 5, 12, 12, 10, 6, 6, 2, 2)
"""Sizes of OGB's atom columns (``ogb.utils.features``, ogb 1.3.6): atomic number, chirality, degree,
formal charge, hydrogens, radical electrons, hybridisation, aromatic, in a ring; the first seven end with
a value for everything else."""

BOND_CATEGORIES = (5, 6, 2)
"""Sizes of OGB's bond columns (``ogb.utils.features``, ogb 1.3.6): type, stereo, conjugated."""

_MOST_COMBINATIONS = 1024  # rows of a table that stays in the cache at the usual widths


class CategoricalEncoder(nn.Module):
    r"""Sum of one embedding per categorical column, :math:`h_v = \sum_c E_c[x_{vc}]`.

    All columns share one table, so a row costs one fused lookup. Each column's part is initialised by
    Xavier's uniform rule, as OGB does.

    Args:
        channels: Width of the output.
        num_categories: Number of values of every column.

    Shapes:
        * **x:** [N, C] integer (or [N] for one column)
        * **output:** [N, channels]

    Raises:
        GraphError: floating-point input, wrong number of columns, or (on the CPU, where looking costs no
            synchronisation) a value outside its column's range.

    Example:
        >>> CategoricalEncoder(8, [21, 4])(torch.tensor([[20, 0], [3, 3]])).shape
        torch.Size([2, 8])
    """

    def __init__(self, channels: int, num_categories: Sequence[int]) -> None:
        super().__init__()
        self.num_categories = tuple(num_categories)
        *starts, total = accumulate(self.num_categories, initial=0)
        self.weight = nn.Parameter(torch.empty(total, channels))
        self.register_buffer("offset", torch.tensor(starts), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for table in self.weight.split(self.num_categories):
            nn.init.xavier_uniform_(table)

    def forward(self, x: Tensor) -> Tensor:
        return self._embed(self._checked(x))

    def table(self, x: Tensor) -> Tensor | EdgeTable:
        """The same features as a table of all combinations of categories and the combination of every row.

        Where there are more combinations than a layer can keep in its cache, the features themselves.
        """
        x = self._checked(x)
        if prod(self.num_categories) > _MOST_COMBINATIONS:
            return self._embed(x)
        combinations = torch.cartesian_prod(*(torch.arange(size, device=x.device) for size in self.num_categories))
        strides = [prod(self.num_categories[column + 1 :]) for column in range(len(self.num_categories))]
        index = sum(column * stride for column, stride in zip(x.unbind(1), strides, strict=True))
        return EdgeTable(self._embed(combinations.view(-1, x.size(1))), index)

    def _embed(self, x: Tensor) -> Tensor:
        return F.embedding_bag(x + self.offset, self.weight, mode="sum")

    def _checked(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(-1) if x.dim() == 1 else x
        columns = len(self.num_categories)
        if x.is_floating_point() or x.size(1) != columns:
            raise GraphError(
                f"expected {columns} integer columns, got {list(x.shape)} of {x.dtype}",
                hint="use LinearEncoder for real-valued features",
            )
        if x.device.type == "cpu" and x.numel():
            size = torch.tensor(self.num_categories)
            outside = ((x < 0) | (x >= size)).any(0)
            if outside.any():
                column = int(outside.nonzero()[0])
                low, high = (int(bound) for bound in torch.aminmax(x[:, column]))
                raise GraphError(
                    f"column {column} holds values from {low} to {high}, "
                    f"but has {self.num_categories[column]} categories (0 to {self.num_categories[column] - 1})"
                )
        return x

    def extra_repr(self) -> str:
        return f"{self.weight.size(1)}, num_categories={list(self.num_categories)}"


class AtomEncoder(CategoricalEncoder):
    """Encoder of OGB's nine atom columns.

    Args:
        channels: Width of the output.

    Shapes:
        * **x:** [N, 9] integer
        * **output:** [N, channels]

    Example:
        >>> AtomEncoder(16)(torch.zeros(3, 9, dtype=torch.long)).shape
        torch.Size([3, 16])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, ATOM_CATEGORIES)


class BondEncoder(CategoricalEncoder):
    """Encoder of OGB's three bond columns.

    Args:
        channels: Width of the output.

    Shapes:
        * **x:** [E, 3] integer
        * **output:** [E, channels]

    Example:
        >>> BondEncoder(16)(torch.zeros(4, 3, dtype=torch.long)).shape
        torch.Size([4, 16])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, BOND_CATEGORIES)
