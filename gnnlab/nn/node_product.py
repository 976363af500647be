"""Edge weights that are products of a factor of the source and a factor of the target."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gnnlab.ops import CSR, gather_source, gather_target

__all__ = ["NodeProduct"]


class NodeProduct(NamedTuple):
    r"""Weights :math:`w_{uv} = s_u t_v`, kept as two vectors of nodes.

    A weighted sum is then a plain one between two scalings of node states,
    :math:`\sum_{u \to v} w_{uv} x_u = t_v \sum_{u \to v} s_u x_u`, and neither it nor its gradients touch an array of
    size E. A layer with ``reads_node_products`` takes them as ``edge_weight``.

    Args:
        source: [N], s.
        target: [N], t.

    Example:
        >>> import torch
        >>> adj = CSR.from_edge_index(torch.tensor([[0, 1, 1], [1, 0, 1]]), num_nodes=2)
        >>> NodeProduct(torch.tensor([2.0, 3.0]), torch.tensor([5.0, 7.0])).dense(adj).tolist()
        [14.0, 15.0, 21.0]
    """

    source: Tensor
    target: Tensor

    def dense(self, adj: CSR) -> Tensor:
        """[E], the weight of every edge."""
        return gather_source(self.source, adj) * gather_target(self.target, adj)
