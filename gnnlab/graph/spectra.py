"""Smallest eigenpairs of graph Laplacians, on a disjoint union of graphs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph._check import check_union
from gnnlab.graph._eigensolvers import nontrivial_pairs
from gnnlab.graph._signs import canonical_signs
from gnnlab.graph._symmetric import by_component, symmetric
from gnnlab.ops import expand_ptr, ragged_arange, segment_reduce

__all__ = ["LaplacianSpectrum", "laplacian_eigh"]


class LaplacianSpectrum(NamedTuple):
    """The k smallest eigenpairs of every graph.

    ``values`` [G, k] (increasing) and ``vectors`` [N, k] are float64 and zero where ``mask`` [G, k] is
    False, that is where a graph has fewer than k pairs. ``group`` [G, k] numbers the distinct eigenvalues
    of a graph from 0 (-1 at padding): vectors of one group are a basis of the same eigenspace, defined up
    to a rotation. ``canonical`` [G, k] is True where the graph alone determines the vector: a simple
    eigenvalue whose sign rule decided. ``gap`` [G] is the distance from the last pair to the next
    eigenvalue: infinite if there is none, zero (up to rounding) if k cuts an eigenspace; the returned
    subspace turns by at most ``|perturbation| / gap`` (Davis-Kahan). ``whole`` [G, k] is False at padding and for the
    vectors of an eigenspace that k cuts, which depend on the solver's choice of a basis.
    """

    values: Tensor
    vectors: Tensor
    mask: Tensor
    group: Tensor
    gap: Tensor
    canonical: Tensor
    whole: Tensor


@torch.no_grad()
def laplacian_eigh(
    edge_index: Tensor,
    ptr: Tensor,
    k: int,
    normalization: str | None = None,
    edge_weight: Tensor | None = None,
    *,
    trivial: bool = True,
    dense_limit: int = 1000,
) -> LaplacianSpectrum:
    r"""Smallest eigenpairs of the Laplacian of every graph, solved in float64, one component at a time.

    .. math::
        L = D - A, \qquad L_{sym} = D^{-1/2} L D^{-1/2}, \qquad L_{rw} = D^{-1} L

    :math:`A` is the sum of the weights of all edges between two nodes, averaged over both directions (so a
    directed graph is made symmetric), without self-loops. A graph with c components has c zero
    eigenvalues; an isolated node is a component. Every vector lives on one component, and the zero
    eigenvectors are exact: proportional to 1 on a component (to :math:`D^{1/2} 1` for ``"sym"``).
    Vectors have unit length. Signs follow the graph, not the solver: the entry of largest magnitude is
    positive; if two opposite ones tie, the sum of cubes is; if that vanishes too, the first of them.

    Small components are solved by a compiled loop (in stacks on a GPU, and without numba), larger ones one by one on
    several threads (LAPACK ``dsyevr``, only the wanted pairs), those above ``dense_limit`` nodes by LOBPCG,
    preconditioned by a sparse factorisation, above 5000 nodes by multigrid or (on expanders, where both would fill
    in) by the degrees. Where LOBPCG stops short of a residual of 1e-7 (relative to the mean degree), a component of
    up to ten times ``dense_limit`` nodes is solved as a dense matrix after all; in a larger one, pairs of a residual
    up to 1e-4 are taken as they are. Both come with a warning that states the residual.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        k: Pairs per graph, at least 1.
        normalization: ``None``, ``"sym"`` or ``"rw"``.
        edge_weight: [E] non-negative; ones by default. Edges of weight 0 count as absent.
        trivial: Whether the zero eigenpairs (one per component) are among the k.
        dense_limit: Largest component that is solved as a dense matrix.

    Shapes:
        returns :class:`LaplacianSpectrum` with rows for G graphs and N nodes, and k columns.

    Raises:
        ConfigError: unknown normalisation, or ``k`` below 1.
        GraphError: negative weights, or tensors that do not describe a union.
        GnnlabError: LOBPCG did not converge on a component that is too large for a dense matrix.

    Example:
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> spectrum = laplacian_eigh(square, torch.tensor([0, 4]), k=5)
        >>> spectrum.values.round(decimals=6).tolist(), spectrum.group.tolist()
        ([[0.0, 2.0, 2.0, 4.0, 0.0]], [[0, 1, 1, 2, -1]])
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}")
    if normalization not in _NORMALIZATIONS:
        raise ConfigError(f"unknown normalization {normalization!r}", hint="known: None, 'sym', 'rw'")
    batch = check_union(edge_index, ptr, edge_weight)
    edges, weight = symmetric(edge_index, edge_weight)
    degree = weight.new_zeros(batch.numel()).index_add_(0, edges[0], weight)
    scale = torch.ones_like(degree)
    if normalization is not None:
        scale = torch.where(degree > 0, degree, 1.0).rsqrt()

    component, union = by_component(edges, weight * scale[edges[0]] * scale[edges[1]], batch.numel())
    sizes = torch.bincount(component)

    by_row = union.row.argsort()
    constant = scale.reciprocal()[by_row]
    diagonal = (scale.square() * degree)[by_row]
    values, vectors = nontrivial_pairs(union, diagonal, constant, k if trivial else k + 1, dense_limit)
    if trivial:
        values, vectors = _prepend_trivial(values, vectors, constant, union.ptr)
    values, vectors = values[union.group.argsort()], vectors[union.row]
    graph = torch.empty_like(sizes).index_copy_(0, component, batch)
    values, vectors = _merge(values, vectors, graph, component, ptr.numel() - 1, k + 1)
    if normalization == "rw":
        vectors = vectors * scale[:, None]
        norm = segment_reduce(vectors.square(), ptr, "sum").sqrt()
        vectors = vectors / torch.where(norm > 0, norm, 1.0)[batch]
    bound = degree if normalization is None else torch.ones_like(degree)
    largest = segment_reduce(bound[:, None], ptr, "max").squeeze(1) + 1
    return _describe(values, vectors, batch, ptr, k, tolerance=1e-6 * largest)


_NORMALIZATIONS = (None, "sym", "rw")


def _prepend_trivial(values: Tensor, vectors: Tensor, constant: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    norm = segment_reduce(constant.square()[:, None], ptr, "sum").sqrt()
    unit = constant[:, None] / norm[expand_ptr(ptr, constant.numel())]
    return torch.cat([values.new_zeros(values.size(0), 1), values], 1), torch.cat([unit, vectors], 1)


def _merge(
    values: Tensor, vectors: Tensor, graph: Tensor, component: Tensor, num_graphs: int, k: int
) -> tuple[Tensor, Tensor]:
    """The k smallest pairs of every graph from those of its components; among equals, in their order."""
    count, width = values.shape
    flat = values.flatten()
    owner = graph.repeat_interleave(width)
    order = torch.argsort(flat, stable=True)
    order = order[torch.argsort(owner[order], stable=True)]
    counts = torch.bincount(owner, minlength=num_graphs)
    rank = torch.empty_like(order).index_copy_(0, order, ragged_arange(counts, order.numel()))
    rank = torch.where((rank < k) & flat.isfinite(), rank, k)
    merged = values.new_full((num_graphs, k + 1), torch.inf)
    merged[owner, rank] = flat
    spread = vectors.new_zeros(vectors.size(0), k + 1)
    spread.scatter_(1, rank.view(count, width)[component], vectors)
    return merged[:, :k], spread[:, :k]


def _describe(
    values: Tensor, vectors: Tensor, batch: Tensor, ptr: Tensor, k: int, tolerance: Tensor
) -> LaplacianSpectrum:
    """Cut the (k + 1)-th pair off, after it has told the gap; find multiplicities and signs."""
    mask = values.isfinite()
    step = values.diff(dim=1)
    step = step.masked_fill(step.isnan(), torch.inf)  # between two missing pairs
    apart = step > tolerance[:, None]
    group = torch.cat([torch.zeros_like(apart[:, :1]), apart], 1).cumsum(1)[:, :k]
    simple = apart & torch.cat([torch.ones_like(apart[:, :1]), apart[:, :-1]], 1)
    mask, gap = mask[:, :k], step[:, -1]
    values, vectors = values[:, :k].where(mask, 0), vectors[:, :k]
    whole = mask & (apart[:, -1:] | (group != group[:, -1:]))
    signs, decided = canonical_signs(vectors, batch, ptr)
    return LaplacianSpectrum(
        values=values,
        vectors=vectors * signs[batch],
        mask=mask,
        group=group.where(mask, -1),
        gap=gap,
        canonical=simple & decided & mask,
        whole=whole,
    )
