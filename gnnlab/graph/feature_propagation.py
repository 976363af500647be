"""Signals propagated along the edges and normalised after every step, on a disjoint union of graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._orthonormal import Stacks, orthonormal_columns, stacks
from gnnlab.ops import CSR, aggregate, as_csr, gather_source, gather_target, segment_expand, segment_reduce
from gnnlab.typing import Adjacency

__all__ = ["OPERATORS", "propagate_features"]


_ROUNDING = 64
"""Norm after a step, in units of the rounding error of the norm before it, up to which a column counts as zero."""


class _Entries(NamedTuple):
    """A matrix: one entry per edge [E], in the caller's order, and those of the diagonal [N] or ``None``."""

    edge: Tensor
    diagonal: Tensor | None = None


def propagate_features(
    edge_index: Adjacency,
    ptr: Tensor,
    signal: Tensor,
    steps: int,
    operator: str = "adjacency",
    normalization: str | None = "l2",
    edge_weight: Tensor | None = None,
    *,
    qr_every: int = 1,
) -> Tensor:
    r"""The trajectory of a signal under an operator S of the graph: power or orthogonal iteration.

    .. math:: R^{(p)} = \mathcal{N}(S R^{(p-1)}), \qquad (S R)_v = s_v R_v + \sum_{u \to v} s_{uv} R_u

    ``"l2"`` divides every column by its norm over the nodes of its own graph, so that it tends to the dominant
    eigenvector; ``"qr"`` takes the Q factor (diagonal of R positive) of every graph's rows, whose span tends to the
    dominant eigenspace. A column that is zero up to rounding, or (with QR) depends on the columns before it, its
    distance from their span being below 1e-4 of its norm, is zero from then on: a graph has no more columns than
    nodes, and no more than the rank of S. Q comes from a Cholesky factorisation in float64, so that gradients with
    respect to the signal and the weights exist and are bounded; float16 is computed in float32.

    Time :math:`O(P (E k + N k))`, and :math:`O(P N k^2)` more for QR; memory :math:`O(P N k)`.

    Args:
        edge_index: [2, E] long, node ids of the union, or their CSR (which is not checked).
        ptr: [G + 1] long, first node of every graph.
        signal: :math:`R^{(0)}`, floating; columns are orthogonalised within the last dimension.
        steps: Number P of steps, at least 0.
        operator: ``"adjacency"`` :math:`\hat A = D^{-1/2} A D^{-1/2}`; ``"looped"``, that of A + I;
            ``"laplacian"`` :math:`D^{-1/2} (D - A) D^{-1/2}`; ``"lazy"`` :math:`(I + \hat A) / 2`, whose dominant
            eigenvectors are the smooth ones on bipartite graphs too; ``"walk"`` :math:`D^{-1} A`; ``"weights"``
            takes the weights of the edges as the entries of S. With directed edges the rows are scaled by the
            in-degree and the columns by the out-degree. Duplicate edges add up, self-loops are edges.
        normalization: ``"l2"``, ``"qr"`` or ``None`` for the plain powers.
        edge_weight: [E] weights of A in the order of the edges, not negative; ones by default. For ``"weights"``
            also [E, P], one column per step.
        qr_every: Steps from one QR to the next; those between are normalised by ``"l2"``.

    Shapes:
        signal [N, k] -> [N, P + 1, k]; [N, B, k] (B trajectories) -> [N, B, P + 1, k]; at least float32

    Raises:
        ConfigError: unknown operator or normalisation, negative ``steps``, ``qr_every`` below 1.
        GraphError: tensors that do not fit together.

    Example:
        >>> edge = torch.tensor([[0, 1], [1, 0]])
        >>> propagate_features(edge, torch.tensor([0, 2]), torch.tensor([[3.0], [4.0]]), steps=1)[:, :, 0].tolist()
        [[3.0, 0.800000011920929], [4.0, 0.6000000238418579]]
    """
    _check(signal, steps, operator, normalization, edge_weight, qr_every)
    if isinstance(edge_index, Tensor):
        check_union(edge_index, ptr, edge_weight if edge_weight is None or edge_weight.dim() == 1 else None)
    adj = as_csr(edge_index, signal.size(0))
    shape = signal.shape
    state = signal.to(torch.promote_types(signal.dtype, torch.float32)).flatten(1)
    entries = _entries(adj, operator, edge_weight, state.dtype)
    layout = stacks(ptr, shape[-1]) if normalization == "qr" and steps else None
    rounding = 0.0 if operator == "weights" else (_ROUNDING * torch.finfo(state.dtype).eps) ** 2
    # A column has norm 1 before every step but the first.
    floor = rounding * segment_reduce(state.detach().square(), ptr, "sum")
    trajectory = [state]
    for step in range(steps):
        edge = entries.edge if entries.edge.dim() == 1 else entries.edge[:, step]
        state = _apply(state, adj, _Entries(edge, entries.diagonal))
        due = layout if (step + 1) % qr_every == 0 else None
        if normalization is not None:
            state, floor = _normalised(state, ptr, floor, due), rounding
        trajectory.append(state)
    return torch.stack(trajectory, 1).view(shape[0], steps + 1, *shape[1:]).movedim(1, -2)


def _apply(state: Tensor, adj: CSR, entries: _Entries) -> Tensor:
    moved = aggregate(state, adj, edge_weight=entries.edge)
    return moved if entries.diagonal is None else torch.addcmul(moved, entries.diagonal[:, None], state)


def _normalised(state: Tensor, ptr: Tensor, floor: Tensor | float, layout: Stacks | None) -> Tensor:
    square = segment_reduce(state.square(), ptr, "sum")
    state = state * segment_expand(_inverse_root(square, floor), ptr, state.size(0))
    return state if layout is None else orthonormal_columns(state, layout)


def _entries(adj: CSR, operator: str, edge_weight: Tensor | None, dtype: torch.dtype) -> _Entries:
    if edge_weight is not None:
        return OPERATORS[operator](adj, edge_weight.to(dtype))
    ones = torch.ones(adj.num_edges, dtype=dtype, device=adj.device)
    return adj.memo(("propagation", operator, dtype), lambda: OPERATORS[operator](adj, ones))


def _degrees(adj: CSR, weight: Tensor) -> tuple[Tensor, Tensor]:
    """[N] weight that enters and weight that leaves a node."""
    ones = weight.new_ones(adj.num_nodes)
    return aggregate(ones, adj, edge_weight=weight), aggregate(ones, adj.t(), edge_weight=weight)


def _adjacency(adj: CSR, weight: Tensor, loop: float = 0.0) -> _Entries:
    entering, leaving = (_inverse_root(degree + loop) for degree in _degrees(adj, weight))
    edge = weight * gather_source(leaving, adj) * gather_target(entering, adj)
    return _Entries(edge, loop * entering * leaving if loop else None)


def _laplacian(adj: CSR, weight: Tensor) -> _Entries:
    connected = aggregate(weight.new_ones(adj.num_nodes), adj, edge_weight=weight) > 0
    return _Entries(-_adjacency(adj, weight).edge, connected.to(weight.dtype))


def _lazy(adj: CSR, weight: Tensor) -> _Entries:
    return _Entries(_adjacency(adj, weight).edge / 2, weight.new_full((adj.num_nodes,), 0.5))


def _walk(adj: CSR, weight: Tensor) -> _Entries:
    entering = aggregate(weight.new_ones(adj.num_nodes), adj, edge_weight=weight)
    return _Entries(weight * gather_target(_inverse_root(entering).square(), adj))


def _inverse_root(value: Tensor, floor: Tensor | float = 0.0) -> Tensor:
    """0 up to the floor, with a gradient of 0."""
    positive = value > floor
    return torch.where(positive, torch.where(positive, value, 1).rsqrt(), 0)


OPERATORS: dict[str, Callable[[CSR, Tensor], _Entries]] = {
    "adjacency": _adjacency,
    "laplacian": _laplacian,
    "lazy": _lazy,
    "looped": lambda adj, weight: _adjacency(adj, weight, 1.0),
    "walk": _walk,
    "weights": lambda adj, weight: _Entries(weight),
}
"""Matrices of a graph by name, from its edges and their weights."""


def _check(
    signal: Tensor, steps: int, operator: str, normalization: str | None, weight: Tensor | None, qr_every: int
) -> None:
    if operator not in OPERATORS:
        raise ConfigError(f"unknown operator {operator!r}", hint=nearest(str(operator), OPERATORS))
    if normalization not in (None, "l2", "qr"):
        raise ConfigError(f"unknown normalization {normalization!r}", hint="known: None, 'l2', 'qr'")
    if steps < 0 or qr_every < 1:
        raise ConfigError(f"steps must be at least 0 and qr_every at least 1, got {steps} and {qr_every}")
    if signal.dim() not in (2, 3) or not signal.is_floating_point():
        raise GraphError(f"signal must be floating, [N, k] or [N, B, k], got {list(signal.shape)} of {signal.dtype}")
    if weight is not None and weight.dim() != 1 and (operator != "weights" or weight.shape[1:] != (steps,)):
        raise GraphError(
            f"edge_weight has shape {list(weight.shape)}",
            hint="one weight per edge, or with operator='weights' one per edge and step",
        )
