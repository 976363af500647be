"""Singular vectors of the personalised PageRank matrix as node encodings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph._check import check_union
from gnnlab.graph._signs import canonical_signs
from gnnlab.graph._symmetric import symmetric
from gnnlab.graph.buckets import size_buckets, sort_union
from gnnlab.ops import ragged_arange
from gnnlab.transform import Transform, graph_ptr

__all__ = ["PageRankVectorPE"]

_CELLS = 1 << 18
"""Rows x width of a stack of dense matrices."""


@dataclass(frozen=True, repr=False)
class PageRankVectorPE(Transform):
    r"""Left singular vectors of the k largest singular values of the personalised PageRank matrix, with their roots.

    .. math::
        \Pi = \alpha \, (I - (1 - \alpha) P)^{-1} = U \Sigma V^\top, \qquad p = U_k \Sigma_k^{1/2}

    the way "Benchmarking Positional Encodings for GNNs and Graph Transformers" (Grötschla, Xie and Wattenhofer, arXiv
    2411.12732) turns PageRank into features. P is that of :class:`gnnlab.encodings.PersonalizedPageRankPE`: of the
    undirected graph without self-loops, an isolated node staying where it is. Signs are canonical as in
    :func:`gnnlab.graph.laplacian_eigh`; vectors of one singular value are a basis up to rotation, and k may cut such a
    group, so train with random signs. A graph with fewer than k nodes has zeros after them, marked in the mask.

    Cost: 20 n^3 multiply-adds and 40 n^2 bytes for a graph of n nodes, those of similar size in one stack. Graphs of
    more than ``max_nodes`` nodes are refused: on those, take :class:`gnnlab.encodings.LaplacianPE` with
    ``normalization="rw"`` (the eigenvectors of :math:`\Pi`) or :class:`gnnlab.encodings.PersonalizedPageRankPE` with
    ``probes``.

    Args:
        k: Number of singular values.
        alpha: Restart probability, above 0 and at most 1.
        name: Prefix of the attributes.
        max_nodes: Largest graph that is decomposed.

    Shapes:
        writes ``pe_<name>`` [N, k] float32, ``pe_<name>_values`` [N, k] float32 (the singular values of the graph,
        repeated for its nodes) and ``pe_<name>_mask`` [N, k] bool (False at padding).

    Raises:
        ConfigError: ``k`` below 1, or ``alpha`` out of range.
        BudgetError: a graph of more than ``max_nodes`` nodes.

    Example:
        >>> edge = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> encoded = PageRankVectorPE(k=3, alpha=0.5)(edge)
        >>> [round(value, 4) for value in encoded.pe_ppr_vectors_values[0].tolist()]
        [1.0, 0.3333, 0.0]
    """

    k: int = 8
    alpha: float = 0.15
    name: str = "ppr_vectors"
    max_nodes: int = 3000

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to basis"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be at least 1, got {self.k}", where="PageRankVectorPE")
        if not 0 < self.alpha <= 1:
            raise ConfigError(f"alpha must be above 0 and at most 1, got {self.alpha}", where="PageRankVectorPE")

    def check_budget(self, nodes: Tensor) -> None:
        n = int(nodes.max()) if nodes.numel() else 0
        if n > self.max_nodes:
            raise BudgetError(
                f"a graph of {n:,} nodes takes {40 * n**2 / 2**30:.1f} GiB and about {20 * n**3:.0e} multiply-adds; "
                f"max_nodes={self.max_nodes:,}",
                where="PageRankVectorPE",
                hint="raise max_nodes, or take LaplacianPE(normalization='rw') or PersonalizedPageRankPE(probes=128)",
            )

    def forward(self, data: Data) -> Data:
        ptr, edge_weight = graph_ptr(data), data.get("edge_weight")
        self.check_budget(ptr.diff())
        batch = check_union(data.edge_index, ptr, edge_weight)
        vectors, values = _decompose(*symmetric(data.edge_index, edge_weight), ptr, batch, self.k, self.alpha)
        vectors = vectors * canonical_signs(vectors, batch, ptr)[0][batch]
        values = values[batch]
        data[f"pe_{self.name}"] = (vectors * values.sqrt()).float()
        data[f"pe_{self.name}_values"] = values.float()
        data[f"pe_{self.name}_mask"] = values > 0
        return data


def _decompose(
    edges: Tensor, weight: Tensor, ptr: Tensor, batch: Tensor, k: int, alpha: float
) -> tuple[Tensor, Tensor]:
    """Left vectors [N, k] and values [G, k], zero where there are none: all values of a PageRank matrix are above 0."""
    sizes = ptr.diff()
    degree = weight.new_zeros(batch.numel()).index_add_(0, edges[0], weight)
    union = sort_union(edges, weight / degree[edges[0]], batch, ragged_arange(sizes, batch.numel()), sizes)
    sizes, isolated = sizes[union.group], (degree == 0)[union.row.argsort()]
    vectors, values = weight.new_zeros(batch.numel(), k), weight.new_zeros(sizes.numel(), k)
    empty = int(torch.searchsorted(sizes, 1))
    for first, last in size_buckets(union.ptr[empty:], sizes[empty:], _CELLS, growth=1.25):
        first, last = first + empty, last + empty
        rows = slice(int(union.ptr[first]), int(union.ptr[last]))
        matrix = union.blocks(first, last).mul_(alpha - 1)
        real = torch.arange(matrix.size(1), device=sizes.device) < sizes[first:last, None]
        stays = matrix.new_zeros(real.shape).masked_scatter_(real, isolated[rows].to(matrix))
        matrix.diagonal(dim1=1, dim2=2).add_(1 - (1 - alpha) * stays)
        # Padding is turned into zero rows, so that its singular values come last.
        rank = torch.linalg.solve(matrix, alpha * torch.diag_embed(real.to(matrix)))
        u, s, _ = torch.linalg.svd(rank)
        count = min(k, s.size(1))
        present = torch.arange(count, device=sizes.device) < sizes[first:last, None]
        values[first:last, :count] = s[:, :count] * present
        vectors[rows, :count] = (u[:, :, :count] * present[:, None])[real]
    return vectors[union.row], values[union.group.argsort()]
