"""What every rewiring has in common: it is a transform that edits edges and says which ones it added."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.rewiring._edits import EdgeFill, Edits, apply_edits, check_fill
from gnnlab.transform import Transform, graph_ptr

__all__ = ["Rewiring"]


@dataclass(frozen=True, repr=False)
class Rewiring(Transform):
    """A transform that adds (and removes) edges; subclasses say which in :meth:`edits`.

    Added edges come after the ones a graph had. They are told apart by ``edge_type`` and numbered in
    ``edge_order``; the policy for their ``edge_attr`` is explicit, their ``edge_weight`` is 1 where the
    graph has weights.

    Args:
        fill: ``edge_attr`` of the added edges: a constant, or ``"mean"`` over the edges of the graph.
        relation: ``edge_type`` of the added edges (of the first kind, if there are several).

    Shapes:
        writes ``edge_index`` [2, E'], ``edge_type`` [E'] long (0 = original), ``edge_order`` [E'] long (0 =
        original, then 1, 2, ... in the order of addition), and ``edge_attr``, ``edge_weight`` if present.
    """

    fill: EdgeFill = field(default=0.0, kw_only=True)
    relation: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        check_fill(self.fill, type(self).__name__)
        if self.relation < 0:
            raise ConfigError(f"relation must be at least 0, got {self.relation}", where=type(self).__name__)

    def forward(self, data: Data) -> Data:
        return apply_edits(data, self.edits(data.edge_index, graph_ptr(data)), self.fill, self.relation)

    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        """Edges to add and to remove in the union of ``edge_index`` [2, E] and ``ptr`` [G + 1]."""
        raise NotImplementedError(f"{type(self).__name__} does not implement edits(edge_index, ptr)")
