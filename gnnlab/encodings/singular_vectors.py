"""Singular vectors of the adjacency matrix as node encodings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph._check import check_union
from gnnlab.graph._signs import canonical_signs
from gnnlab.graph.buckets import size_buckets, sort_union
from gnnlab.ops import ragged_arange
from gnnlab.transform import Transform, graph_ptr

__all__ = ["SingularVectorPE"]

_CELLS = 1 << 22
"""Cells of one stack of dense matrices: 32 MB in float64."""


@dataclass(frozen=True, repr=False)
class SingularVectorPE(Transform):
    r"""Left and right singular vectors of the k largest singular values of :math:`A + I`, scaled by their roots.

    .. math:: A + I = U \Sigma V^\top, \qquad p = [U_k \Sigma_k^{1/2} \,\|\, V_k \Sigma_k^{1/2}]

    as in "Global self-attention as a replacement for graph convolution" (Hussain et al., KDD 2022, arXiv
    2108.03348). :math:`A_{uv}` sums the weights of the edges from u to v, so that inner products of the left half of
    u and the right half of v are the best approximation of rank k. A pair may be negated together: signs are
    canonical as in :func:`gnnlab.graph.laplacian_eigh`, by the left vector. Vectors of equal singular values are a
    basis up to rotation, so train with random signs. A graph with fewer than k singular values, or none above zero,
    has zeros there; a node without edges has the vector of its own loop.

    Cost: time :math:`O(\sum_g n_g^3)`, graphs of similar size in one stack; memory :math:`8 n^2` bytes for the
    largest graph. Graphs of more than ``max_nodes`` nodes are refused: take
    :class:`gnnlab.encodings.RandomFeaturePropagation` or :class:`gnnlab.encodings.FastRP` for those.

    Args:
        k: Number of singular values.
        name: Prefix of the attributes.
        max_nodes: Largest graph that is decomposed.

    Shapes:
        writes ``pe_<name>`` [N, 2k] float32 and ``pe_<name>_values`` [N, k] float32 (the singular values of the
        graph, repeated for its nodes).

    Raises:
        ConfigError: ``k`` below 1.
        BudgetError: a graph of more than ``max_nodes`` nodes.

    Example:
        >>> edge = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> encoded = SingularVectorPE(k=1)(edge)
        >>> encoded.pe_svd.round(decimals=4).tolist(), encoded.pe_svd_values.round(decimals=4).tolist()
        ([[1.0, 1.0], [1.0, 1.0]], [[2.0], [2.0]])
    """

    k: int = 8
    name: str = "svd"
    max_nodes: int = 4000

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to basis"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be at least 1, got {self.k}", where="SingularVectorPE")

    def check_budget(self, nodes: Tensor) -> None:
        largest = int(nodes.max()) if nodes.numel() else 0
        if largest > self.max_nodes:
            raise BudgetError(
                f"a graph of {largest:,} nodes takes {8 * largest**2 / 2**30:.1f} GiB as a dense matrix and about "
                f"{20 * largest**3:.0e} operations; max_nodes={self.max_nodes:,}",
                where="SingularVectorPE",
                hint="raise max_nodes, or take RandomFeaturePropagation or FastRP for large graphs",
            )

    def forward(self, data: Data) -> Data:
        ptr, edge_weight = graph_ptr(data), data.get("edge_weight")
        self.check_budget(ptr.diff())
        batch = check_union(data.edge_index, ptr, edge_weight)
        left, right, values = _decompose(data.edge_index, edge_weight, ptr, batch, self.k)
        signs = canonical_signs(left, batch, ptr)[0][batch]
        root = values.sqrt()[batch] * signs
        data[f"pe_{self.name}"] = torch.cat([left * root, right * root], 1).float()
        data[f"pe_{self.name}_values"] = values[batch].float()
        return data


def _decompose(
    edge_index: Tensor, edge_weight: Tensor | None, ptr: Tensor, batch: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Left and right vectors [N, k] and values [G, k], zero where there are none."""
    sizes = ptr.diff()
    weight = torch.ones_like(edge_index[0], dtype=torch.double) if edge_weight is None else edge_weight.double()
    loops = torch.arange(batch.numel(), device=ptr.device)
    edges = torch.cat([edge_index, loops.expand(2, -1)], 1)
    weight = torch.cat([weight, weight.new_ones(loops.numel())])
    union = sort_union(edges, weight, batch, ragged_arange(sizes, batch.numel()), sizes)
    sizes = sizes[union.group]
    left, right = weight.new_zeros(2, batch.numel(), k)
    values = weight.new_zeros(sizes.numel(), k)
    empty = int(torch.searchsorted(sizes, 1))
    for first, last in size_buckets(union.ptr[empty:], sizes[empty:], _CELLS, growth=1.25):
        first, last = first + empty, last + empty
        rows = slice(int(union.ptr[first]), int(union.ptr[last]))
        u, s, vh = torch.linalg.svd(union.blocks(first, last))
        count = min(k, s.size(1))
        s = s[:, :count]
        found = s > 1e-10 * s[:, :1]  # the rest is rounding, and padding
        real = torch.arange(u.size(1), device=sizes.device) < sizes[first:last, None]
        values[first:last, :count] = s * found
        left[rows, :count] = (u[:, :, :count] * found[:, None])[real]
        right[rows, :count] = (vh.mT[:, :, :count] * found[:, None])[real]
    return left[union.row], right[union.row], values[union.group.argsort()]
