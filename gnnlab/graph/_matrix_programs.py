"""Patterns as programs of matrix operations, and the two machines that run them: dense stacks and sparse tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._lookup import lookup, ranges
from gnnlab.graph.multigraph import Multigraph
from gnnlab.ops import ragged_arange

__all__ = ["Program", "SparseMatrix", "compile_patterns", "run_dense", "run_sparse"]

ADJACENCY = 0
"""Step 0 is the matrix itself."""


class Program(NamedTuple):
    """Steps ``(operation, operands)`` after the matrix itself, and the step that holds every pattern."""

    steps: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[int, ...]


class SparseMatrix(NamedTuple):
    """Entries of a ``size`` x ``size`` matrix: sorted ``key`` [nnz] = row size + column, and ``value`` [nnz]."""

    key: Tensor
    value: Tensor
    size: int

    def rows(self) -> Tensor:
        """[size + 1] long, first entry of every row."""
        starts = torch.arange(self.size + 1, device=self.key.device) * self.size
        return torch.searchsorted(self.key, starts)


@lru_cache(maxsize=16)
def compile_patterns(patterns: tuple[Multigraph, ...]) -> Program:
    """One program for all ``patterns`` on symmetric matrices of zeros and ones; steps they share are done once.

    A pattern has two different marks, and with an edge between them it is 2-connected of tree-width 2. Then there is
    always an unmarked vertex between two others: their edges are replaced by one, the product of both matrices.
    """
    steps: dict[tuple[str, tuple[int, ...]], int] = {}

    def step(operation: str, *operands: int) -> int:
        if operation == "transpose" and operands[0] in symmetric:
            return operands[0]
        if operation == "times":
            operands = tuple(sorted(operands))
        place = steps.setdefault((operation, operands), len(steps) + 1)
        if (operation == "times" and symmetric.issuperset(operands)) or (
            operation == "multiply" and operands[0] == operands[1] and operands[0] in symmetric
        ):
            symmetric.add(place)
        return place

    def oriented(edge: tuple[int, int], source: int) -> int:
        matrix = factors[edge][0]
        return matrix if edge[0] == source else step("transpose", matrix)

    symmetric, outputs = {ADJACENCY}, []
    for pattern in patterns:
        # Every factor is a matrix between two vertices, with the number of edges it stands for.
        factors = {(min(edge), max(edge)): (ADJACENCY, 1) for edge in pattern.edges}
        unmarked = set(range(pattern.vertices)) - set(pattern.marked)
        while unmarked:
            vertex = min(unmarked, key=lambda v: _price(v, factors, pattern.marked))
            first, second = (edge for edge in factors if vertex in edge)
            a, b = sorted((sum(first) - vertex, sum(second) - vertex))
            if a not in first:
                first, second = second, first
            weight = factors[first][1] + factors[second][1]
            matrix = step("multiply", oriented(first, a), oriented(second, vertex))
            del factors[first], factors[second]
            if (a, b) in factors:
                matrix = step("times", factors[a, b][0], matrix)
                weight += factors[a, b][1]
            factors[a, b] = (matrix, weight)
            unmarked.remove(vertex)
        (edge,) = factors
        outputs.append(oriented(edge, pattern.marked[0]))
    return Program(tuple(steps), tuple(outputs))


def _price(vertex: int, factors: dict[tuple[int, int], tuple[int, int]], marked: tuple[int, ...]) -> tuple:
    """Neighbours, then the edges the product would stand for, ends first: A^5 becomes A^2 A^3, and not A^4 A."""
    edges = [edge for edge in factors if vertex in edge]
    touching = any(mark in edge for edge in edges for mark in marked)
    return len(edges), sum(factors[edge][1] for edge in edges), not touching, vertex


def run_dense(program: Program, matrices: Tensor, outputs: Callable[[int, Tensor], None]) -> None:
    """Run on a stack of matrices [B, n, n]; ``outputs`` is called with the place of a pattern and its values."""
    state = [matrices]
    for operation, operands in program.steps:
        state.append(_DENSE[operation](*(state[place] for place in operands)))
    for place, step in enumerate(program.outputs):
        outputs(place, state[step])


_DENSE: dict[str, Callable[..., Tensor]] = {
    "transpose": lambda matrix: matrix.mT,
    "times": torch.mul,
    "multiply": torch.matmul,
}


def run_sparse(program: Program, matrix: SparseMatrix, pairs: Tensor, max_terms: int) -> Tensor:
    """[P, outputs] float64, the values at ``pairs`` [2, P] only; a last product is taken nowhere else.

    Raises:
        BudgetError: a product has more than ``max_terms`` terms.
    """
    machine = _SparseMachine(program, matrix, max_terms)
    values = [machine.sample(step, pairs) for step in program.outputs]
    return torch.stack(values, 1) if values else matrix.value.new_zeros(pairs.size(1), 0)


class _SparseMachine:
    """Computes what is asked for, and keeps whole matrices."""

    def __init__(self, program: Program, matrix: SparseMatrix, max_terms: int) -> None:
        self.program, self.max_terms = program, max_terms
        self.known = {ADJACENCY: matrix}

    def whole(self, step: int) -> SparseMatrix:
        if step not in self.known:
            operation, operands = self.program.steps[step - 1]
            self.known[step] = _WHOLE[operation](self, *(self.whole(place) for place in operands))
        return self.known[step]

    def sample(self, step: int, pairs: Tensor) -> Tensor:
        if step in self.known:
            return _entries(self.known[step], pairs)
        operation, operands = self.program.steps[step - 1]
        return _SAMPLE[operation](self, pairs, *operands)

    def transposed(self, matrix: SparseMatrix) -> SparseMatrix:
        key, order = (matrix.key % matrix.size * matrix.size + matrix.key // matrix.size).sort()
        return SparseMatrix(key, matrix.value[order], matrix.size)

    def times(self, first: SparseMatrix, second: SparseMatrix) -> SparseMatrix:
        found, place = lookup(second.key, first.key)
        return SparseMatrix(first.key[found], first.value[found] * second.value[place[found]], first.size)

    def multiply(self, first: SparseMatrix, second: SparseMatrix) -> SparseMatrix:
        size, start = first.size, second.rows()
        row, inner = first.key // size, first.key % size
        terms = start.diff()[inner]
        self.check(int(terms.sum()))
        # Ranges end between rows of the first matrix, so that their results lie one after the other.
        per_row = torch.zeros(size, dtype=torch.long, device=row.device).index_add_(0, row, terms)
        entry = first.rows()
        keys, values = [first.key[:0]], [first.value[:0]]
        for begin, end in ranges(per_row):
            span = slice(*entry[[begin, end]].tolist())
            left = torch.repeat_interleave(terms[span]) + span.start
            right = start[inner[left]] + ragged_arange(terms[span], left.numel())
            key, place = (row[left] * size + second.key[right] % size).unique(return_inverse=True)
            product = first.value[left] * second.value[right]
            keys.append(key)
            values.append(torch.zeros_like(key, dtype=product.dtype).index_add_(0, place, product))
        return SparseMatrix(torch.cat(keys), torch.cat(values), size)

    def sample_transposed(self, pairs: Tensor, step: int) -> Tensor:
        return self.sample(step, pairs.flip(0))

    def sample_times(self, pairs: Tensor, first: int, second: int) -> Tensor:
        return self.sample(first, pairs) * self.sample(second, pairs)

    def sample_product(self, pairs: Tensor, first: int, second: int) -> Tensor:
        left, right = self.whole(first), self.transposed(self.whole(second))
        # Walk along the row with fewer entries overall and ask the other one, row by row too: that stays in cache.
        if left.key.numel() > right.key.numel():
            left, right, pairs = right, left, pairs.flip(0)
        start = left.rows()
        terms = start.diff()[pairs[0]]
        self.check(int(terms.sum()))
        total = left.value.new_zeros(pairs.size(1))
        for begin, end in ranges(terms):
            pair = torch.repeat_interleave(terms[begin:end]) + begin
            entry = start[pairs[0, pair]] + ragged_arange(terms[begin:end], pair.numel())
            found, place = lookup(right.key, pairs[1, pair] * left.size + left.key[entry] % left.size)
            total.index_add_(0, pair[found], left.value[entry[found]] * right.value[place[found]])
        return total

    def check(self, terms: int) -> None:
        if terms > self.max_terms:
            raise BudgetError(
                f"a product of sparse matrices has {terms:,} terms, more than max_terms={self.max_terms:,}",
                hint="lower the degree, or raise max_terms",
            )


_WHOLE = {"transpose": _SparseMachine.transposed, "times": _SparseMachine.times, "multiply": _SparseMachine.multiply}

_SAMPLE = {
    "transpose": _SparseMachine.sample_transposed,
    "times": _SparseMachine.sample_times,
    "multiply": _SparseMachine.sample_product,
}


def _entries(matrix: SparseMatrix, pairs: Tensor) -> Tensor:
    if matrix.key.numel() == 0:
        return matrix.value.new_zeros(pairs.size(1))
    found, place = lookup(matrix.key, pairs[0] * matrix.size + pairs[1])
    return matrix.value[place].masked_fill(~found, 0)
