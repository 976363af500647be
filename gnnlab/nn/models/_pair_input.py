"""First states of all pairs of nodes, for networks that are dense over pairs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, GraphError, nearest
from gnnlab.nn._dense_pairs import DensePairs
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._reset import reset
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.linear import Linear
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer

__all__ = ["PairInput", "check_pairs"]


class PairInput(nn.Module):
    r"""First pair states: :math:`h(u, v) = W [A_{uv}, [u = v]] + \sum_{e = (u, v)} e + [u = v] \, x_u`.

    Args:
        hidden_channels: d.
        in_channels: Width of ``x``, where it is not d already (no encoder).
        edge_channels: Width of the raw edge features, likewise; ``None`` leaves raw ones out.
        encoder: As in :class:`gnnlab.nn.GNN`.
        adjacency: ``plain``, or ``normalised``: :math:`A_{uv} / \sqrt{d_u d_v}` with :math:`d_v = \sum_u A_{uv}`, 0 at
            nodes without.

    Raises:
        ConfigError: unknown ``adjacency``.
    """

    def __init__(
        self,
        hidden_channels: int,
        in_channels: int | None,
        edge_channels: int | None,
        encoder: nn.Module | None,
        adjacency: Literal["plain", "normalised"] = "plain",
    ) -> None:
        super().__init__()
        known = ("plain", "normalised")
        if adjacency not in known:
            raise ConfigError(f"unknown adjacency '{adjacency}'", hint=nearest(str(adjacency), known))
        self.encoder, self.normalise = encoder, adjacency == "normalised"
        self.relation = Linear(2, hidden_channels)
        raw = encoder is None
        self.x = Linear(in_channels, hidden_channels) if raw else None
        self.edge = Linear(edge_channels, hidden_channels) if raw and edge_channels else None

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, batch: Data, where: str, numbers: int, max_gigabytes: float) -> tuple[Tensor, DensePairs]:
        """[P, d] states and the pairs; refused above ``max_gigabytes`` with ``numbers`` for every pair."""
        x, edge_attr = encoded(self.encoder, batch)
        ptr = graph_pointer(batch, x)
        check_pairs(ptr, where, numbers * x.element_size(), max_gigabytes)
        pairs = DensePairs.of(ptr)
        edges = edges_of(batch, edge_attr, x.size(0))
        ends = edges.adj.edge_index.long()
        place = pairs.place(*ends)
        relation = x.new_zeros(pairs.root.numel(), 2)
        one = torch.tensor([0.0, 1.0], dtype=x.dtype, device=x.device)
        weight = x.new_ones(place.numel()) if edges.weight is None else edges.weight.to(x.dtype)
        if self.normalise:
            degree = x.new_zeros(x.size(0)).index_add(0, ends[1], weight)
            scale = torch.where(degree > 0, degree, torch.inf).rsqrt()
            weight = weight * scale[ends[0]] * scale[ends[1]]
        relation = relation.index_add(0, place, torch.stack([weight, torch.zeros_like(weight)], 1))
        relation = relation.index_add(0, pairs.diagonal, one.expand(x.size(0), 2))
        h = self.relation(relation).index_add(0, pairs.diagonal, x if self.x is None else self.x(x))
        attr = self._edge_states(edges)
        return (h if attr is None else h.index_add(0, place, attr)), pairs

    def _edge_states(self, edges: Edges) -> Tensor | None:
        attr = edges.attr.dense() if isinstance(edges.attr, EdgeTable) else edges.attr
        if self.edge is None:
            return None if self.encoder is None else attr
        if attr is None:
            raise GraphError("edge_channels is given, but the batch has no edge features")
        return self.edge(attr)


def check_pairs(ptr: Tensor, where: str, bytes_per_pair: int, max_gigabytes: float) -> None:
    """Refuse a union of which all pairs take too much memory, before any of it is taken.

    Raises:
        BudgetError: with the estimate.
    """
    count = int((ptr.diff().double() ** 2).sum())
    estimate = count * bytes_per_pair / 2**30
    if estimate > max_gigabytes:
        raise BudgetError(
            f"{count:,} pairs of nodes take about {estimate:.1f} GiB, more than max_gigabytes={max_gigabytes:g}",
            where=where,
            hint="take smaller batches or fewer channels, raise max_gigabytes, or take gnnlab.nn.SubgraphGNN on "
            "gnnlab.lifting.NodePairs(policy='ego')",
        )
