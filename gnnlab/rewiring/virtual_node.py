"""A node that is a neighbour of all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.graph._check import check_union
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import apply_edits, both_ways
from gnnlab.rewiring._nodes import add_nodes
from gnnlab.transform import graph_ptr

__all__ = ["VirtualNode"]


@dataclass(frozen=True, repr=False)
class VirtualNode(Rewiring):
    r"""Adds nodes to every graph that are joined to all its nodes in both directions.

    The master node of "Neural Message Passing for Quantum Chemistry" (Gilmer et al., ICML 2017, arXiv 1704.01212),
    as a node like any other: any two nodes are two steps apart, and every layer reads and writes it by message
    passing over one more relation. (:class:`gnnlab.nn.VirtualNode` is the other form, that of OGB's baselines: a state
    of the model between its layers, with parameters of its own.)

    New nodes come at the end of their graph with ``node_type`` 1. They are zeros in ``x`` (category 0), ``pos`` and
    encodings, unlabelled in a ``y`` of nodes and in no split, so nothing is learned or scored on them. A readout
    over the nodes of a graph counts them like any other node. Components are joined, and a graph without nodes
    becomes one of its new nodes alone. Encodings that come before this step do not see the new nodes, those after
    it do.

    Args:
        num_nodes: New nodes per graph; they are not joined to each other.

    Shapes:
        writes ``node_type`` [N'] long (0 = original), and what :class:`Rewiring` writes.

    Example:
        >>> path = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> out = VirtualNode()(path)
        >>> out.node_type.tolist(), out.edge_index[:, out.edge_type == 1].tolist()
        ([0, 0, 0, 1], [[3, 3, 3, 0, 1, 2], [0, 1, 2, 3, 3, 3]])
    """

    num_nodes: int = 1

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_nodes < 1:
            raise ConfigError(f"num_nodes must be at least 1, got {self.num_nodes}", where="VirtualNode")

    def forward(self, data: Data) -> Data:
        sizes = graph_ptr(data).diff()
        check_union(data.edge_index, graph_ptr(data))
        data, added = add_nodes(data, torch.full_like(sizes, self.num_nodes))
        neighbours = sizes.repeat_interleave(self.num_nodes)
        new = expand_ptr(torch.cat([sizes.new_zeros(1), neighbours.cumsum(0)]))
        graph = new // self.num_nodes
        pairs = torch.stack([added[new], graph_ptr(data)[graph] + ragged_arange(neighbours, new.numel())])
        return apply_edits(data, both_ways(pairs), self.fill, self.relation)
