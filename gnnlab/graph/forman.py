"""Forman curvature of edges, balanced (Topping et al.) and augmented by triangles and squares."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._cycles import EdgeCycles, edge_cycles
from gnnlab.graph._neighbours import Neighbours, over_edges
from gnnlab.graph.undirected import undirected_edges

__all__ = ["augmented_forman_curvature", "balanced_forman_curvature"]


@torch.no_grad()
def balanced_forman_curvature(
    edge_index: Tensor, ptr: Tensor, variant: str = "paper", symmetrise: bool = False
) -> Tensor:
    r"""Balanced Forman curvature (Topping et al., "Understanding over-squashing and bottlenecks on graphs via
    curvature", ICLR 2022, arXiv 2111.14522, definition 1).

    .. math::
        \mathrm{Ric}(i, j) = \frac{2}{d_i} + \frac{2}{d_j} - 2 + 2 \frac{|\#_\Delta|}{\max(d_i, d_j)}
            + \frac{|\#_\Delta|}{\min(d_i, d_j)}
            + \frac{|\#_\square^i| + |\#_\square^j|}{\gamma_{\max} \max(d_i, d_j)}

    and 0 at a leaf. :math:`\#_\Delta` are the common neighbours, :math:`\#_\square^i` the neighbours k of i
    through which a square without diagonals passes, and :math:`\gamma_{\max}` the most such squares through one k
    (on either side); the last term is 0 without squares. Always above -2.

    ``"released"`` is the formula of the authors' CUDA kernel. It differs at leaves, which are no exception, and in
    the last term: it counts every k in N(i) with :math:`(A^2)_{kj} > A_{kj}` and every k in N(j) likewise, so i and
    j themselves and squares with diagonals are among them.

    The graph is taken as simple: duplicates count once and get the value of their pair, a self-loop counts for
    nothing and gets 0. The work is the number of paths of two steps from the cheaper end of every edge.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        variant: ``"paper"`` or ``"released"``.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        returns [E] float64

    Raises:
        GraphError: an edge without its reverse, or tensors that do not describe a union.
        ConfigError: an unknown ``variant``.

    Example:
        >>> triangle = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
        >>> balanced_forman_curvature(triangle, torch.tensor([0, 3]))[0].item()
        1.5
    """
    check_variant(variant, "balanced_forman_curvature")
    pairs, num_nodes = undirected_edges(edge_index, ptr, symmetrise), int(ptr[-1])
    values = balanced_forman_of(Neighbours.of(pairs, num_nodes), pairs, variant)
    return over_edges(values, pairs, edge_index, num_nodes)


@torch.no_grad()
def augmented_forman_curvature(edge_index: Tensor, ptr: Tensor, order: int = 3, symmetrise: bool = False) -> Tensor:
    r"""Forman curvature augmented by the cycles at an edge (Samal et al., Scientific Reports 2018; Fesser and Weber,
    LoG 2023, arXiv 2309.09384).

    .. math::
        F_2(i, j) = 4 - d_i - d_j, \qquad F_3 = F_2 + 3 \, |\Delta|, \qquad F_4 = F_3 + 2 \, |\square|

    with the triangles and the squares (with or without diagonals) that contain the edge. Integers. Duplicates and
    self-loops as in :func:`balanced_forman_curvature`.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        order: Length of the longest cycles that count: 2 (none), 3 or 4.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        returns [E] float64

    Raises:
        GraphError: an edge without its reverse, or tensors that do not describe a union.
        ConfigError: another ``order``.

    Example:
        >>> triangle = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
        >>> augmented_forman_curvature(triangle, torch.tensor([0, 3]))[0].item()
        3.0
    """
    if order not in (2, 3, 4):
        raise ConfigError(f"order must be 2, 3 or 4, got {order!r}", where="augmented_forman_curvature")
    pairs, num_nodes = undirected_edges(edge_index, ptr, symmetrise), int(ptr[-1])
    values = augmented_forman_of(Neighbours.of(pairs, num_nodes), pairs, order)
    return over_edges(values, pairs, edge_index, num_nodes)


def balanced_forman_of(graph: Neighbours, pairs: Tensor, variant: str) -> Tensor:
    """[M] float64, the curvature of the edges ``pairs`` [2, M] of a simple graph."""
    out = torch.zeros(pairs.size(1), dtype=torch.float64, device=pairs.device)
    for part in edge_cycles(graph, pairs, chordless=variant == "paper"):
        through, most = _SQUARES[variant](part)
        out[part.edges] = balanced_forman(part.degree_i, part.degree_j, part.triangles, through, most, variant)
    return out


def augmented_forman_of(graph: Neighbours, pairs: Tensor, order: int) -> Tensor:
    """[M] float64, the curvature of the edges ``pairs`` [2, M] of a simple graph."""
    degree = graph.degree
    out = 4 - degree[pairs[0]] - degree[pairs[1]]
    if order > 2:
        for part in edge_cycles(graph, pairs, chordless=False, squares=order == 4):
            out[part.edges] += 3 * part.triangles
            if order == 4:
                # Every p counted the way back to i as a square.
                squares = torch.zeros_like(part.triangles).index_add_(0, part.near_edge, part.near - 1)
                out[part.edges] += 2 * squares
    return out.double()


def balanced_forman(d_i: Tensor, d_j: Tensor, triangles: Tensor, through: Tensor, most: Tensor, variant: str) -> Tensor:
    """The formula, from counts: neighbours with squares on both sides, and most squares at one of them."""
    low, high = torch.minimum(d_i, d_j).double(), torch.maximum(d_i, d_j).double()
    squares = through / (most.clamp(min=1) * high)
    curvature = 2 / d_i.double() + 2 / d_j.double() - 2 + 2 * triangles / high + triangles / low + squares
    return curvature if variant == "released" else torch.where(low == 1, 0.0, curvature)


def check_variant(variant: str, where: str) -> None:
    if variant not in _SQUARES:
        raise ConfigError(f"unknown variant {variant!r}", where=where, hint=nearest(str(variant), _SQUARES))


def _paper(part: EdgeCycles) -> tuple[Tensor, Tensor]:
    return _summary(part, part.near, part.far)


def _released(part: EdgeCycles) -> tuple[Tensor, Tensor]:
    """Every common neighbour of k and j, i among them; j counts as a neighbour of i, with d_j of them."""
    through, most = _summary(part, part.near - part.near_common, part.far + 1 - part.far_common)
    return through + 1, torch.maximum(most, part.degree_j)


def _summary(part: EdgeCycles, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    edge, value = torch.cat([part.near_edge, part.far_edge]), torch.cat([near, far])
    zeros = torch.zeros_like(part.triangles)
    return zeros.index_add(0, edge, (value > 0).long()), zeros.scatter_reduce(0, edge, value, "amax")


_SQUARES = {"paper": _paper, "released": _released}
