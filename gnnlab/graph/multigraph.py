"""Small multigraphs with marked vertices, up to isomorphism: what equivariant polynomials are indexed by."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import permutations, product
from typing import NamedTuple

from gnnlab.errors import BudgetError, ConfigError

__all__ = ["Multigraph", "canonical", "cyclic_patterns", "multigraphs"]

_MOST = 50_000
"""Multigraphs enumerated at the most (directed, two marks: degree 4 has 6,719)."""


class Multigraph(NamedTuple):
    """A multigraph on ``0 .. vertices - 1``: ``edges`` (source, target), and the ``marked`` vertices in order."""

    vertices: int
    edges: tuple[tuple[int, int], ...]
    marked: tuple[int, ...] = ()

    def without(self, edge: tuple[int, int]) -> Multigraph:
        """The same with one copy of ``edge``, in either direction, less."""
        edges = list(self.edges)
        edges.remove(edge if edge in edges else edge[::-1])
        return self._replace(edges=tuple(edges))


@lru_cache(maxsize=64)
def multigraphs(
    degree: int,
    outputs: int = 2,
    *,
    directed: bool = True,
    loops: bool = True,
    parallel: bool = True,
    connected: bool = False,
) -> tuple[Multigraph, ...]:
    r"""All multigraphs of ``degree`` edges with ``outputs`` marked vertices, one of every isomorphism class.

    They index a basis of the equivariant polynomials of that degree ("Equivariant Polynomials for Graph Neural
    Networks", Puny, Lim, Kiani, Maron, Lipman, ICML 2023, arXiv 2302.11556): two marks (that may coincide) for
    polynomials :math:`R^{n \times n} \to R^{n \times n}`, one for :math:`R^n`, none for :math:`R`. Isolated vertices
    without a mark only multiply by n and are left out.

    Args:
        degree: Number of edges, counted with multiplicity.
        outputs: Number of marks.
        directed: Whether the direction of an edge matters (it does not for symmetric matrices).
        loops: Whether edges from a vertex to itself are allowed (they vanish on a zero diagonal).
        parallel: Whether edges may repeat (which changes nothing on matrices of zeros and ones).
        connected: Leave out those of several components.

    Raises:
        ConfigError: a negative degree or number of outputs.
        BudgetError: there are too many to enumerate.

    Example:
        >>> [len(multigraphs(degree, outputs=2)) for degree in (0, 1)], len(multigraphs(1, outputs=0))
        ([2, 15], 2)
    """
    if degree < 0 or outputs < 0:
        raise ConfigError(f"degree and outputs must not be negative, got {degree} and {outputs}")
    found = {canonical(Multigraph(max(marks, default=-1) + 1, (), marks), directed) for marks in _partitions(outputs)}
    for edges in range(degree):
        larger = set()
        for graph in found:
            larger.update(canonical(more, directed) for more in _extensions(graph, directed, loops, parallel))
            _check(len(larger), edges + 1, outputs)
        found = larger
    return tuple(sorted(graph for graph in found if not connected or _parts(graph) <= 1))


@lru_cache(maxsize=8)
def cyclic_patterns(degree: int) -> tuple[tuple[Multigraph, ...], tuple[tuple[Multigraph, int], ...]]:
    """The patterns of at most ``degree`` edges that no tree or product of smaller patterns explains.

    These are the 2-connected simple graphs (cycles, cycles with chords, K4, K_{2,3}, ...): whatever hangs off a cut
    vertex, message passing computes from the parts.

    Shapes:
        returns the patterns with a marked edge (u, v), which is left out of ``edges``: one of every orbit of ordered
        edges; and the patterns with a marked vertex v, one of every orbit, each with the place of a pair pattern whose
        sum over the neighbours u of v it is.

    Example:
        >>> pairs, nodes = cyclic_patterns(4)
        >>> [len(pattern.edges) + 1 for pattern in pairs], [place for _, place in nodes]
        ([3, 4], [0, 1])
    """
    pairs: list[Multigraph] = []
    nodes: list[tuple[Multigraph, int]] = []
    for edges in range(3, degree + 1):
        for graph in multigraphs(edges, 0, directed=False, loops=False, parallel=False, connected=True):
            if not all(_parts(graph, without=vertex) <= 1 for vertex in range(graph.vertices)):
                continue
            seen = set()
            for u, v in sorted({*graph.edges, *(edge[::-1] for edge in graph.edges)}):
                pattern = canonical(graph.without((u, v))._replace(marked=(u, v)), directed=False)
                if pattern not in pairs:
                    pairs.append(pattern)
                orbit = canonical(graph._replace(marked=(u,)), directed=False)
                if orbit not in seen:
                    seen.add(orbit)
                    nodes.append((orbit, pairs.index(pattern)))
    return tuple(pairs), tuple(nodes)


def canonical(graph: Multigraph, directed: bool = True) -> Multigraph:
    """The same multigraph for all that are isomorphic, marks respected; component by component."""
    parts = []
    for members in _components(graph):
        edges = [edge for edge in graph.edges if edge[0] in members]
        marks = {v: tuple(i for i, m in enumerate(graph.marked) if m == v) for v in members}
        parts.append(min(_forms(edges, marks, directed)))
    marked, edges, first = [0] * len(graph.marked), [], 0
    for marks, form in sorted(parts):
        for vertex, places in enumerate(marks):
            for place in places:
                marked[place] = first + vertex
        edges += [(first + a, first + b) for a, b in form]
        first += len(marks)
    return Multigraph(graph.vertices, tuple(edges), tuple(marked))


def _forms(edges: list[tuple[int, int]], marks: dict[int, tuple[int, ...]], directed: bool) -> Iterator[tuple]:
    """Numberings of one component, the right one among them: those in the order of refined colours."""
    colour: dict[int, object] = dict(marks)
    for _ in range(len(marks)):
        seen: dict[int, list] = {v: [] for v in marks}
        for a, b in edges:
            seen[a].append((directed, colour[b]))
            seen[b].append((False, colour[a]))
        signature = {v: (colour[v], sorted(seen[v])) for v in marks}
        ranks = sorted(map(_frozen, signature.values()))
        refined = {v: ranks.index(_frozen(s)) for v, s in signature.items()}
        if len(set(refined.values())) == len(set(colour.values())):
            colour = refined
            break
        colour = refined
    classes: dict[object, list[int]] = {}
    for vertex in sorted(marks, key=colour.__getitem__):
        classes.setdefault(colour[vertex], []).append(vertex)
    for order in product(*(permutations(members) for members in classes.values())):
        numbered = [vertex for members in order for vertex in members]
        number = {vertex: i for i, vertex in enumerate(numbered)}
        form = ((number[a], number[b]) for a, b in edges)
        yield tuple(marks[v] for v in numbered), tuple(sorted(form if directed else map(_sorted, form)))


def _frozen(signature: tuple) -> tuple:
    return signature[0], tuple(signature[1])


def _sorted(edge: tuple[int, int]) -> tuple[int, int]:
    return (min(edge), max(edge))


def _extensions(graph: Multigraph, directed: bool, loops: bool, parallel: bool) -> Iterator[Multigraph]:
    """Everything with one edge more, isomorphic ones several times."""
    n, present = graph.vertices, set(graph.edges)
    ends = [(a, b, n) for a in range(n) for b in range(n)]
    ends += [pair for a in range(n) for pair in ((a, n, n + 1), (n, a, n + 1))]
    ends += [(n, n, n + 1), (n, n + 1, n + 2)]
    for a, b, vertices in ends:
        if (a == b and not loops) or (a > b and not directed) or ((a, b) in present and not parallel):
            continue
        yield Multigraph(vertices, (*graph.edges, (a, b)), graph.marked)


def _partitions(size: int) -> Iterator[tuple[int, ...]]:
    """Set partitions, as restricted growth strings."""
    strings: list[tuple[int, ...]] = [()]
    for _ in range(size):
        strings = [(*s, block) for s in strings for block in range(max(s, default=-1) + 2)]
        _check(len(strings), 0, size)
    yield from strings


def _check(count: int, edges: int, outputs: int) -> None:
    if count > _MOST:
        raise BudgetError(
            f"there are more than {_MOST:,} multigraphs of {edges} edges with {outputs} marks",
            hint="lower the degree or the outputs, or leave out directions, loops or parallel edges",
        )


def _components(graph: Multigraph, without: int | None = None) -> list[set[int]]:
    components = [{vertex} for vertex in range(graph.vertices) if vertex != without]
    for edge in graph.edges:
        if without not in edge:
            joined = [part for part in components if not part.isdisjoint(edge)]
            components = [part for part in components if part.isdisjoint(edge)] + [set().union(*joined)]
    return components


def _parts(graph: Multigraph, without: int | None = None) -> int:
    return len(_components(graph, without))
