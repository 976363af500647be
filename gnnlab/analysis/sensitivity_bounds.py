"""Upper bounds of the sensitivity of message passing by width, depth and topology."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.ops import CSR, aggregate

__all__ = ["sensitivity_bound", "width_bound"]


@torch.no_grad()
def sensitivity_bound(
    edge_index: Tensor,
    ptr: Tensor,
    message: Sequence[float],
    own: Sequence[float] | None = None,
    *,
    operator: str = "gcn",
    edge_weight: Tensor | None = None,
    max_gigabytes: float = 8.0,
) -> Tensor:
    r"""Bound the Jacobians of m layers by one product of scaled operators per layer.

    .. math::
        \lVert \partial h_v^{(m)} / \partial h_u^{(0)} \rVert
        \le \Big(\prod_{l=m}^{1} (a_l I + b_l S)\Big)_{vu}

    for layers :math:`h^{(l)} = \sigma(W_r h^{(l-1)} + S W_a h^{(l-1)})` with
    :math:`a_l = c_\sigma \lVert W_r \rVert` (``own``), :math:`b_l = c_\sigma \lVert W_a \rVert` (``message``) in any
    operator norm, :math:`c_\sigma` the Lipschitz constant of the activation; a residual adds 1 to :math:`a_l`. In the
    spectral norm it bounds the spectral norm of the Jacobian, and :math:`\sqrt{p}` times it the Frobenius norm; in
    the largest column sum it bounds the largest column sum, and :math:`p` times it the sum of all absolute entries.

    With ``own`` 0, ``message`` :math:`\alpha \beta` and the operator ``"gcn"`` it is the bound of Topping et al.
    ("Understanding over-squashing and bottlenecks on graphs via curvature", ICLR 2022), whose
    functions have gradients of at most :math:`\alpha` and :math:`\beta`.

    Args:
        edge_index: [2, E] long, node ids of the union, source to target.
        ptr: [G + 1] long, first node of every graph.
        message: :math:`b_l` of the layers, first layer first; its length is the depth.
        own: :math:`a_l` of the layers; zeros by default.
        operator: S: ``"gcn"`` (symmetric normalisation with self-loops), ``"sum"`` or ``"mean"`` of the neighbours.
        edge_weight: [E] non-negative; ones by default.
        max_gigabytes: Largest result to allocate.

    Shapes:
        returns [N, n_max] float64; entry [v, j] bounds the Jacobian of v and node j of its graph, 0 in the padding

    Raises:
        ConfigError: an unknown operator, or factors that are negative or do not match.
        GraphError: tensors that do not describe a union.
        BudgetError: a result of more than ``max_gigabytes``.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> sensitivity_bound(path, torch.tensor([0, 3]), [1.0, 0.5], operator="sum").tolist()
        [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]
    """
    if operator not in _OPERATORS:
        raise ConfigError(
            f"unknown operator {operator!r}", where="sensitivity_bound", hint=nearest(operator, _OPERATORS)
        )
    own = [0.0] * len(message) if own is None else own
    if len(own) != len(message) or min([*own, *message], default=0.0) < 0:
        raise ConfigError(f"factors must be non-negative and one per layer, got {list(own)} and {list(message)}")
    graph = check_union(edge_index, ptr, edge_weight)
    num_nodes, sizes = graph.numel(), ptr.diff()
    width = int(sizes.max()) if sizes.numel() else 0
    needed = 3 * 8 * num_nodes * width / 2**30
    if needed > max_gigabytes:
        raise BudgetError(
            f"bounds of {num_nodes:,} nodes in a table of {width:,} columns take {needed:.1f} GiB",
            where="sensitivity_bound",
            hint="smaller unions give smaller tables; or raise max_gigabytes",
        )
    weight = torch.ones(edge_index.size(1), device=ptr.device) if edge_weight is None else edge_weight
    edges, weight = _OPERATORS[operator](edge_index, weight.double(), num_nodes)
    adj = CSR.from_edge_index(edges, num_nodes)
    nodes = torch.arange(num_nodes, device=ptr.device)
    # Columns are shared by the graphs: column j is a unit at node j of every graph.
    table = torch.zeros(num_nodes, width, dtype=torch.float64, device=ptr.device)
    table[nodes, nodes - ptr[graph]] = 1.0
    for a, b in zip(own, message, strict=True):
        table = a * table + b * aggregate(table, adj, edge_weight=weight)
    return table


def width_bound(
    edge_index: Tensor,
    ptr: Tensor,
    num_layers: int,
    width: int,
    weight: float,
    *,
    lipschitz: float = 1.0,
    own: float = 0.0,
    message: float = 1.0,
    norm: str = "l1",
    operator: str = "gcn",
) -> Tensor:
    r"""The bound by width, depth and topology of Di Giovanni et al. ("On over-squashing in message passing neural
    networks: the impact of width, depth, and topology", ICML 2023).

    .. math:: \lVert J_{vu} \rVert \le (c_\sigma w p)^m \, (S^m)_{vu}, \qquad S = c_r I + c_a A

    Width p, depth m, and all weights at most w. A wider network loosens the bound by the factor alone: where
    :math:`(S^m)_{vu}` is small it stays small in comparison. The inequality holds for the largest column sum of
    the Jacobian, and for its Frobenius and spectral norms; the sum of all absolute entries of p columns is up to p
    times as large, and the bound of ``"l1"`` says so.

    Args:
        edge_index: [2, E] long, node ids of the union, source to target.
        ptr: [G + 1] long, first node of every graph.
        num_layers: m.
        width: p, the largest width of a layer.
        weight: w, the largest absolute weight.
        lipschitz: :math:`c_\sigma` of the activation, 1 for ReLU and tanh.
        own: :math:`c_r`.
        message: :math:`c_a`.
        norm: ``"l1"``, ``"frobenius"`` or ``"spectral"``, as :func:`sensitivity`.
        operator: A, as :func:`sensitivity_bound`.

    Shapes:
        returns [N, n_max] float64, as :func:`sensitivity_bound`

    Raises:
        ConfigError: an unknown norm or operator, or negative numbers.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> width_bound(path, torch.tensor([0, 3]), 2, width=2, weight=0.5, norm="spectral", operator="sum")[0].tolist()
        [1.0, 0.0, 1.0]
    """
    if norm not in _COLUMNS:
        raise ConfigError(f"unknown norm {norm!r}", where="width_bound", hint=nearest(str(norm), _COLUMNS))
    if num_layers < 0 or width < 1:
        raise ConfigError(f"num_layers must be at least 0 and width at least 1, got {num_layers} and {width}")
    factor = lipschitz * weight * width
    layers = [factor * message] * num_layers, [factor * own] * num_layers
    # Without layers the Jacobian is the identity, whose Frobenius norm is the root of its width.
    identity = width**0.5 if norm == "frobenius" and num_layers == 0 else 1.0
    return _COLUMNS[norm](width) * identity * sensitivity_bound(edge_index, ptr, *layers, operator=operator)


_COLUMNS = {"l1": float, "frobenius": lambda width: 1.0, "spectral": lambda width: 1.0}
"""Largest ratio of the norm of a Jacobian and the bound of its largest column sum."""


def _sum(edges: Tensor, weight: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    return edges, weight


def _mean(edges: Tensor, weight: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    degree = weight.new_zeros(num_nodes).index_add_(0, edges[1], weight)
    return edges, weight / degree.clamp(min=torch.finfo(weight.dtype).tiny)[edges[1]]


def _gcn(edges: Tensor, weight: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    # As GCNConv: one loop per node, of weight 1 or of the mean weight of the loops that are there.
    is_loop = edges[0] == edges[1]
    zeros, at = weight.new_zeros(num_nodes), edges[0, is_loop]
    count = zeros.index_add(0, at, torch.ones_like(weight[is_loop]))
    loops = torch.where(count > 0, zeros.index_add(0, at, weight[is_loop]) / count.clamp(min=1), 1.0)
    nodes = torch.arange(num_nodes, device=edges.device)
    edges = torch.cat([edges[:, ~is_loop], nodes.expand(2, -1)], 1)
    weight = torch.cat([weight[~is_loop], loops])
    scale = weight.new_zeros(num_nodes).index_add_(0, edges[1], weight).rsqrt()
    scale = torch.where(scale.isfinite(), scale, 0.0)
    return edges, scale[edges[0]] * weight * scale[edges[1]]


_OPERATORS = {"gcn": _gcn, "sum": _sum, "mean": _mean}
"""Edges and weights of the operators."""
