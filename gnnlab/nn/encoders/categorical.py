"""Encoders of categorical columns: atoms, bonds, node types."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnlab.errors import GraphError

__all__ = ["ATOM_CATEGORIES", "BOND_CATEGORIES", "AtomEncoder", "BondEncoder", "CategoricalEncoder"]

ATOM_CATEGORIES = (119, 5, 12, 12, 10, 6, 6, 2, 2)
"""Sizes of OGB's atom columns (``ogb.utils.features``, ogb 1.3.6): atomic number, chirality, degree,
formal charge, hydrogens, radical electrons, hybridisation, aromatic, in a ring; the first seven end with
a value for everything else."""

BOND_CATEGORIES = (5, 6, 2)
"""Sizes of OGB's bond columns (``ogb.utils.features``, ogb 1.3.6): type, stereo, conjugated."""


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
        x = x.unsqueeze(-1) if x.dim() == 1 else x
        self._check(x)
        return F.embedding_bag(x + self.offset, self.weight, mode="sum")

    def _check(self, x: Tensor) -> None:
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
