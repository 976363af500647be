"""Very sparse random projections of the powers of a transition matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import propagate_features
from gnnlab.graph._noise import pair_noise
from gnnlab.ops import CSR, expand_ptr, segment_reduce
from gnnlab.transform import Transform, graph_ptr

__all__ = ["FastRP"]

_CELLS = 1 << 25
"""Nodes times columns that are projected at a time: about 2 GB of numbers, hashes and powers."""

_DENSITY = 1 / 3
"""Share of the projection that is not zero."""


@dataclass(frozen=True, repr=False)
class FastRP(Transform):
    r"""Fast random projection ("Fast and accurate network embeddings via very sparse random projection",
    Chen et al., CIKM 2019, arXiv 1908.11512).

    .. math::
        \sum_{i=1}^q \alpha_i P^i L R, \qquad P = D^{-1} A, \quad L = \mathrm{diag}\big((d_v / 2m)^\beta\big)

    with a projection R [n, dim] of entries :math:`\sqrt 3, 0, -\sqrt 3` with probabilities 1/6, 2/3, 1/6 (Achlioptas,
    2003) and :math:`2m = \sum_v d_v`. Inner products of rows estimate those of the rows of
    :math:`\sum_i \alpha_i P^i L`. R is hashed from the graph, the places of its nodes and the seed.

    ``edge_weight`` is used if the graph has one. Self-loops and duplicate edges are edges. Rows without incoming
    edges are zero.

    Cost: time :math:`O(\mathrm{dim} \, q (E + N))`; memory 4 dim bytes per node and a bounded working set, because
    the columns are projected block by block. Graphs of :math:`10^5` to :math:`10^7` nodes take the same program.

    Args:
        dim: Width of the encoding.
        weights: :math:`\alpha_1, \dots, \alpha_q` of the powers of P, the first one first.
        normalization_strength: :math:`\beta`; negative values make less of nodes of high degree. The default is
            ours.
        seed: Of the projection.
        name: Written to ``pe_<name>``.
        max_gigabytes: Refuse to write more than that.

    Shapes:
        writes ``pe_<name>`` [N, dim] float32.

    Raises:
        ConfigError: ``dim`` below 1, no weights, or weights that are not finite.
        BudgetError: more than ``max_gigabytes``, before anything is allocated.

    Example:
        >>> edge = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> even = FastRP(dim=4, weights=[0, 1])(edge).pe_fastrp
        >>> odd = FastRP(dim=4, weights=[1])(edge).pe_fastrp  # one step changes sides
        >>> torch.equal(even, odd.flip(0))
        True
    """

    dim: int = 128
    weights: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0)
    normalization_strength: float = -0.5
    seed: int = 0
    name: str = "fastrp"
    max_gigabytes: float = 16.0

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"  # the projection follows the numbering of the nodes

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        if self.dim < 1 or not self.weights or not all(map(math.isfinite, self.weights)):
            raise ConfigError(
                f"dim must be at least 1 and weights finite, one or more, got {self.dim} and {list(self.weights)}",
                where="FastRP",
            )

    def check_budget(self, nodes: Tensor) -> None:
        size = 4 * self.dim * int(nodes.sum()) / 2**30
        if size > self.max_gigabytes:
            raise BudgetError(
                f"{int(nodes.sum()):,} nodes of {self.dim} values take {size:.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where="FastRP",
                hint="lower dim, or raise max_gigabytes",
            )

    def forward(self, data: Data) -> Data:
        ptr, edge_weight = graph_ptr(data), data.get("edge_weight")
        self.check_budget(ptr.diff())
        num_nodes = int(ptr[-1])
        adj = CSR.from_edge_index(data.edge_index, num_nodes)
        scale = self._scale(data.edge_index, ptr, edge_weight)
        out = torch.empty(num_nodes, self.dim, device=ptr.device)
        width = max(1, _CELLS // max(num_nodes, 1))
        for first in range(0, self.dim, width):
            block = range(first, min(first + width, self.dim))
            state = _projection(block, data.edge_index, ptr, self.seed).mul_(scale[:, None])
            total = torch.zeros_like(state)
            for weight in self.weights:
                state = propagate_features(adj, ptr, state, 1, "walk", None, edge_weight)[:, 1]
                total.add_(state, alpha=weight)
            out[:, block.start : block.stop] = total
        data[f"pe_{self.name}"] = out
        return data

    def _scale(self, edge_index: Tensor, ptr: Tensor, edge_weight: Tensor | None) -> Tensor:
        """[N] diagonal of L; a node that nobody reaches has no part in it."""
        weight = torch.ones_like(edge_index[0], dtype=torch.double) if edge_weight is None else edge_weight.double()
        degree = weight.new_zeros(int(ptr[-1])).index_add_(0, edge_index[0], weight)
        volume = segment_reduce(degree, ptr, "sum")[expand_ptr(ptr, degree.numel())]
        reached = degree > 0
        share = torch.where(reached, degree, 1) / torch.where(reached, volume, 1)
        return share.pow(self.normalization_strength) * reached


def _projection(columns: range, edge_index: Tensor, ptr: Tensor, seed: int) -> Tensor:
    """[N, len(columns)] float64, those columns of R."""
    node = torch.arange(int(ptr[-1]), device=ptr.device)
    first = ptr[expand_ptr(ptr, node.numel())]
    # The second place of a pair is but a number to the hash: it counts the columns.
    column = first[:, None] + torch.arange(columns.start, columns.stop, device=ptr.device)
    pairs = torch.stack([node[:, None].expand_as(column), column]).view(2, -1)
    uniform = pair_noise(pairs, edge_index, ptr, seed).view(column.shape)
    signs = (uniform < _DENSITY / 2).double() - (uniform >= 1 - _DENSITY / 2).double()
    return signs.mul_(_DENSITY**-0.5)
