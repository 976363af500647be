"""Relative random-walk probabilities, of nodes and of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._pairs import PairEncoding
from gnnlab.errors import ConfigError
from gnnlab.graph import walk_probabilities
from gnnlab.transform import graph_ptr

__all__ = ["RRWP"]


@dataclass(frozen=True, repr=False)
class RRWP(PairEncoding):
    r"""Relative random-walk probabilities, the encoding of GRIT.

    "Graph Inductive Biases in Transformers without Message Passing" (Ma et al., ICML 2023, arXiv 2305.17589):

    .. math::
        p_{(u, v)} = \big[I, P, P^2, \dots, P^{K-1}\big]_{vu}, \qquad p_v = p_{(v, v)}, \qquad P = D^{-1} A

    A pair (u, v), row 0 and row 1 of the index, is read as a message from u to the v that aggregates it, and gets the
    probability of a walk from v to u, as in the authors' code: over all u, the values of one v sum to 1 at every
    step. Edges are walked from source to target. ``edge_weight`` is used if the graph has one, duplicate edges add
    up, and self-loops are steps that stay. A walk ends at a node without outgoing edges: an isolated node has 1 at
    step 0 and zeros after it. The authors encode all pairs with non-zero values; that is ``pairs="all"`` on connected
    graphs of small diameter, while ``pairs="edges"`` is what attention along the edges needs.

    Cost: K E c multiply-adds with c at most the nodes of a component, and K P values for P pairs, read off block by
    block: nothing of size n^2 K is held unless it is asked for (``pairs="all"``: 52 kB for 25 nodes, 1.9 MB for
    150). Refused above ``max_work`` or ``max_gigabytes``, as on most graphs of 1e5 nodes with small diameter.

    Args:
        walk_length: Number K of powers, the identity included.
        name: Of the attributes.
        max_work: Multiply-adds above which the work is refused.
        pairs: See :class:`gnnlab.encodings._pairs.PairEncoding`, as ``hops`` and ``max_gigabytes``.

    Shapes:
        writes ``pe_<name>`` [N, walk_length] float32, and ``edge_pe_<name>`` [E, walk_length] or ``pair_index`` and
        ``pair_pe_<name>`` [P, walk_length].

    Raises:
        ConfigError: ``walk_length`` below 1, or unknown ``pairs``.
        BudgetError: more than ``max_work`` or ``max_gigabytes``.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> encoded = RRWP(walk_length=3)(path)
        >>> encoded.pe_rrwp.tolist()
        [[1.0, 0.0, 0.5], [1.0, 0.0, 1.0], [1.0, 0.0, 0.5]]
        >>> encoded.edge_pe_rrwp[0].tolist()  # from node 0 to node 1, which has two neighbours
        [0.0, 0.5, 0.0]
    """

    walk_length: int = 21
    name: str = "rrwp"
    max_work: float = 1e13

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.walk_length < 1:
            raise ConfigError(f"walk_length must be at least 1, got {self.walk_length}", where="RRWP")

    @property
    def pair_channels(self) -> int:
        return self.walk_length

    def forward(self, data: Data) -> Data:
        edge_index, ptr, weight = data.edge_index, graph_ptr(data), data.get("edge_weight")

        nodes, steps = torch.arange(data.num_nodes, device=ptr.device).expand(2, -1), self.walk_length - 1

        def encode(pairs: Tensor) -> Tensor:
            # Nodes come along with the pairs, so that walks are taken once.
            both = torch.cat([nodes, pairs.flip(0)], 1)
            values = walk_probabilities(edge_index, ptr, both, steps, weight, max_work=self.max_work)
            data[f"pe_{self.name}"] = values[: nodes.size(1)].clone()
            return values[nodes.size(1) :]

        if self.pairs is None:
            encode(nodes[:, :0])
        self.write_pairs(data, self.name, encode)
        return data
