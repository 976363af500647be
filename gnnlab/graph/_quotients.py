"""The graphs a pattern becomes when vertices that are not adjacent are merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import permutations, product
from math import factorial, prod

from gnnlab.graph._pattern import Pattern

__all__ = ["Rooted", "images", "spasm"]

Rooted = tuple[Pattern, tuple[int, ...]]
"""A pattern and the vertices that are held fixed."""


@lru_cache(maxsize=1024)
def images(pattern: Pattern, roots: tuple[int, ...]) -> tuple[tuple[Rooted, int], ...]:
    """Every homomorphism is an injective one of a single image: the images, and how often each comes up."""
    found: Counter[Rooted] = Counter()
    for blocks in _partitions(pattern):
        found[_merged(pattern, roots, blocks)] += 1
    return tuple(found.items())


@lru_cache(maxsize=1024)
def spasm(pattern: Pattern, roots: tuple[int, ...]) -> tuple[tuple[Rooted, int], ...]:
    r"""Injective homomorphisms as a combination of homomorphisms of the images, by Möbius inversion.

    "Homomorphisms are a good basis for counting small subgraphs" (Curticapean, Dell and Marx, STOC 2017):
    the coefficient of a partition is :math:`\prod_B (-1)^{|B| - 1} (|B| - 1)!` over its blocks B.
    """
    found: Counter[Rooted] = Counter()
    for blocks in _partitions(pattern):
        sizes = Counter(blocks).values()
        found[_merged(pattern, roots, blocks)] += prod((-1) ** (n - 1) * factorial(n - 1) for n in sizes)
    return tuple((image, coefficient) for image, coefficient in found.items() if coefficient)


def _partitions(pattern: Pattern) -> Iterator[tuple[int, ...]]:
    """Block of every vertex, for every partition into blocks without edges; blocks are numbered as they appear."""

    def grow(blocks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        vertex = len(blocks)
        if vertex == pattern.size:
            yield blocks
            return
        taken = {blocks[u] for u in pattern.neighbours[vertex] if u < vertex}
        for block in range(max(blocks, default=-1) + 2):
            if block not in taken:
                yield from grow((*blocks, block))

    yield from grow(())


def _merged(pattern: Pattern, roots: tuple[int, ...], blocks: tuple[int, ...]) -> Rooted:
    edges = {(min(blocks[a], blocks[b]), max(blocks[a], blocks[b])) for a, b in pattern.edges}
    return _canonical(Pattern(max(blocks) + 1, tuple(sorted(edges))), tuple(blocks[root] for root in roots))


@lru_cache(maxsize=4096)
def _canonical(pattern: Pattern, roots: tuple[int, ...]) -> Rooted:
    """The same numbering for isomorphic rooted patterns: roots first, then by degree, then the smallest edge list."""
    classes: dict[tuple[int, ...], list[int]] = {}
    for vertex, near in enumerate(pattern.neighbours):
        place = roots.index(vertex) if vertex in roots else len(roots)
        around = sorted(len(pattern.neighbours[u]) for u in near)
        classes.setdefault((place, len(near), *around), []).append(vertex)
    ordered = [classes[key] for key in sorted(classes)]
    best: tuple[tuple[tuple[int, int], ...], tuple[int, ...]] | None = None
    for parts in product(*(permutations(members) for members in ordered)):
        number = {vertex: place for place, vertex in enumerate(v for part in parts for v in part)}
        edges = tuple(sorted((min(number[a], number[b]), max(number[a], number[b])) for a, b in pattern.edges))
        if best is None or edges < best[0]:
            best = edges, tuple(number[root] for root in roots)
    return Pattern(pattern.size, best[0]), best[1]
