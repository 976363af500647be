"""The symmetric weighted graph every spectral quantity is about, and its components side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.graph._engine import engine
from gnnlab.graph.buckets import SortedUnion, sort_union
from gnnlab.graph.components import connected_components
from gnnlab.ops import ragged_arange

__all__ = ["by_component", "symmetric"]


def symmetric(edge_index: Tensor, edge_weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both directions of every edge at half its weight, without self-loops and zeros."""
    source, target = edge_index
    if edge_weight is None:
        weight = torch.ones(source.numel(), dtype=torch.float64, device=source.device)
    else:
        weight = edge_weight.to(torch.float64)
        if bool((weight < 0).any()):
            raise GraphError("edge_weight has negative entries, so its Laplacian is not positive semidefinite")
    keep = (source != target) & (weight != 0)
    edges, weight = edge_index[:, keep], weight[keep] / 2
    return torch.cat([edges, edges.flip(0)], dim=1), torch.cat([weight, weight])


def by_component(edges: Tensor, weight: Tensor, num_nodes: int) -> tuple[Tensor, SortedUnion]:
    """[N] component of every node, and the components laid out by increasing size."""
    if weight.requires_grad:  # which a compiled loop would lose
        return _by_component(edges, weight, num_nodes)
    return engine(edges.device, _by_component, "gnnlab.graph._components_numba:by_component")(edges, weight, num_nodes)


def _by_component(edges: Tensor, weight: Tensor, num_nodes: int) -> tuple[Tensor, SortedUnion]:
    component = connected_components(edges, num_nodes)
    sizes = torch.bincount(component)
    order = torch.argsort(component, stable=True)
    position = torch.empty_like(component).index_copy_(0, order, ragged_arange(sizes, component.numel()))
    return component, sort_union(edges, weight, component, position, sizes)
