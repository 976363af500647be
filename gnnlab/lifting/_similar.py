"""Pairs of nodes with similar features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gnnlab.graph import connected_components
from gnnlab.graph.buckets import SortedUnion, size_buckets, sort_union
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["similar_pairs"]

_CELLS = 1 << 22
_DECIMALS, _TIE = 6, 1e-12


def similar_pairs(x: Tensor, edge_index: Tensor, ptr: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """Every node with the nodes whose features have the largest cosine similarity.

    Similarities are rounded, so that they do not depend on how many are computed at once; among equal ones the
    first nodes win. Neighbours, and nodes of other components, are left out.

    Args:
        x: [N, F] features.
        edge_index: [2, E] long, edges in both directions.
        ptr: [G + 1] long, first node of every graph.
        neighbours: Pairs per node.

    Shapes:
        returns pairs [2, P] long, row 0 < row 1, each once, and similarities [P] float64.
    """
    sizes = ptr.diff()
    batch, position = expand_ptr(ptr, x.size(0)), ragged_arange(sizes, x.size(0))
    union = sort_union(edge_index, x.new_ones(edge_index.size(1)), batch, position, sizes)
    node = torch.empty_like(union.row).index_copy_(0, union.row, torch.arange(x.size(0), device=x.device))
    features = normalize(x.double().flatten(1), dim=1)[node]
    component = connected_components(edge_index, x.size(0))[node]
    found = []
    for first, last in size_buckets(union.ptr, sizes[union.group], _CELLS):
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        width = int(sizes[union.group[last - 1]])
        # Several graphs come whole, a large one a few rows at a time.
        step = end - begin if last - first > 1 else max(_CELLS // max(width, 1), 1)
        for low in range(begin, end, step):
            rows = torch.arange(low, min(low + step, end), device=x.device)
            start = union.ptr[first + expand_ptr(union.ptr[first : last + 1], end - begin)][rows - begin]
            similarity = _similarity(features, union, first, last, rows)
            _exclude(similarity, component, union, rows, start)
            best, column = similarity.topk(min(neighbours, width), dim=1)
            row, place = best.isfinite().nonzero().t()
            found.append((node[rows[row]], node[start[row] + column[row, place]], best[row, place]))
    if not found:
        return edge_index[:, :0], x.new_zeros(0, dtype=torch.float64)
    source, target, score = (torch.cat(part) for part in zip(*found, strict=True))
    key, inverse = (torch.minimum(source, target) * x.size(0) + torch.maximum(source, target)).unique(
        return_inverse=True
    )
    score = score.new_full(key.shape, -torch.inf).scatter_reduce_(0, inverse, score, "amax")
    return torch.stack([key // x.size(0), key % x.size(0)]), score.round(decimals=_DECIMALS)


def _similarity(features: Tensor, union: SortedUnion, first: int, last: int, rows: Tensor) -> Tensor:
    """[rows, width] rounded similarities with every node of the same graph; earlier nodes are slightly ahead."""
    begin, end = int(union.ptr[first]), int(union.ptr[last])
    if last - first == 1:
        product = features[rows] @ features[begin:end].t()
    else:
        sizes = union.ptr[first : last + 1].diff()
        real = torch.arange(int(sizes.max()), device=sizes.device) < sizes[:, None]
        padded = features.new_zeros(*real.shape, features.size(1))
        padded[real] = features[begin:end]
        product = (padded @ padded.mT)[real]
    return product.round(decimals=_DECIMALS) - _TIE * torch.arange(product.size(1), device=product.device)


def _exclude(similarity: Tensor, component: Tensor, union: SortedUnion, rows: Tensor, start: Tensor) -> None:
    """Set what is no candidate to minus infinity: padding, other components, the node itself, its neighbours."""
    other = (start[:, None] + torch.arange(similarity.size(1), device=start.device)).clamp(max=component.numel() - 1)
    similarity.masked_fill_(component[other] != component[rows][:, None], -torch.inf)
    local = rows - rows[0]
    similarity[local, rows - start] = -torch.inf
    pointers, column, _ = union.edges(int(rows[0]), int(rows[-1]) + 1)
    source = expand_ptr(pointers, column.numel())
    similarity[source, column + rows[0] - start[source]] = -torch.inf
