"""Effective resistance as node and pair encodings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._pairs import PairEncoding
from gnnlab.errors import ConfigError, nearest
from gnnlab.graph import connected_components, effective_resistance, resistance_statistics, sketch_dimensions
from gnnlab.transform import graph_ptr

__all__ = ["ResistancePE"]

_METHODS = ("auto", "dense", "sketch")


@dataclass(frozen=True, repr=False)
class ResistancePE(PairEncoding):
    r"""Effective resistances and commute times: how well nodes are joined by all ways at once.

    "Rethinking the Expressive Power of GNNs via Graph Biconnectivity" (Zhang et al., ICLR 2023, arXiv 2301.09505)
    feeds them to attention; "On Over-Squashing in Message Passing Neural Networks" (Di Giovanni et al., ICML 2023,
    arXiv 2302.02941) ties them to what messages can carry. With the Laplacian L of component c of n nodes,

    .. math:: R_{st} = L^+_{ss} + L^+_{tt} - 2 L^+_{st}, \qquad C_{st} = R_{st} \sum_{v \in c} d_v

    Nodes get the mean, standard deviation, minimum and maximum of :math:`R_{st}` over the other nodes t of their
    component, and :math:`L^+_{ss}`, by which current-flow closeness ranks them; a node on its own gets zeros.
    Pairs get :math:`(R_{st}, C_{st}, 1)`, pairs of different components (where both are infinite) (0, 0, 0), so the
    last column tells them from a node and itself. ``edge_weight`` conducts if the graph has one, duplicate edges
    conduct together, directions and self-loops are ignored.

    Cost: time O(sum of n^3) and memory O(n^2) float64 for components of n nodes, in stacks of similar size, once for
    nodes and once for pairs. Components of more than 10,000 nodes are estimated from :math:`k = 2 / \epsilon^2`
    solutions of Laplacian systems with a relative error of :math:`\epsilon` (rms): memory O(k n) and about O(k E) time
    for pairs; nodes take O(k n^2) time and are refused beyond 10^13 products (2e5 nodes at the default), where
    ``node=False`` or a larger ``epsilon`` helps. See :func:`gnnlab.graph.resistance_statistics` for their errors.
    Estimates depend on the numbering of the nodes (by no more than their error), and not on the rest of a batch.

    Args:
        node: Whether nodes are encoded too.
        scale: ``None``; ``"n"`` divides everything but the last column of pairs by the number of nodes of the component
            (then R < 1 without weights); ``"log"`` takes log(1 + value).
        method: ``"dense"`` (every component as a dense matrix), ``"sketch"`` (none) or ``"auto"`` (by size).
        epsilon: Relative error (rms) of estimates.
        seed: Of the estimates.
        name: Of the attributes.
        pairs, hops, max_gigabytes: Which pairs, see :class:`PairEncoding`; edges by default.

    Shapes:
        writes ``pe_<name>`` [N, 5] float32 and, for pairs, ``edge_pe_<name>`` [E, 3] or ``pair_pe_<name>`` [P, 3].

    Raises:
        BudgetError: work refused as above, or more than ``max_gigabytes`` of pairs.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> encoded = ResistancePE(pairs="all")(path)
        >>> encoded.pe_resistance[0, :4].tolist(), encoded.pair_pe_resistance[2].tolist()
        ([1.5, 0.5, 1.0, 2.0], [2.0, 8.0, 1.0])
    """

    node: bool = True
    scale: str | None = None
    method: str = "auto"
    epsilon: float = 0.1
    seed: int = 0
    name: str = "resistance"

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        sketch_dimensions(self.epsilon)
        for field, known in (("scale", _SCALES), ("method", _METHODS)):
            value = getattr(self, field)
            if value not in known:
                hint = nearest(str(value), map(str, known))
                raise ConfigError(f"unknown {field} {value!r}", where="ResistancePE", hint=hint)

    @property
    def pair_channels(self) -> int:
        return 3

    def forward(self, data: Data) -> Data:
        ptr, weight = graph_ptr(data), data.get("edge_weight")
        options = {"method": self.method, "epsilon": self.epsilon, "seed": self.seed}
        component, volume = _components(data.edge_index, int(ptr[-1]), weight)
        size = torch.bincount(component)[component].double()
        rescale = _SCALES[self.scale]

        def encode(pairs: Tensor) -> Tensor:
            # The same both ways, and pairs tend to come by their second node.
            resistance = effective_resistance(data.edge_index, ptr, pairs.flip(0), weight, **options)
            joined = component[pairs[0]] == component[pairs[1]]
            resistance = torch.where(joined, resistance, 0.0)
            values = torch.stack([resistance, resistance * volume[component[pairs[0]]]], 1)
            return torch.cat([rescale(values, size[pairs[0], None]), joined[:, None]], 1)

        if self.node:
            values = resistance_statistics(data.edge_index, ptr, weight, **options)
            data[f"pe_{self.name}"] = rescale(values, size[:, None]).float()
        self.write_pairs(data, self.name, encode)
        return data


def _components(edge_index: Tensor, num_nodes: int, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """[N] component of every node, and [N] the sum of the degrees of every component (zeros follow the last one)."""
    conducts = edge_index[0] != edge_index[1]
    if weight is not None:
        conducts &= weight != 0
    source = edge_index[0, conducts]
    conductance = torch.ones_like(source, dtype=torch.float64) if weight is None else weight[conducts].double()
    component = connected_components(edge_index[:, conducts], num_nodes)
    volume = conductance.new_zeros(num_nodes).index_add_(0, component[source], conductance)
    return component, volume


_SCALES: dict[str | None, Callable[[Tensor, Tensor], Tensor]] = {
    None: lambda values, size: values,
    "n": lambda values, size: values / size,
    "log": lambda values, size: values.log1p(),
}
