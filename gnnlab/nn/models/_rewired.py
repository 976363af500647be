"""Many weightings of one graph as one union: pairs of a batch in rows, copies of an adjacency."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gnnlab.nn._message_passing import Edges, propagate
from gnnlab.ops import CSR, expand_ptr, ragged_arange

__all__ = ["Rows", "copies_of", "reads_of", "rows_of", "undirected_pairs"]


class Rows(NamedTuple):
    """Where the pairs of a batch lie in a padded table with one row per graph.

    Args:
        place: [P] long, place of every pair in the flattened table.
        mask: [G, width] bool, places that hold a pair.
    """

    place: Tensor
    mask: Tensor

    @property
    def count(self) -> Tensor:
        """[G] long, pairs of every graph."""
        return self.mask.sum(1)

    def pad(self, values: Tensor) -> Tensor:
        """[..., P] to [..., G, width], 0 where there is no pair."""
        flat = values.new_zeros(*values.shape[:-1], self.mask.numel())
        return flat.index_copy(-1, self.place, values).unflatten(-1, self.mask.shape)

    def flatten(self, table: Tensor) -> Tensor:
        """[..., G, width] to [..., P]."""
        return table.flatten(-2).index_select(-1, self.place)


def rows_of(pairs: Tensor, ptr: Tensor) -> Rows:
    """The rows of node pairs [2, P], in any order."""
    graph = expand_ptr(ptr)[pairs[0]]
    counts = torch.bincount(graph, minlength=ptr.numel() - 1)
    width = int(counts.max()) if counts.numel() else 0
    order = graph.argsort(stable=True)
    inside = torch.empty_like(order).index_copy_(0, order, ragged_arange(counts, order.numel()))
    return Rows(graph * width + inside, torch.arange(width, device=graph.device) < counts[:, None])


def undirected_pairs(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of different nodes joined by edges, each once.

    Shapes:
        returns pairs [2, M] with row 0 < row 1; [E'] edges that are no loops; and [E'] the pair of each.
    """
    proper = (edge_index[0] != edge_index[1]).nonzero().squeeze(1)
    low, high = edge_index[:, proper].aminmax(dim=0)
    key, pair = (low * num_nodes + high).unique(return_inverse=True)
    return torch.stack([key // max(num_nodes, 1), key % max(num_nodes, 1)]), proper, pair


def copies_of(edges: Edges, weight: Tensor) -> Edges:
    """A union of one copy of the graph per row of ``weight`` [C, E]; the structure is sorted once, not C times."""
    copies, adj = weight.size(0), edges.adj
    nodes = torch.arange(copies, device=weight.device)[:, None] * (adj.ptr.numel() - 1)
    slots = torch.arange(copies, device=weight.device)[:, None] * adj.src.numel()
    attr = None if edges.attr is None else edges.attr.repeat(copies, 1)
    tiled = CSR(
        _pointers(adj.ptr, slots, copies),
        _shifted(adj.src, nodes),
        _pointers(adj.ptr_t, slots, copies),
        _shifted(adj.dst, nodes),
        _shifted(adj.eid_t, slots),
        None if adj.eid is None else _shifted(adj.eid, slots),
    )
    edge_index = (edges.edge_index[:, None] + nodes).flatten(1)
    kind = None if edges.type is None else edges.type.repeat(copies)
    return Edges(tiled, edge_index, attr, weight.flatten(), kind)


@torch.no_grad()
def reads_of(conv: nn.Module, accepted: frozenset[str], channels: int) -> tuple[bool, bool]:
    """Whether an edge of weight 0 is no edge to a convolution, and whether it reads edge features: tried out.

    Many take arguments, for one signature, that they ignore.
    """
    x = torch.linspace(-1, 1, 3 * channels).view(3, channels)
    # A negative and a positive message stay, so that neither a mean nor an extremum overlooks one of weight 0.
    edge_index = torch.tensor([[0, 2, 2, 1], [1, 0, 1, 0]])

    def output(count: int, weight: float = 1.0, feature: float = 0.0) -> Tensor:
        index, attr = edge_index[:, :count], torch.full((count, channels), feature)
        weights = torch.tensor([1, 1, weight, weight])[:count]
        return propagate(conv, accepted, x, Edges(CSR.from_edge_index(index, 3), index, attr, weights))[0]

    training = conv.training
    conv.eval()
    absent = torch.allclose(output(4, weight=0.0), output(2))
    weighted = not torch.equal(output(4, weight=2.0), output(4))
    featured = not torch.equal(output(4, feature=1.0), output(4))
    conv.train(training)
    return absent and weighted, featured


def _shifted(index: Tensor, offsets: Tensor) -> Tensor:
    return (index + offsets.int()).flatten()


def _pointers(ptr: Tensor, offsets: Tensor, copies: int) -> Tensor:
    return torch.cat([_shifted(ptr[:-1], offsets), copies * ptr[-1:]])
