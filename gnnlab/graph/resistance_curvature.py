"""Curvature of nodes and edges by effective resistances."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.graph._check import check_union
from gnnlab.graph._symmetric import symmetric
from gnnlab.graph.resistance import effective_resistance

__all__ = ["ResistanceCurvature", "resistance_curvature"]


class ResistanceCurvature(NamedTuple):
    """Curvature of the nodes, ``node`` [N] float64, and of the edges, ``edge`` [E] float64."""

    node: Tensor
    edge: Tensor


@torch.no_grad()
def resistance_curvature(
    edge_index: Tensor,
    ptr: Tensor,
    edge_weight: Tensor | None = None,
    *,
    resistance: Tensor | None = None,
    method: str = "auto",
    epsilon: float = 0.1,
    seed: int = 0,
) -> ResistanceCurvature:
    r"""Curvature of Devriendt and Lambiotte ("Discrete curvature on graphs from the effective resistance", Journal of
    Physics: Complexity 2022, arXiv 2201.06385).

    .. math:: p_i = 1 - \frac{1}{2} \sum_{j \sim i} c_{ij} R_{ij}, \qquad
              \kappa_{ij} = \frac{2 (p_i + p_j)}{R_{ij}}

    with conductances c. The sum :math:`c_{ij} R_{ij}` is the probability that edge ij is in a random spanning tree, so
    :math:`p_i` is 1 less half the expected degree of i in one, and by Foster's theorem the nodes of
    a component sum to 1. Negative where much of the graph hangs together through i alone: :math:`1 - d_i / 2` in
    a tree. Edges of a complete graph have curvature 2, inner edges of a path 0.

    The graph is that of :func:`effective_resistance`: parallel edges conduct together, a weight in one direction
    alone counts half. A self-loop has curvature 0; so has an edge of weight 0 between components.

    Cost: that of the resistances of the edges, :math:`O(n^3)` time and :math:`O(n^2)` memory per component of up to
    10,000 nodes. Larger ones are sketched: every resistance then errs by the factor :math:`\epsilon` (rms), the node
    curvature by :math:`\frac{\epsilon}{2} (\sum_{j \sim i} c_{ij}^2 R_{ij}^2)^{1/2}` if the errors were independent,
    which may exceed the curvature itself: it is about 1 / n on average.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        edge_weight: [E] non-negative conductances; ones by default.
        resistance: [E] float64, resistances of the edges if they are known already.
        method: ``"dense"``, ``"sketch"`` or ``"auto"``, see :func:`effective_resistance`.
        epsilon: Relative error (rms) of a sketched resistance.
        seed: Of the sketch.

    Shapes:
        returns node [N] and edge [E], float64

    Raises:
        ConfigError: unknown method, or ``epsilon`` outside (0, 1).
        GraphError: negative weights, resistances that are not one per edge, or tensors that do not describe a union.
        BudgetError: ``"dense"`` and a component too large for it, or projections of more than 8 GiB.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> found = resistance_curvature(path, torch.tensor([0, 3]))
        >>> found.node.round(decimals=6).tolist(), found.edge.round(decimals=6).tolist()
        ([0.5, 0.0, 0.5], [1.0, 1.0, 1.0, 1.0])
    """
    num_nodes = check_union(edge_index, ptr, edge_weight).numel()
    if resistance is None:
        # Both directions of an edge, and parallel ones, have one resistance.
        low, high = edge_index.aminmax(dim=0) if edge_index.numel() else edge_index
        key, place = (low * num_nodes + high).unique(return_inverse=True)
        pairs = torch.stack([key // max(num_nodes, 1), key % max(num_nodes, 1)])
        settings = {"method": method, "epsilon": epsilon, "seed": seed}
        resistance = effective_resistance(edge_index, ptr, pairs, edge_weight, **settings)[place]
    elif resistance.shape != edge_index.shape[1:]:
        raise GraphError(f"resistance has shape {list(resistance.shape)}, but there are {edge_index.size(1)} edges")
    edges, weight = symmetric(edge_index, edge_weight)
    conducts = edge_index[0] != edge_index[1]
    if edge_weight is not None:
        conducts = conducts & (edge_weight != 0)
    share = weight * resistance[conducts].double().repeat(2)
    node = 1 - torch.zeros(num_nodes, dtype=torch.float64, device=ptr.device).index_add_(0, edges[0], share) / 2
    ends = 2 * node[edge_index].sum(0)
    return ResistanceCurvature(node, torch.where(edge_index[0] == edge_index[1], 0.0, ends / resistance))
