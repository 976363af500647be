"""Stable, basis-invariant encoder of eigenspaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.nn._batch import adjacency, graph_pointer
from gnnlab.nn.encoders._column_gin import ColumnGIN, Norm
from gnnlab.nn.encoders._read import companion, eigenpairs
from gnnlab.nn.mlp import MLP
from gnnlab.ops import expand_ptr

__all__ = ["SPE"]

_KEPT = 8  # arrays of the hidden width that a GIN layer keeps for the backward pass


class SPE(nn.Module):
    r"""Stable and expressive positional encoding: the eigenvectors under learned functions of the eigenvalues.

    "On the Stability of Expressive Positional Encodings for Graphs" (Huang et al., ICLR 2024, arXiv 2310.02579).

    .. math::
        h = \rho\big([V \, \mathrm{diag}(\phi_l(\lambda)) \, V^\top]_{l=1..m}\big)

    :math:`\phi` is an MLP of single eigenvalues with m outputs, so vectors of one eigenvalue get one weight and the
    basis does not matter, nor, much, whether two eigenvalues are equal or nearly so. :math:`\rho` runs a GIN on the
    graph for every column of the :math:`n \times n` matrices by itself, with the m values as channels, and sums the
    columns; an MLP follows. ``kind="diagonal"`` keeps the diagonals alone, :math:`(V \circ V) \phi(\lambda)`, on
    which the same GIN runs as on one column: learned heat kernel signatures. Eigenspaces of which the encoding
    holds a part only are left out, because the part depends on the solver.

    Cost: ``full`` takes time :math:`O(L d (E + N d) n)` and memory :math:`O(L d N n)` for n nodes in the largest
    graph, L layers of width d; above ``max_gigabytes`` the work is refused. ``diagonal`` takes O(N k m) and a GIN,
    on graphs of any size.

    Args:
        attribute: Name of the eigenvector entries (unit vectors); beside it are ``_values``, ``_mask`` and
            ``_whole``, as :class:`gnnlab.encodings.LaplacianPE` writes them.
        out_channels: Width of the output.
        hidden_channels: d, width of the GIN and of the MLPs.
        num_functions: m.
        phi_layers: Linear layers of :math:`\phi`.
        num_layers: Layers of the GIN.
        kind: ``full`` or ``diagonal``.
        norm: ``batch`` for BatchNorm in the GIN over the real entries, ``None`` for none.
        max_gigabytes: Refuse batches whose columns would take more.

    Shapes:
        * **batch.<attribute>:** [N, k]; and [N, k] ``_values``, bool ``_mask`` (False at padding), bool ``_whole``
          (False where k cuts the eigenspace)
        * **output:** [N, out_channels]

    Raises:
        ConfigError: an unknown ``kind``.
        GraphError: a missing attribute.
        BudgetError: a batch above ``max_gigabytes``.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), pe_lap=torch.eye(2), pe_lap_values=torch.rand(2, 2))
        >>> data.pe_lap_mask = data.pe_lap_whole = torch.ones(2, 2, dtype=torch.bool)
        >>> SPE()(data).shape, SPE(kind="diagonal")(data).shape
        (torch.Size([2, 16]), torch.Size([2, 16]))
    """

    def __init__(
        self,
        attribute: str = "pe_lap",
        out_channels: int = 16,
        hidden_channels: int = 32,
        num_functions: int = 16,
        phi_layers: int = 3,
        num_layers: int = 3,
        kind: Literal["full", "diagonal"] = "full",
        norm: Norm = "batch",
        max_gigabytes: float = 4.0,
    ) -> None:
        super().__init__()
        if kind not in _KINDS:
            raise ConfigError(f"unknown kind {kind!r}", where="SPE", hint=nearest(str(kind), _KINDS))
        self.attribute, self.out_channels, self.kind = attribute, out_channels, kind
        self.hidden_channels, self.num_layers, self.max_gigabytes = hidden_channels, num_layers, max_gigabytes
        self.phi = MLP(1, num_functions, phi_layers, expansion=hidden_channels / num_functions)
        self.gin = ColumnGIN(num_functions, hidden_channels, hidden_channels, num_layers, norm)
        self.rho = MLP(hidden_channels, out_channels, expansion=hidden_channels / out_channels)

    def forward(self, batch: Data) -> Tensor:
        vectors, values, mask = eigenpairs(batch, self.attribute, "SPE")
        usable = mask & companion(batch, self.attribute, "whole", "SPE")
        vectors = vectors * usable
        weights = self.phi(values.unsqueeze(-1)) * usable.unsqueeze(-1)
        ptr = graph_pointer(batch, vectors)
        columns, real = _KINDS[self.kind](vectors, weights, ptr, self._check_size)
        real = real & mask.any(1, keepdim=True)  # the dummy graphs of a padded batch have no eigenpairs
        states = self.gin(columns, real, adjacency(batch, vectors.size(0)))
        return self.rho(states.masked_fill(~real.unsqueeze(-1), 0).sum(1))

    def _check_size(self, nodes: int, widest: int) -> None:
        gigabytes = 4 * _KEPT * nodes * widest * self.hidden_channels * self.num_layers / 2**30
        if gigabytes > self.max_gigabytes:
            raise BudgetError(
                f"{nodes:,} nodes with {widest:,} columns each take about {gigabytes:.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where="SPE",
                hint="use smaller batches, or kind='diagonal'",
            )


def _full(
    vectors: Tensor, weights: Tensor, ptr: Tensor, check_size: Callable[[int, int], None]
) -> tuple[Tensor, Tensor]:
    """[N, n, m] row of every node in the matrices of its graph, padded, and what of it is real."""
    (nodes, k), sizes = vectors.shape, ptr.diff()
    widest = int(sizes.max()) if sizes.numel() else 0
    check_size(nodes, widest)
    graph = expand_ptr(ptr, nodes)
    place = torch.arange(nodes, device=ptr.device) - ptr[graph]
    dense = vectors.new_zeros(sizes.numel() * widest, k).index_copy(0, graph * widest + place, vectors)
    partners = dense.view(sizes.numel(), widest, k)[graph]
    real = torch.arange(widest, device=ptr.device) < sizes[graph].unsqueeze(1)
    return partners @ (vectors.unsqueeze(-1) * weights), real


def _diagonal(
    vectors: Tensor, weights: Tensor, ptr: Tensor, check_size: Callable[[int, int], None]
) -> tuple[Tensor, Tensor]:
    """[N, 1, m], and that all of it is real."""
    column = vectors.square().unsqueeze(1) @ weights
    return column, torch.ones(column.shape[:2], dtype=torch.bool, device=ptr.device)


_KINDS = {"full": _full, "diagonal": _diagonal}
