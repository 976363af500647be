"""Equivariant polynomials of matrices: the general contraction, and features of graphs."""

from __future__ import annotations

import string

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._lookup import Neighbours, common_neighbours, induced_degrees, neighbours, ranges
from gnnlab.graph._matrix_programs import Program, SparseMatrix, compile_patterns, run_dense, run_sparse
from gnnlab.graph.buckets import SortedUnion, size_buckets, sort_union
from gnnlab.graph.multigraph import Multigraph, canonical, cyclic_patterns
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import expand_ptr

__all__ = ["equivariant_polynomial", "polynomial_entries"]

_DENSE = 512
"""Graphs of more nodes are sparse matrices."""

_CELLS = 1 << 20
"""Cells of a stack of dense matrices: 8 MB, and a program keeps about twenty of them."""

_K4 = canonical(Multigraph(4, ((0, 2), (0, 3), (1, 2), (1, 3), (2, 3)), (0, 1)), directed=False)
"""The one pattern of up to six edges that matrix products cannot compute (tree-width 3), its marked edge left out."""

MAX_DEGREE = 6


@torch.no_grad()
def equivariant_polynomial(pattern: Multigraph, matrices: Tensor, *, max_entries: int = 2**28) -> Tensor:
    r"""The basis polynomial of a multigraph H, at any matrices (Puny et al., ICML 2023, arXiv 2302.11556).

    .. math::
        P_H(X)_{i_1 \dots i_m} = \sum_{\varphi} \prod_{(r, s) \in E(H)} X_{\varphi(r) \varphi(s)}

    where the sum is over all maps of the vertices to :math:`1, \dots, n`, not only the injective ones, that send the
    marked vertices to :math:`i_1, \dots, i_m`: for an adjacency matrix it counts homomorphisms, not subgraphs. Vertices
    are summed out one by one, always one with the fewest neighbours; that costs :math:`O(n^{w + 1})` time and
    :math:`O(n^w)` memory per matrix for an order of width w (1 for trees, 2 for cycles, 3 for K4).

    Args:
        pattern: The multigraph, see :func:`gnnlab.graph.multigraphs`.
        matrices: Any numbers; integers give exact integers.
        max_entries: Largest intermediate tensor to allocate.

    Shapes:
        [..., n, n] -> [...] + [n] for every mark

    Raises:
        GraphError: not square matrices.
        BudgetError: an intermediate tensor is too large.

    Example:
        >>> cherry = Multigraph(3, ((0, 1), (1, 2)), marked=(0, 2))
        >>> equivariant_polynomial(cherry, torch.tensor([[0, 1], [1, 0]])).tolist()
        [[1, 0], [0, 1]]
    """
    if matrices.dim() < 2 or matrices.size(-1) != matrices.size(-2):
        raise GraphError(f"matrices must have the shape [..., n, n], got {list(matrices.shape)}")
    nodes, stack = matrices.size(-1), matrices.shape[:-2].numel()
    factors = [(edge, matrices) for edge in pattern.edges]
    ones = matrices.new_ones(nodes)
    # A second mark on the same vertex is a vertex of its own that an identity matrix ties to it.
    marks = list(pattern.marked)
    for place, vertex in enumerate(marks):
        factors.append(((vertex,), ones))
        if vertex in marks[:place]:
            marks[place] = pattern.vertices + place
            factors.append(((vertex, marks[place]), torch.eye(nodes, dtype=matrices.dtype, device=matrices.device)))
    remaining = set(range(pattern.vertices)) - set(marks)
    factors += [((vertex,), ones) for vertex in remaining]
    while remaining:
        vertex = min(remaining, key=lambda v: (len(_around(v, factors)), v))
        touching = [factor for factor in factors if vertex in factor[0]]
        around = sorted(_around(vertex, factors))
        if stack * nodes ** len(around) > max_entries:
            raise BudgetError(
                f"an intermediate tensor of {stack:,} x {nodes:,}^{len(around)} entries is larger than "
                f"max_entries={max_entries:,}",
                hint="choose a pattern of lower tree-width, smaller graphs or fewer at a time, or raise max_entries",
            )
        factors = [factor for factor in factors if vertex not in factor[0]]
        factors.append((tuple(around), _contract(touching, around)))
        remaining.remove(vertex)
    return _contract([((), matrices.new_ones(matrices.shape[:-2])), *factors], marks)


@torch.no_grad()
def polynomial_entries(
    edge_index: Tensor, ptr: Tensor, pairs: Tensor, degree: int = MAX_DEGREE, *, max_terms: int = 2 * 10**8
) -> Tensor:
    r"""Entries :math:`P_H(A)_{uv}` at ``pairs`` for the patterns H of :func:`gnnlab.graph.cyclic_patterns`.

    These are the homomorphisms of every 2-connected simple graph of at most ``degree`` edges that send a marked
    edge to (u, v), which itself need not be there; one column for every orbit of ordered edges (1, 2, 6 and 16
    columns for degrees 3 to 6). Graphs are taken as simple and undirected.

    Graphs of up to 512 nodes are stacks of dense matrices, 14 products of :math:`O(n^3)` at degree 6; larger ones are
    sparse and the last product is taken at ``pairs`` only. K4 is counted in the common neighbours of a pair, never in
    :math:`n^4`. All in float64, exact up to :math:`2^{53}`.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        pairs: [2, P] long; between graphs the entries are 0.
        degree: 3 to 6.
        max_terms: Most terms of a sparse product, and most candidates for common neighbours.

    Shapes:
        returns [P, columns] float64

    Raises:
        ConfigError: another degree.
        GraphError: pairs outside the union, or tensors that do not describe a union.
        BudgetError: more than ``max_terms``.

    Example:
        >>> square = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> polynomial_entries(square, torch.tensor([0, 4]), torch.tensor([[0, 0], [1, 2]]), degree=4).tolist()
        [[0.0, 4.0], [2.0, 0.0]]
    """
    if not 3 <= degree <= MAX_DEGREE:
        raise ConfigError(f"degree must be 3 to {MAX_DEGREE}, got {degree}")
    batch = check_union(edge_index, ptr)
    check_pairs(pairs, batch.numel())
    patterns, _ = cyclic_patterns(degree)
    values = torch.zeros(pairs.size(1), len(patterns), dtype=torch.float64, device=ptr.device)
    inside = (batch[pairs[0]] == batch[pairs[1]]).nonzero().flatten()
    if inside.numel() == 0:
        return values
    width = batch.numel()
    key, where = (pairs[0, inside] * width + pairs[1, inside]).unique(return_inverse=True)
    wanted = torch.stack([key // width, key % width])
    edges = undirected_edges(edge_index, ptr, symmetrise=True)
    found = torch.zeros(key.numel(), len(patterns), dtype=torch.float64, device=ptr.device)
    products = [column for column, pattern in enumerate(patterns) if pattern != _K4]
    program = compile_patterns(tuple(patterns[column] for column in products))
    found[:, products] = _by_products(program, edges, ptr, batch, wanted, max_terms)
    if _K4 in patterns:
        found[:, patterns.index(_K4)] = _four_cliques(wanted, neighbours(edges, width), max_terms)
    values[inside] = found[where]
    return values


def _by_products(program: Program, edges: Tensor, ptr: Tensor, batch: Tensor, pairs: Tensor, max_terms: int) -> Tensor:
    both = torch.cat([edges, edges.flip(0)], 1)
    sizes = ptr.diff()
    position = torch.arange(batch.numel(), device=ptr.device) - ptr[batch]
    union = sort_union(both, torch.ones(both.size(1), dtype=torch.float64, device=ptr.device), batch, position, sizes)
    values = union.weight.new_zeros(pairs.size(1), len(program.outputs))
    row, order = union.row[pairs[0]].sort()
    pairs = torch.stack([row, union.row[pairs[1, order]]])
    small = int((sizes <= _DENSE).sum())
    widths = sizes[union.group]
    for first, last in size_buckets(union.ptr[: small + 1], widths[:small], _CELLS, growth=1.125):
        _dense(program, union, first, last, pairs, order, values)
    begin = int(union.ptr[small])
    if begin < batch.numel():
        low = int(torch.searchsorted(row, begin))
        pointers, column, weight = union.edges(begin, batch.numel())
        size = batch.numel() - begin
        key, sorting = (expand_ptr(pointers, column.numel()) * size + column).sort()
        matrix = SparseMatrix(key, weight[sorting], size)
        values[order[low:]] = run_sparse(program, matrix, pairs[:, low:] - begin, max_terms)
    return values


def _dense(
    program: Program, union: SortedUnion, first: int, last: int, pairs: Tensor, order: Tensor, values: Tensor
) -> None:
    """Write the values of the pairs in the graphs ``[first, last)`` of the sorted union."""
    bounds = union.ptr[[first, last]]
    low, high = torch.searchsorted(pairs[0].contiguous(), bounds).tolist()
    if low == high:
        return
    matrices = union.blocks(first, last)
    width = matrices.size(-1)
    starts = union.ptr[first : last + 1]
    source, target = pairs[:, low:high]
    graph = torch.searchsorted(starts, source, right=True) - 1
    cell = (graph * width + source - starts[graph]) * width + target - starts[graph]
    rows = order[low:high]

    def write(column: int, matrix: Tensor) -> None:
        values[rows, column] = matrix.reshape(-1)[cell]

    run_dense(program, matrices, write)


def _four_cliques(pairs: Tensor, graph: Neighbours, max_terms: int) -> Tensor:
    """[P] float64, ordered pairs of adjacent common neighbours of every pair."""
    unordered, where = pairs.sort(0).values.unique(dim=1, return_inverse=True)
    cost = graph.pointers.diff()[unordered].amin(0)
    candidates = int(cost.sum())
    if candidates > max_terms:
        raise BudgetError(
            f"{unordered.size(1):,} pairs have {candidates:,} candidates for common neighbours, more than "
            f"max_terms={max_terms:,}",
            hint="encode pairs='edges', lower the degree to 5, or raise max_terms",
        )
    counts = [cost.new_empty(0, dtype=torch.float64)]
    for begin, end in ranges(cost):
        size, node = common_neighbours(unordered[:, begin:end], graph)
        degree = induced_degrees(size, node, torch.zeros_like(node), 1, graph).flatten().double()
        owner = torch.repeat_interleave(size, output_size=node.numel())
        counts.append(degree.new_zeros(end - begin).index_add_(0, owner, degree))
    return torch.cat(counts)[where]


def _around(vertex: int, factors: list[tuple[tuple[int, ...], Tensor]]) -> set[int]:
    return {other for ends, _ in factors if vertex in ends for other in ends} - {vertex}


def _contract(factors: list[tuple[tuple[int, ...], Tensor]], kept: list[int]) -> Tensor:
    """Product of the factors, summed over every vertex but the ones ``kept``."""
    letter = string.ascii_letters
    inputs = ["..." + "".join(letter[vertex] for vertex in ends) for ends, _ in factors]
    output = "..." + "".join(letter[vertex] for vertex in kept)
    return torch.einsum(f"{','.join(inputs)}->{output}", *(tensor for _, tensor in factors))
