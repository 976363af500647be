"""Return probabilities of random walks, on a disjoint union of graphs."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph._check import check_union
from gnnlab.graph._transition import (
    MAX_WORK,
    cheaper_method,
    check_dense_work,
    check_sparse_work,
    compiled_walks,
    dense_cells,
    surely_within,
    transition,
)
from gnnlab.graph._walk_columns import share_columns
from gnnlab.graph._walk_probes import estimate_returns
from gnnlab.graph.buckets import size_buckets, sort_union
from gnnlab.graph.components import breadth_first_layers
from gnnlab.ops import ragged_arange

__all__ = ["walk_return_probabilities"]

_SPARSE_CELLS = 1 << 19
"""Cells of one chunk of walk distributions: 2 MB in float32, so that two of them stay in cache."""

_HINT = "estimate with random probes (probes=256), take fewer steps, or raise max_work"


@torch.no_grad()
def walk_return_probabilities(
    edge_index: Tensor,
    ptr: Tensor,
    steps: int,
    edge_weight: Tensor | None = None,
    *,
    method: str = "auto",
    dtype: torch.dtype = torch.float32,
    probes: int | None = None,
    seed: int = 0,
    max_work: float = MAX_WORK,
) -> Tensor:
    r"""Probability that a random walk from a node is back at it after 1, 2, ..., ``steps`` steps.

    .. math::
        R_{v,t} = (P^t)_{vv}, \qquad P = D^{-1} A, \quad A_{uv} = \sum_{e = (u \to v)} w_e,
        \quad D_{uu} = \sum_v A_{uv}

    Edges are walked from source to target, so directed graphs are fine; duplicate edges add up, a
    self-loop is a step that stays, and a walk ends at a node without outgoing edges (whose row of
    :math:`P` is zero, so isolated nodes get zeros).

    ``sparse`` multiplies the sparse :math:`P` with a compressed identity. Nodes further than ``steps``
    apart cannot be confused, so they share a column: columns are numbered along a breadth-first order,
    modulo the largest number of nodes in ``steps + 1`` consecutive layers. The work is at most
    ``steps * E * columns`` with columns at most the size of a component, the memory bounded. On the CPU and with
    numba it multiplies a few columns at a time, and of their rows those alone that a walk can still return from.
    ``dense`` multiplies padded matrices; it needs half the products, since
    :math:`(P^{a+b})_{vv} = \sum_u (P^a)_{vu} (P^b)_{uv}`, each of :math:`n^3`. ``auto`` takes ``dense`` for
    graphs of at most 2048 nodes on a GPU, and on the CPU if they have a quarter of all possible edges (and, with
    numba, one has more than 128 nodes).

    With ``probes`` q the probabilities are estimated instead, at a cost of ``q * steps * E`` and without memory for
    anything but 16 columns per node: with random signs z and a + b = t, b = a or a - 1,

    .. math::
        \hat R_{v,t} = \frac1q \sum_{i=1}^q (P^a z_i)_v \, ((P^\top)^b z_i)_v, \qquad
        \mathrm{std} \le \sqrt{2 / q} \; \lVert (P^a)_{v \cdot} \rVert \, \lVert (P^b)_{\cdot v} \rVert

    unbiased, and exact for one step. On a regular undirected graph that is a relative error of at most
    :math:`\sqrt{2/q}` for even t; where the true value is near 0 the estimate may be negative. The signs are hashed
    from the graph and the seed, so a batch gives what its graphs give, but they follow the numbers of the nodes.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        steps: Number of steps, at least 0.
        edge_weight: [E] non-negative; ones by default.
        method: ``"auto"``, ``"sparse"`` or ``"dense"``.
        dtype: Floating type of the computation and the result.
        probes: Random sign vectors of an estimate; exact by default.
        seed: Of the signs.
        max_work: Multiply-adds above which exact walks are refused.

    Shapes:
        returns [N, steps].

    Raises:
        GraphError: see the checks of the union.
        ConfigError: unknown method, negative ``steps``, or ``probes`` below 1.
        BudgetError: exact walks of more than ``max_work``.

    Example:
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> walk_return_probabilities(square, torch.tensor([0, 4]), steps=4)[0].tolist()
        [0.0, 0.5, 0.0, 0.5]
    """
    if steps < 0:
        raise ConfigError(f"steps must be at least 0, got {steps}")
    if probes is not None and probes < 1:
        raise ConfigError(f"probes must be at least 1, got {probes}")
    batch = check_union(edge_index, ptr, edge_weight)
    weight = transition(edge_index, batch.numel(), edge_weight, dtype)
    if steps == 0 or batch.numel() == 0 or weight.numel() == 0:
        return weight.new_zeros(batch.numel(), steps)
    if probes is not None:
        return estimate_returns(edge_index, ptr, weight, steps, probes, seed)
    if method == "auto":
        method = cheaper_method(edge_index, ptr, batch, weight)
    if method not in _METHODS:
        raise ConfigError(f"unknown method '{method}'", hint=f"known: auto, {', '.join(_METHODS)}")
    return _METHODS[method](edge_index, ptr, batch, weight, steps, max_work)


def _sparse(edge_index: Tensor, ptr: Tensor, batch: Tensor, weight: Tensor, steps: int, max_work: float) -> Tensor:
    compiled = compiled_walks(weight)
    if compiled is None or not surely_within(edge_index, ptr, batch, steps, max_work):
        layers = breadth_first_layers(edge_index, batch.numel())
        columns = share_columns(edge_index, weight, layers, reach=steps)
        check_sparse_work(columns, steps, max_work, _HINT)
    if compiled is not None:
        return compiled.walk_returns(edge_index, ptr, weight, steps)
    result = weight.new_empty(batch.numel(), steps)
    for block in columns.blocks(_SPARSE_CELLS):
        inside, home = block.own()
        state = block.identity(home)
        returns = weight.new_empty(steps, inside.numel())
        for step in range(steps):
            state = block.step(state)
            torch.index_select(state.view(-1), 0, home, out=returns[step])
        result.index_copy_(0, inside + block.begin, returns.t())
    return result[columns.union.row]


def _dense(edge_index: Tensor, ptr: Tensor, batch: Tensor, weight: Tensor, steps: int, max_work: float) -> Tensor:
    sizes = ptr.diff()
    check_dense_work(sizes, steps, max_work, _HINT)
    position = ragged_arange(sizes, batch.numel())
    union = sort_union(edge_index, weight, batch, position, sizes)
    sizes = sizes[union.group]
    parts = []
    for first, last in size_buckets(union.ptr, sizes, dense_cells(weight.device), growth=1.25):
        returns = _powers(union.blocks(first, last), steps)
        real = torch.arange(returns.size(1), device=sizes.device) < sizes[first:last, None]
        parts.append(returns[real])
    return torch.cat(parts)[union.row]


def _powers(transition: Tensor, steps: int) -> Tensor:
    """Diagonals of the powers of [B, n, n], as [B, n, steps]."""
    diagonals = [transition.diagonal(dim1=1, dim2=2)]
    power = transition
    while len(diagonals) < steps:
        diagonals.append((power * power.mT).sum(-1))
        if len(diagonals) < steps:
            following = power @ transition
            diagonals.append((following * power.mT).sum(-1))
            power = following
    return torch.stack(diagonals, dim=-1)


_METHODS = {"sparse": _sparse, "dense": _dense}
