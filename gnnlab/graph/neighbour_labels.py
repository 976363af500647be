"""Labels around a node: how often they are its own at every distance, and how alike neighbourhoods of classes are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph._check import check_union
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import CSR, aggregate, ragged_arange, segment_reduce

__all__ = ["HomophilyByDistance", "homophily_by_distance", "neighbourhood_similarity"]

_CELLS = 1 << 22  # of a part of the table of who is reached from where, 16 MB
_MOST_BYTES = 2**33


class HomophilyByDistance(NamedTuple):
    """Of every graph and distance 1, ..., ``hops``, [G, hops] each.

    Args:
        share: float64, share of the pairs of nodes at this distance that have the same label; NaN without pairs.
        error: float64, standard error of a share that was sampled; 0 if it is exact, NaN if nothing is known.
        pairs: long, ordered pairs that were looked at.
    """

    share: Tensor
    error: Tensor
    pairs: Tensor


@torch.no_grad()
def homophily_by_distance(
    edge_index: Tensor,
    y: Tensor,
    ptr: Tensor,
    hops: int = 4,
    *,
    symmetrise: bool = False,
    max_visits: int = 10**9,
    seed: int = 0,
) -> HomophilyByDistance:
    r"""Share of equal labels among pairs of labelled nodes at distance exactly k, edge homophily at k = 1.

    .. math:: h^{(k)} = \frac{|\{(u, v) : d(u, v) = k, y_u = y_v\}|}{|\{(u, v) : d(u, v) = k\}|}

    in the simple undirected graph; paths may lead through unlabelled nodes. A network of k layers reads nodes up
    to distance k: where the share falls to chance (:math:`\sum_c \pi_c^2`), nodes no longer tell the label by being
    like their neighbours.

    Searches from all labelled nodes at once, ``hops`` products of the adjacency matrix with a column for each. A graph
    that takes more than ``max_visits`` multiplications is searched from as many labelled nodes as these allow (two
    at least, drawn by the seed), and ``error`` is that of the ratio of two sums over these nodes.

    Cost: :math:`O(k E N)` time or ``max_visits`` per graph, if that is less: a few seconds for 10^9. 16 MB of memory
    beside 16 bytes per node searched from and hop.

    Args:
        edge_index: [2, E] long, node ids of the union.
        y: [N] or [N, 1] classes; negative (or NaN) = unlabelled.
        ptr: [G + 1] long, first node of every graph.
        hops: Largest distance.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.
        max_visits: Hops times directed edges times nodes searched from, of a graph.
        seed: Of the nodes that are drawn.

    Raises:
        ConfigError: fewer than one hop.
        GraphError: not one class per node, an edge without its reverse, or tensors that do not describe a union.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> homophily_by_distance(path, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 4]), hops=3).share.tolist()
        [[0.0, 1.0, 0.0]]
    """
    if hops < 1:
        raise ConfigError(f"hops must be at least 1, got {hops}", where="homophily_by_distance")
    batch = check_union(edge_index, ptr)
    label = _labels(y, batch.numel())
    one_way = undirected_edges(edge_index, ptr, symmetrise)
    adj = CSR.from_edge_index(torch.cat([one_way, one_way.flip(0)], 1), batch.numel())
    labelled = label >= 0
    available = segment_reduce(labelled.double(), ptr, "sum").long()
    cost = 2 * hops * torch.bincount(batch[one_way[0]], minlength=available.numel())
    affordable = (max_visits // cost.clamp(min=1)).clamp(min=2)
    source, column = _sources(labelled, batch, ptr, torch.minimum(available, affordable), seed)
    width = int(column.max()) + 1 if column.numel() else 0
    shape = available.numel(), width, hops
    pairs, same = (torch.zeros(shape, dtype=torch.float64, device=ptr.device) for _ in range(2))
    step = max(_CELLS // max(batch.numel(), 1), 1)
    for first in range(0, width, step):
        mine = (column >= first) & (column < first + step)
        place = column[mine] - first
        reached = torch.zeros(batch.numel(), min(step, width - first), device=ptr.device)
        reached[source[mine], place] = 1
        wanted = torch.full((available.numel(), reached.size(1)), -1, device=ptr.device)
        wanted[batch[source[mine]], place] = label[source[mine]]
        equal = label[:, None] == wanted[batch]
        part = slice(first, first + reached.size(1))
        for hop in range(hops):
            further = aggregate(reached, adj).add_(reached).clamp_(max=1)
            new = (further - reached).double() * labelled[:, None]
            pairs[:, part, hop] = segment_reduce(new, ptr, "sum")
            same[:, part, hop] = segment_reduce(new * equal, ptr, "sum")
            reached = further
    total = pairs.sum(1)
    share = same.sum(1) / total
    return HomophilyByDistance(share, _error(pairs, same, share, available, batch[source]), total.long())


def _sources(labelled: Tensor, batch: Tensor, ptr: Tensor, wanted: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Labelled nodes, ``wanted`` [G] of every graph, and their numbers among those of their graph."""
    node = labelled.nonzero().flatten()
    widest = int(ptr.diff().max()) if ptr.numel() > 1 else 0
    # One draw per place in a graph, so that a graph has the same nodes in any union.
    draws = torch.rand(widest, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(ptr.device)
    node = node[draws[node - ptr[batch[node]]].argsort(stable=True)]
    node = node[batch[node].argsort(stable=True)]
    number = ragged_arange(torch.bincount(batch[node], minlength=wanted.numel()), node.numel())
    kept = number < wanted[batch[node]]
    return node[kept], number[kept]


def _error(pairs: Tensor, same: Tensor, share: Tensor, available: Tensor, graph: Tensor) -> Tensor:
    """[G, hops], standard error of the ratio of sums over a sample of nodes, drawn without replacement."""
    taken = torch.bincount(graph, minlength=available.numel())
    spread = (same - share[:, None] * pairs).square().sum(1).sqrt() / pairs.sum(1)
    scale = ((1 - taken / available) * taken / (taken - 1)).sqrt()
    return torch.where((taken == available)[:, None], 0.0, spread * scale[:, None])


@torch.no_grad()
def neighbourhood_similarity(
    edge_index: Tensor, y: Tensor, ptr: Tensor, *, num_classes: int | None = None, symmetrise: bool = False
) -> Tensor:
    r"""Cross-class neighbourhood similarity (Ma, Liu, Shah, Tang, "Is homophily a necessity for graph neural
    networks?", ICLR 2022, arXiv 2106.06134).

    .. math:: s(c, c') = \frac{1}{|V_c| |V_{c'}|} \sum_{u \in V_c, v \in V_{c'}} \cos(d_u, d_v)

    with :math:`d_u` the histogram of the labels of the neighbours of u. A graph convolution serves a graph
    where the diagonal is large and the rest small, however heterophilous it is: then neighbourhoods tell classes apart.
    Nodes without labelled neighbours have no histogram and do not count; a node counts as a pair with itself,
    as in the paper.

    Cost: :math:`O(E \log E + G C^3)` time, :math:`O(E + G C^2)` memory; no pair of nodes is formed.

    Args:
        edge_index: [2, E] long, node ids of the union.
        y: [N] or [N, 1] classes; negative (or NaN) = unlabelled.
        ptr: [G + 1] long, first node of every graph.
        num_classes: C; by default one more than the largest label.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        returns [G, C, C] float64, symmetric, in [0, 1]; NaN for classes without a node that counts.

    Raises:
        GraphError: not one class per node, a class that is not below ``num_classes``, an edge without its reverse, or
            tensors that do not describe a union.
        BudgetError: more than 8 GiB for the result.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> neighbourhood_similarity(path, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 4])).tolist()
        [[[1.0, 0.0], [0.0, 1.0]]]
    """
    batch = check_union(edge_index, ptr)
    label = _labels(y, batch.numel())
    found = int(label.max()) + 1 if label.numel() else 0
    classes = max(found, 0) if num_classes is None else num_classes
    if found > classes:
        raise GraphError(f"y holds class {found - 1}, but num_classes is {classes}", where="neighbourhood_similarity")
    graphs = ptr.numel() - 1
    needed = 2 * 8 * graphs * classes**2
    if needed > _MOST_BYTES:
        raise BudgetError(
            f"{classes:,} x {classes:,} similarities of {graphs:,} graphs take {needed / 2**30:.1f} GiB (limit 8)",
            where="neighbourhood_similarity",
            hint="number the classes from 0 without gaps, or pass fewer graphs",
        )
    one_way = undirected_edges(edge_index, ptr, symmetrise)
    one_way = one_way[:, (label[one_way] >= 0).all(0)]
    node, neighbour = torch.cat([one_way, one_way.flip(0)], 1)
    entry, count = (node * max(classes, 1) + label[neighbour]).unique(return_counts=True)
    node, of = entry // max(classes, 1), entry % max(classes, 1)
    length = torch.bincount(node, count.double().square(), minlength=batch.numel()).sqrt()
    row = batch * classes + label
    # The mean of all cosines of two classes is the product of their mean unit vectors.
    sums = length.new_zeros(graphs * classes * classes).index_add_(0, row[node] * classes + of, count / length[node])
    members = torch.bincount(row[length > 0], minlength=graphs * classes).view(graphs, classes, 1)
    means = sums.view(graphs, classes, classes) / members
    return means @ means.transpose(1, 2)


def _labels(y: Tensor, num_nodes: int) -> Tensor:
    if y.numel() != num_nodes:
        raise GraphError(f"y has shape {list(y.shape)}, but there are {num_nodes} nodes", hint="one class per node")
    return (y.nan_to_num(nan=-1.0) if y.is_floating_point() else y).reshape(-1).long()
