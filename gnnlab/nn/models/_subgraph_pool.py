"""From pair states to graph or node states, in two steps."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.nn._tuple_store import Tuples
from gnnlab.nn.models._tuple_parts import PoolLayer
from gnnlab.ops import segment_reduce
from gnnlab.ops._reduce import reduce_rows

__all__ = ["SubgraphPool"]


class SubgraphPool(PoolLayer):
    r"""Pool the nodes of every subgraph (``VS``), every node over subgraphs (``SV``), or keep the root (``root``);
    :math:`\phi(\mathrm{norm}(\mathrm{MLP}(\cdot)))`; pool the graph.

    Args:
        channels: Width of the states.
        order: ``VS``, ``SV`` or ``root``.
        update: Factory (in_channels, out_channels) of the MLP.
        norm: Factory (channels) of the normalisation; ``None`` for none.
        activation: Factory of the activation.
        pairs: Whether the layer is applied to all pairs, as in the released code.
        pool: ``sum`` or ``mean``, of the last step.
        graph: Whether there is a last step.
    """

    def __init__(
        self,
        channels: int,
        order: str,
        update: Callable[[int, int], nn.Module],
        norm: Callable[[int], nn.Module] | None,
        activation: Callable[[], nn.Module],
        pairs: bool,
        pool: str,
        graph: bool,
    ) -> None:
        super().__init__(channels, update, norm, activation)
        self.order, self.pairs, self.pool, self.graph = order, pairs, pool, graph

    def forward(self, h: Tensor, rows: Tuples) -> Tensor:
        layout = rows.by_node if self.order == "SV" else rows.by_root
        pooled = reduce_rows(h, rows.of_roots if self.order == "root" else layout, "sum")
        if self.pairs:
            pooled = reduce_rows(pooled, layout.t, "sum")
        out = super().forward(pooled)
        if self.graph:
            return segment_reduce(out, rows.root_ptr[rows.ptr] if self.pairs else rows.ptr, self.pool)
        return reduce_rows(out, layout, "mean") if self.pairs else out
