"""Small connected graphs to look for in large ones: their names, symmetries and an order to place their vertices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import combinations, pairwise, permutations
from typing import NamedTuple

from gnnlab.errors import ConfigError, nearest

__all__ = ["LARGEST", "Pattern", "PatternLike", "Placement", "matching_order", "pattern_of"]

LARGEST = 8
"""Most vertices of a pattern: the group of symmetries is found by trying all permutations."""

PatternLike = str | Sequence[Sequence[int]]
"""A name (``"cycle-5"``), a list of edges, or one as text (``"0-1 1-2 2-0"``)."""


class Pattern(NamedTuple):
    """A connected simple graph of vertices 0 to ``size`` - 1.

    Args:
        size: Number of vertices.
        edges: Every edge once, in increasing order.
    """

    size: int
    edges: tuple[tuple[int, int], ...]

    @property
    def neighbours(self) -> tuple[frozenset[int], ...]:
        return _neighbours(self)

    @property
    def automorphisms(self) -> tuple[tuple[int, ...], ...]:
        """Every permutation of the vertices that keeps the edges; the identity comes first."""
        return _automorphisms(self)

    def symmetries(self, fixed: Iterable[int] = ()) -> int:
        """Number of automorphisms that leave the vertices ``fixed`` where they are."""
        fixed = tuple(fixed)
        return sum(all(group[v] == v for v in fixed) for group in self.automorphisms)

    @property
    def node_orbits(self) -> tuple[int, ...]:
        """Orbit of every vertex, numbered by their first vertex."""
        return _classes([[group[v] for group in self.automorphisms] for v in range(self.size)], range(self.size))

    @property
    def arcs(self) -> tuple[tuple[int, int], ...]:
        """Every edge in both directions."""
        return tuple(sorted((*self.edges, *((b, a) for a, b in self.edges))))

    def arc_orbits(self, directed: bool) -> tuple[int, ...]:
        """Orbit of every arc, numbered by their first arc; without ``directed``, both directions share one."""
        images = []
        for a, b in self.arcs:
            found = [(group[a], group[b]) for group in self.automorphisms]
            images.append(found if directed else [*found, *((d, c) for c, d in found)])
        return _classes(images, self.arcs)


def pattern_of(spec: PatternLike, where: str | None = None) -> Pattern:
    """The pattern of a name or an edge list.

    Known names are ``cycle-k`` and ``clique-k`` (k vertices), ``path-k`` (k vertices), ``star-k`` (k leaves),
    ``chordal-square`` (a square with one diagonal), ``paw`` (a triangle and an edge at one corner), ``house``
    (a square and a triangle on one side) and ``bowtie`` (two triangles at one vertex).

    Raises:
        ConfigError: unknown name, self-loops, more than 8 vertices or gaps in their numbering, disconnected.

    Example:
        >>> pattern_of("path-3")
        Pattern(size=3, edges=((0, 1), (1, 2)))
        >>> pattern_of("0-1 1-2 2-0") == pattern_of([(0, 1), (1, 2), (2, 0)]) == pattern_of("cycle-3")
        True
    """
    pairs = _named(spec, where) if isinstance(spec, str) else spec
    edges = tuple(sorted({(min(a, b), max(a, b)) for a, b in pairs}))
    vertices = sorted({v for edge in edges for v in edge})
    size = len(vertices)
    if not edges or any(a == b for a, b in edges) or vertices != list(range(size)):
        raise ConfigError(
            f"pattern {spec!r} is no simple graph of vertices 0 to {max(size - 1, 0)} without isolated ones",
            where=where,
        )
    if size > LARGEST:
        raise ConfigError(f"pattern {spec!r} has {size} vertices", where=where, hint=f"up to {LARGEST} are supported")
    pattern = Pattern(size, edges)
    if len(_reached(pattern)) < size:
        raise ConfigError(f"pattern {spec!r} is not connected", where=where, hint="count its components one by one")
    return pattern


class Placement(NamedTuple):
    """How the vertices of a pattern are placed one after the other.

    Args:
        order: Vertex placed at every step.
        adjacent: For every step, the earlier steps whose vertices are its neighbours.
        apart: For every step, the earlier steps whose vertices are not.
        below: For every step, the earlier steps whose nodes must have a smaller number, so that every
            copy of the pattern is found once (Grochow and Kellis, RECOMB 2007).
    """

    order: tuple[int, ...]
    adjacent: tuple[tuple[int, ...], ...]
    apart: tuple[tuple[int, ...], ...]
    below: tuple[tuple[int, ...], ...]


@lru_cache(maxsize=256)
def matching_order(pattern: Pattern) -> Placement:
    """Vertices with most placed neighbours first, and conditions that leave one match per copy.

    Example:
        >>> matching_order(pattern_of("cycle-3"))
        Placement(order=(0, 1, 2), adjacent=((), (0,), (0, 1)), apart=((), (), ()), below=((), (0,), (0, 1)))
    """
    near = pattern.neighbours
    order: list[int] = []
    while len(order) < pattern.size:
        rest = [v for v in range(pattern.size) if v not in order]
        order.append(max(rest, key=lambda v: (len(near[v] & set(order)), len(near[v]), -v)))
    below: dict[int, list[int]] = {v: [] for v in order}
    group = pattern.automorphisms
    for vertex in order:
        # Of the nodes an orbit may be mapped to, the first vertex takes the smallest; what fixes it remains.
        for image in sorted({g[vertex] for g in group} - {vertex}):
            below[image].append(vertex)
        group = tuple(g for g in group if g[vertex] == vertex)
    step = {vertex: place for place, vertex in enumerate(order)}
    earlier = [order[:place] for place in range(pattern.size)]
    return Placement(
        tuple(order),
        tuple(tuple(step[u] for u in before if u in near[v]) for v, before in zip(order, earlier, strict=True)),
        tuple(tuple(step[u] for u in before if u not in near[v]) for v, before in zip(order, earlier, strict=True)),
        tuple(tuple(step[u] for u in below[v]) for v in order),
    )


@lru_cache(maxsize=1024)
def _neighbours(pattern: Pattern) -> tuple[frozenset[int], ...]:
    both = [*pattern.edges, *((b, a) for a, b in pattern.edges)]
    return tuple(frozenset(b for a, b in both if a == v) for v in range(pattern.size))


@lru_cache(maxsize=1024)
def _automorphisms(pattern: Pattern) -> tuple[tuple[int, ...], ...]:
    edges = set(pattern.edges)
    return tuple(
        image
        for image in permutations(range(pattern.size))
        if all((min(image[a], image[b]), max(image[a], image[b])) in edges for a, b in pattern.edges)
    )


def _classes(images: Sequence[Iterable], items: Iterable) -> tuple[int, ...]:
    """Class of every item, given what it can be mapped to."""
    first = [min(found) for found in images]
    number = {
        item: place for place, item in enumerate(item for item, low in zip(items, first, strict=True) if item == low)
    }
    return tuple(number[low] for low in first)


def _reached(pattern: Pattern) -> set[int]:
    reached, frontier = {0}, {0}
    while frontier:
        frontier = {u for v in frontier for u in pattern.neighbours[v]} - reached
        reached |= frontier
    return reached


def _cycle(k: int) -> list[tuple[int, int]]:
    return [*pairwise(range(k)), (k - 1, 0)]


_FAMILIES: dict[str, tuple[int, Callable[[int], Iterable[tuple[int, int]]]]] = {
    "cycle": (3, _cycle),
    "path": (2, lambda k: pairwise(range(k))),
    "star": (1, lambda k: ((0, leaf) for leaf in range(1, k + 1))),
    "clique": (2, lambda k: combinations(range(k), 2)),
}
"""Smallest k and edges of the families ``<name>-<k>``."""

_NAMES = {
    "chordal-square": ((0, 1), (1, 2), (2, 3), (3, 0), (0, 2)),
    "paw": ((0, 1), (1, 2), (2, 0), (0, 3)),
    "house": ((0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)),
    "bowtie": ((0, 1), (1, 2), (2, 0), (0, 3), (3, 4), (4, 0)),
}


def _named(spec: str, where: str | None) -> Iterable[tuple[int, int]]:
    if spec in _NAMES:
        return _NAMES[spec]
    family, _, number = spec.rpartition("-")
    if family in _FAMILIES and number.isdigit() and int(number) >= _FAMILIES[family][0]:
        return _FAMILIES[family][1](int(number))
    ends = [edge.split("-") for edge in spec.replace(",", " ").split()]
    if ends and all(len(edge) == 2 and all(end.isdigit() for end in edge) for edge in ends):
        return [(int(a), int(b)) for a, b in ends]
    known = [*_NAMES, *(f"{name}-{max(low, 3)}" for name, (low, _) in _FAMILIES.items())]
    raise ConfigError(f"unknown pattern {spec!r}", where=where, hint=f"{nearest(spec, known)}, or edges: '0-1 1-2 2-0'")
