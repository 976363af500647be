"""Functions of the graph Laplacian, entry by entry, on a disjoint union of graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._engine import engine
from gnnlab.graph._kernel_sketch import sketch_kernel
from gnnlab.graph._lapack import in_threads, single_threaded_blas
from gnnlab.graph._pseudo_inverse import places
from gnnlab.graph._symmetric import by_component, symmetric
from gnnlab.graph.buckets import SortedUnion, size_buckets
from gnnlab.ops import expand_ptr

__all__ = ["Kernel", "laplacian_kernel"]

Kernel = Callable[[Tensor], Tensor]
"""Eigenvalues of any shape [...] to the k values of non-negative functions, [..., k]."""

_CELLS, _GROWTH = {"cpu": 1 << 18, "cuda": 1 << 24}, {"cpu": 1.0, "cuda": 1.25}
"""Rows x width of a stack of dense matrices; LAPACK solves them one by one, so padding would be for nothing."""

_ALONE = 56
"""On the CPU, components of more nodes are decomposed one by one in several threads."""

_PAIR_CELLS = 1 << 21  # pairs x eigenvalues at a time
_NORMALIZATIONS = (None, "sym", "rw")


@torch.no_grad()
def laplacian_kernel(
    edge_index: Tensor,
    ptr: Tensor,
    kernel: Kernel,
    pairs: Tensor | None = None,
    normalization: str | None = None,
    edge_weight: Tensor | None = None,
    *,
    loop_weight: float = 0.0,
    trivial: bool = True,
    probes: int | None = None,
    seed: int = 0,
    dense_limit: int = 3000,
) -> Tensor:
    r"""Entries :math:`f(L)_{uv}` of non-negative functions f of the Laplacian, such as the heat kernel.

    .. math::
        f(L) = \sum_i f(\lambda_i) \, v_i v_i^\top, \qquad L = D - A, \quad
        L_{sym} = I - \tilde D^{-1/2} (A + w I) \tilde D^{-1/2}, \quad L_{rw} = I - \tilde D^{-1} (A + w I)

    with :math:`\tilde D = D + w I`. :math:`A` is the sum of the weights of all edges between two nodes, averaged over
    both directions, without self-loops. An isolated node has the eigenvalue 0, in every normalisation. Entries
    between components are zero.

    Components of up to ``dense_limit`` nodes are decomposed in float64, :math:`n^3` each. Larger ones are refused,
    unless ``probes`` q are given: with random signs z and Chebyshev polynomials g (error 1e-9) for the roots of f,

    .. math::
        \hat f_{uv} = \frac1q \sum_{i=1}^q (g(L) z_i)_u (g(L) z_i)_v, \qquad
        \mathrm{std} \le \sqrt{(f_{uu} f_{vv} + f_{uv}^2) / q},

    unbiased, and on the diagonal positive with a relative standard error of at most :math:`\sqrt{2/q}`. That is q
    times the degree of g, which grows with the root of the largest eigenvalue, sparse products. The signs are hashed
    from the graph and the seed, so a batch gives what its graphs give, but they follow the numbers of the nodes.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        kernel: Eigenvalues [...] to [..., k] values, at least 0 on the whole spectrum.
        pairs: [2, P] long; the diagonal by default.
        normalization: ``None``, ``"sym"`` or ``"rw"``.
        edge_weight: [E] non-negative; ones by default.
        loop_weight: w, weight of a self-loop given to every node; without effect on :math:`D - A`.
        trivial: Whether the zero eigenvalue of every component is among the :math:`\lambda_i`.
        probes: Random sign vectors for large components.
        seed: Of the signs.
        dense_limit: Largest component that is decomposed.

    Shapes:
        returns [N, k] or [P, k] float64

    Raises:
        ConfigError: unknown normalisation, or ``probes`` below 1.
        GraphError: negative weights, pairs outside the union, or tensors that do not describe a union.
        BudgetError: a component above ``dense_limit`` and no ``probes``, or a kernel that needs a polynomial of too
            high a degree.

    Example:
        >>> hexagon = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> heat = lambda values: torch.exp(-values)[..., None]
        >>> edges = torch.cat([hexagon, hexagon.flip(0)], 1)
        >>> round(laplacian_kernel(edges, torch.tensor([0, 6]), heat)[0].item(), 6)
        0.308941
    """
    if normalization not in _NORMALIZATIONS:
        raise ConfigError(f"unknown normalization {normalization!r}", hint="known: None, 'sym', 'rw'")
    if probes is not None and probes < 1:
        raise ConfigError(f"probes must be at least 1, got {probes}")
    batch = check_union(edge_index, ptr, edge_weight)
    nodes = torch.arange(batch.numel(), device=ptr.device)
    pairs = nodes.expand(2, -1) if pairs is None else check_pairs(pairs, batch.numel())
    edges, weight = symmetric(edge_index, edge_weight)
    degree = weight.new_zeros(batch.numel()).index_add_(0, edges[0], weight)
    total, scale = degree + loop_weight, torch.ones_like(degree)
    if normalization is not None:
        scale = torch.where(total > 0, total, 1.0).rsqrt()
    # Whatever is on the loops, an isolated node has an empty row: its degree counts without them.
    diagonal = scale.square() * degree
    component, union = by_component(edges, weight * scale[edges[0]] * scale[edges[1]], batch.numel())
    small = _small(union, dense_limit, probes)

    rows = union.row[pairs]
    joined = component[pairs[0]] == component[pairs[1]]
    is_small = rows[0] < union.ptr[small]
    out = weight.new_zeros(pairs.size(1), kernel(weight.new_zeros(1)).size(-1))
    chosen = (joined & is_small).nonzero().flatten()
    by_row = diagonal[union.row.argsort()]
    out[chosen] = _dense(replace(union, ptr=union.ptr[: small + 1]), by_row, kernel, rows[:, chosen])
    chosen = (joined & ~is_small).nonzero().flatten()
    if chosen.numel():
        out[chosen] = sketch_kernel(
            (edge_index, ptr, seed), union, int(union.ptr[small]), by_row, kernel, rows[:, chosen], probes
        )
    if not trivial:
        out -= _trivial(scale.reciprocal(), component, pairs, joined) * kernel(weight.new_zeros(1))
    if normalization == "rw":
        out *= (scale[pairs[0]] / scale[pairs[1]])[:, None]
    return out


def _trivial(constant: Tensor, component: Tensor, pairs: Tensor, joined: Tensor) -> Tensor:
    """[P, 1] entries of the projection on the null space, which ``constant`` spans on every component."""
    norm = torch.zeros_like(constant).index_add_(0, component, constant.square())
    return (joined * constant[pairs[0]] * constant[pairs[1]] / norm[component[pairs[0]]])[:, None]


def _small(union: SortedUnion, dense_limit: int, probes: int | None) -> int:
    """Number of components that are decomposed."""
    sizes = union.ptr.diff()
    small = int((sizes <= dense_limit).sum())
    if small < sizes.numel() and probes is None:
        n = int(sizes[-1])
        raise BudgetError(
            f"a component of {n:,} nodes, above dense_limit={dense_limit:,}, takes about {10 * n**3:.0e} multiply-adds "
            f"and {24 * n**2 / 2**30:.1f} GiB to decompose",
            hint="estimate with random probes (probes=128, relative standard error 12 %), or raise dense_limit",
        )
    return small


def _dense(union: SortedUnion, diagonal: Tensor, kernel: Kernel, rows: Tensor) -> Tensor:
    """[P, k] for pairs of rows [2, P] of the same component, by an eigendecomposition of every component."""
    order = rows[0].argsort()
    rows = rows[:, order].contiguous()
    out = diagonal.new_zeros(order.numel(), kernel(diagonal.new_zeros(1)).size(-1))
    small = engine(diagonal.device, _stacked, "gnnlab.graph._eigen_numba:entries")
    parts = [(small, _ALONE), (_one_by_one, None)] if diagonal.device.type == "cpu" else [(_stacked, None)]
    sizes, first = union.ptr.diff(), 0
    for solve, largest in parts:
        last = sizes.numel() if largest is None else int((sizes <= largest).sum())
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        low, high = torch.searchsorted(rows[0], torch.tensor([begin, end], device=rows.device)).tolist()
        if low < high:
            out[order[low:high]] = solve(
                _range(union, first, last), diagonal[begin:end], kernel, rows[:, low:high] - begin
            )
        first = last
    return out


def _range(union: SortedUnion, first: int, last: int) -> SortedUnion:
    """Components ``[first, last)`` as a union of their own, as far as their edges go."""
    begin, end = int(union.ptr[first]), int(union.ptr[last])
    pointers, column, weight = union.edges(begin, end)
    return replace(union, ptr=union.ptr[first : last + 1] - begin, edge_ptr=pointers, column=column, weight=weight)


def _stacked(union: SortedUnion, diagonal: Tensor, kernel: Kernel, rows: Tensor) -> Tensor:
    """[P, k] for rows in order: components of similar size in a stack."""
    sizes, device = union.ptr.diff(), diagonal.device.type
    out = diagonal.new_zeros(rows.size(1), kernel(diagonal.new_zeros(1)).size(-1))
    cells, growth = _CELLS.get(device, _CELLS["cpu"]), _GROWTH.get(device, _GROWTH["cpu"])
    for first, last in size_buckets(union.ptr, sizes, cells, growth):
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        low, high = torch.searchsorted(rows[0].contiguous(), torch.tensor([begin, end], device=rows.device)).tolist()
        if low == high:
            continue
        block, place = places(union, first, last)
        matrix = union.blocks(first, last).neg_()
        matrix[block, place, place] = diagonal[begin:end]
        # Padding is a component of its own: it takes no part in the rows that are read.
        with single_threaded_blas():
            values, vectors = torch.linalg.eigh(matrix)
        entries = _full if high - low > matrix.numel() // 8 else _single
        source, target = rows[:, low:high] - begin
        function = kernel(values.clamp_(min=0))
        out[low:high] = entries(vectors, function, block[source], place[source], place[target])
    return out


def _one_by_one(union: SortedUnion, diagonal: Tensor, kernel: Kernel, rows: Tensor) -> Tensor:
    """[P, k] for rows in order: large components, each in a thread of its own."""
    out = diagonal.new_zeros(rows.size(1), kernel(diagonal.new_zeros(1)).size(-1))
    ptr, bounds = union.ptr.tolist(), torch.searchsorted(rows[0].contiguous(), union.ptr).tolist()
    owner, cells = expand_ptr(union.edge_ptr, union.column.numel()), union.edge_ptr[union.ptr].tolist()

    @torch.no_grad()  # which holds for a thread
    def solve(place: int) -> None:
        low, high, begin, end = *bounds[place : place + 2], *ptr[place : place + 2]
        if low == high:
            return
        n, own = end - begin, slice(*cells[place : place + 2])
        matrix = diagonal[begin:end].diag()
        cell = (owner[own] - begin) * n + (union.column[own] - begin)
        matrix.view(-1).index_add_(0, cell, union.weight[own], alpha=-1)
        values, vectors = torch.linalg.eigh(matrix)
        function = kernel(values.clamp_(min=0))
        source, target = rows[:, low:high] - begin
        if high - low > n * n // 8:
            out[low:high] = _full(vectors[None], function[None], torch.zeros_like(source), source, target)
            return
        by_node, step = vectors.contiguous(), max(1, _PAIR_CELLS // n)
        for start in range(0, high - low, step):
            some = slice(start, min(start + step, high - low))
            products = by_node.index_select(0, source[some]).mul_(by_node.index_select(0, target[some]))
            out[low:high][some] = products @ function

    in_threads(solve, len(ptr) - 1)
    return out


def _full(vectors: Tensor, function: Tensor, owner: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """[P, k] entries, read off whole matrices, one function at a time: each is as large as the eigenvectors."""
    width = vectors.size(-1)
    cell = (owner * width + source) * width + target
    return torch.stack([(vectors * values[:, None] @ vectors.mT).view(-1)[cell] for values in function.unbind(-1)], 1)


def _single(vectors: Tensor, function: Tensor, owner: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """[P, k] entries, each from its two rows of the eigenvectors; pairs by increasing owner."""
    step = max(1, _PAIR_CELLS // vectors.size(-1))
    parts = []
    for block, start, end in zip(owner.split(step), source.split(step), target.split(step), strict=True):
        first = int(block[0])
        products = vectors[block, start] * vectors[block, end]
        parts.append(_contract(products, function[first : int(block[-1]) + 1], block - first))
    return torch.cat(parts)


def _contract(products: Tensor, function: Tensor, owner: Tensor) -> Tensor:
    """Row p of ``products`` [P, n] times the matrix ``owner[p]`` (non-decreasing) of ``function`` [B, n, k]."""
    counts = torch.bincount(owner, minlength=len(function))
    longest = int(counts.max())
    place = torch.arange(owner.numel(), device=owner.device) - (counts.cumsum(0) - counts)[owner]
    padded = products.new_zeros(len(function), longest, products.size(1))
    padded[owner, place] = products
    return (padded @ function)[owner, place]
