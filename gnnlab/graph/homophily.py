"""How often neighbours share a label, by every definition in use."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.graph._check import check_union
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import segment_reduce

__all__ = ["Homophily", "homophily"]


class Homophily(NamedTuple):
    """Five measures of every graph, each [G] float64, NaN where a graph does not determine it."""

    edge: Tensor
    node: Tensor
    class_insensitive: Tensor
    adjusted: Tensor
    label_informativeness: Tensor


@torch.no_grad()
def homophily(
    edge_index: Tensor, y: Tensor, ptr: Tensor, *, num_classes: int | None = None, symmetrise: bool = False
) -> Homophily:
    r"""Homophily of the simple undirected graph among the labelled nodes.

    With :math:`\pi_c` the share of nodes, :math:`d_c` the share of edge ends, and :math:`p_{cc'}` the share of
    (ordered) edges that have class c (and c'):

    ===================== ============================================================ ==============================
    measure               definition                                                   paper
    ===================== ============================================================ ==============================
    edge                  :math:`h_e`, share of edges between equal labels             Zhu et al., NeurIPS 2020
    node                  mean over nodes with neighbours of the share of equal ones   Pei et al., ICLR 2020
    class_insensitive     :math:`\frac{1}{C - 1} \sum_c \max(0, h_c - \pi_c)`, with    Lim et al., NeurIPS 2021
                          :math:`h_c` the share of equal labels on edges of class c
    adjusted              :math:`(h_e - \sum_c d_c^2) / (1 - \sum_c d_c^2)`            Platonov et al., NeurIPS 2023
    label_informativeness :math:`2 - H(p_{cc'}) / H(d_c)`, with entropies H            Platonov et al., NeurIPS 2023
    ===================== ============================================================ ==============================

    The first three lie in [0, 1], the adjusted one may be negative. Edges with an unlabelled end do not count.

    Args:
        edge_index: [2, E] long, node ids of the union.
        y: [N] or [N, 1] classes; negative (or NaN) = unlabelled.
        ptr: [G + 1] long, first node of every graph.
        num_classes: C; by default the number of classes among the nodes of each graph.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        returns :class:`Homophily` of tensors [G]

    Raises:
        GraphError: not one class per node, an edge without its reverse, or tensors that do not describe a union.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> found = homophily(path, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 4]))
        >>> round(found.edge.item(), 4), found.node.item(), round(found.adjusted.item(), 4)
        (0.6667, 0.75, 0.3333)
    """
    batch = check_union(edge_index, ptr)
    if y.numel() != batch.numel():
        raise GraphError(f"y has shape {list(y.shape)}, but there are {batch.numel()} nodes", hint="one class per node")
    label = (y.nan_to_num(nan=-1.0) if y.is_floating_point() else y).reshape(-1).long()
    one_way = undirected_edges(edge_index, ptr, symmetrise)
    one_way = one_way[:, (label[one_way] >= 0).all(0)]
    source, target = torch.cat([one_way, one_way.flip(0)], 1)
    same = (label[source] == label[target]).double()
    graphs = ptr.numel() - 1

    degree = torch.bincount(source, minlength=batch.numel())
    equal = torch.bincount(source, same, minlength=batch.numel()).double()
    joined = (degree > 0).double()
    ends = segment_reduce(degree.double(), ptr, "sum")
    edge = segment_reduce(equal, ptr, "sum") / ends
    node = segment_reduce(equal / degree.clamp(min=1), ptr, "sum") / segment_reduce(joined, ptr, "sum")

    # One row per class that occurs in a graph.
    labelled = (label >= 0).nonzero().flatten()
    width = int(label.max()) + 1 if labelled.numel() else 1
    classes, row = (batch[labelled] * width + label[labelled]).unique(return_inverse=True)
    owner = torch.div(classes, width, rounding_mode="floor")
    row = torch.zeros_like(label).index_copy_(0, labelled, row)
    count = classes.numel()
    of_class = torch.bincount(row[labelled], minlength=count).double()
    ends_of_class = torch.bincount(row[source], minlength=count).double()
    equal_of_class = torch.bincount(row[source], same, minlength=count).double()
    share = of_class / _per_graph(of_class, owner, graphs)[owner]
    excess = (equal_of_class / ends_of_class.clamp(min=1) - share).clamp(min=0)
    number = torch.bincount(owner, minlength=graphs) if num_classes is None else torch.full_like(ptr[1:], num_classes)
    insensitive = _per_graph(excess, owner, graphs) / (number - 1)
    insensitive = torch.where((number > 1) & (ends > 0), insensitive, torch.nan)

    by_end = ends_of_class / ends[owner]
    chance = _per_graph(by_end.square(), owner, graphs)
    adjusted = torch.where(chance < 1, (edge - chance) / (1 - chance), torch.nan)
    pairs, pair = (row[source] * max(count, 1) + row[target]).unique(return_inverse=True)
    home = owner[torch.div(pairs, max(count, 1), rounding_mode="floor")]
    joint = torch.bincount(pair, minlength=pairs.numel()) / ends[home]
    marginal_entropy = _per_graph(-torch.xlogy(by_end, by_end), owner, graphs)
    joint_entropy = _per_graph(-torch.xlogy(joint, joint), home, graphs)
    informativeness = torch.where(marginal_entropy > 0, 2 - joint_entropy / marginal_entropy, torch.nan)
    return Homophily(edge, node, insensitive, adjusted, informativeness)


def _per_graph(values: Tensor, owner: Tensor, graphs: int) -> Tensor:
    """[G] sums of rows that come in the order of their graphs."""
    bounds = torch.searchsorted(owner, torch.arange(graphs + 1, device=owner.device))
    return segment_reduce(values, bounds, "sum")
