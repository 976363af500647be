"""Encoder of node pairs: their encoding, and the features of the edges among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.nn._reset import reset
from gnnlab.nn.encoders._read import encoding
from gnnlab.nn.encoders.positional import LinearPEEncoder
from gnnlab.ops import scatter_reduce

__all__ = ["PairEncoder"]


class PairEncoder(nn.Module):
    r"""States of node pairs, as "Graph Inductive Biases in Transformers without Message Passing" starts from (GRIT).

    (Ma et al., ICML 2023, arXiv 2305.17589)

    .. math::
        e_{uv} = W p_{uv} + b + \sum_{\text{edges } u \to v} \mathrm{edge}(a_{uv})
            + [u = v]\, s + [u \to v \text{ is an edge}]\, t

    Edges that are not among the pairs add nothing.

    Args:
        channels: Width of the output.
        attribute: Name of the encoding of the pairs.
        in_channels: Its width.
        edge: Factory (channels) of the encoder of ``edge_attr``, added at pairs that are edges; ``None`` leaves
            edge features out.
        marks: Whether vectors s and t are learned, for a node with itself and for an edge.
        raw_norm: ``batch`` for BatchNorm of the raw encoding, ``None`` for none.

    Shapes:
        * **batch.pair_index:** [2, P] long, every pair once
        * **batch.<attribute>:** [P, in_channels]
        * **batch.edge_index**, **batch.edge_attr:** [2, E], [E, D]; read with ``edge``, the first also with ``marks``
        * **output:** [P, channels], in the order of ``pair_index``

    Raises:
        GraphError: a missing attribute, or one of another length or width.

    Example:
        >>> data = Data(num_nodes=2, pair_index=torch.tensor([[0, 1, 1], [0, 0, 1]]), pair_pe_rrwp=torch.rand(3, 21))
        >>> PairEncoder(8)(data).shape
        torch.Size([3, 8])
    """

    def __init__(
        self,
        channels: int,
        attribute: str = "pair_pe_rrwp",
        in_channels: int = 21,
        edge: Callable[[int], nn.Module] | None = None,
        marks: bool = False,
        raw_norm: Literal["batch"] | None = None,
    ) -> None:
        super().__init__()
        self.out_channels = channels
        self.encoding = LinearPEEncoder(attribute, in_channels, channels, raw_norm)
        self.edge = None if edge is None else edge(channels)
        self.marks = nn.Embedding(2, channels) if marks else None

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, batch: Data) -> Tensor:
        pairs = encoding(batch, "pair_index", "PairEncoder")
        states = self.encoding(batch)
        if states.size(0) != pairs.size(1):
            raise GraphError(
                f"'{self.encoding.attribute}' has {states.size(0)} rows, but there are {pairs.size(1)} pairs",
                where="PairEncoder",
            )
        if self.edge is None and self.marks is None:
            return states
        place = _places(batch, pairs)
        if self.edge is not None:
            states = states + self._of_edges(batch, place, states)
        if self.marks is not None:
            is_edge = torch.zeros(pairs.size(1) + 1, dtype=torch.bool, device=pairs.device).index_fill(0, place, True)
            marks = torch.stack([pairs[0] == pairs[1], is_edge[:-1]], dim=1)
            states = states + marks.to(states.dtype) @ self.marks.weight
        return states

    def _of_edges(self, batch: Data, place: Tensor, states: Tensor) -> Tensor:
        if batch.get("edge_attr") is None:
            raise GraphError(
                "the batch has no 'edge_attr' for the edge encoder",
                where="PairEncoder",
                hint="leave out edge= of the PairEncoder",
            )
        edges = self.edge(batch.edge_attr).to(states.dtype)
        return scatter_reduce(edges, place, states.size(0) + 1)[:-1]


def _places(batch: Data, pairs: Tensor) -> Tensor:
    """[E] row of every edge among the pairs; P for an edge that is not among them."""
    edges, nodes = encoding(batch, "edge_index", "PairEncoder"), batch.num_nodes
    count = pairs.size(1)
    keys, order = (pairs[1] * nodes + pairs[0]).sort()
    wanted = edges[1] * nodes + edges[0]
    # One more key than there are pairs: no key is beyond the end, and what is not found lands on the extra row.
    keys = torch.cat([keys, keys.new_full((1,), -1)])
    order = torch.cat([order, order.new_full((1,), count)])
    slot = torch.searchsorted(keys[:-1], wanted)
    return torch.where(keys[slot] == wanted, order[slot], count)
