"""What the nodes of a cooperative network do: shares of actions and of kept edges, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError

__all__ = ["ACTIONS", "ActionStatistics", "action_statistics"]

ACTIONS = ("standard", "listen", "broadcast", "isolate")
"""Names of the actions 0 to 3."""


@dataclass(frozen=True)
class ActionStatistics:
    """Shares over all nodes and edges seen, per layer.

    Args:
        actions: [L, 4] float64, share of the nodes that take each of :data:`ACTIONS`; rows sum to 1 (or are 0 without
            nodes).
        kept: [L] float64, share of the edges along which messages pass; 0 without edges.
        num_nodes: Nodes seen.
        num_edges: Edges seen.
    """

    actions: Tensor
    kept: Tensor
    num_nodes: int
    num_edges: int

    def rows(self) -> list[dict[str, float]]:
        """A dictionary per layer, for a data frame."""
        table = zip(self.actions.tolist(), self.kept.tolist(), strict=True)
        return [
            {"layer": layer, **dict(zip(ACTIONS, shares, strict=True)), "kept edges": kept}
            for layer, (shares, kept) in enumerate(table)
        ]

    def __str__(self) -> str:
        lines = [f"{'layer':>5}" + "".join(f"{name:>12}" for name in (*ACTIONS, "kept edges"))]
        for layer, (shares, kept) in enumerate(zip(self.actions.tolist(), self.kept.tolist(), strict=True)):
            lines.append(f"{layer:>5}" + "".join(f"{100 * share:>10.1f} %" for share in (*shares, kept)))
        return "\n".join(lines)


@torch.no_grad()
def action_statistics(model: nn.Module, loader: Iterable[Data], mask: str | None = None) -> ActionStatistics:
    """Count what the nodes of all batches do, in evaluation mode.

    Finkelshtein et al. (ICML 2024) plot the kept edges of trained models layer by layer: those on Cora fade out, those
    on roman-empire come in.

    Args:
        model: A :class:`gnnlab.nn.CoGNN`, or anything with its method ``actions``.
        loader: Batches, or a list of graphs.
        mask: Name of a node mask such as ``test_mask``: only these nodes count, and the edges among them.

    Raises:
        ConfigError: a model without actions.
        GraphError: no batch, or a batch without the mask.

    Example:
        >>> from gnnlab.nn import CoGNN
        >>> graph = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> table = action_statistics(CoGNN(1, num_layers=2, in_channels=3), [graph])
        >>> table.actions.sum(1).tolist(), table.num_edges
        ([1.0, 1.0], 2)
    """
    if not hasattr(model, "actions"):
        raise ConfigError(
            f"{type(model).__name__} takes no actions", where="action_statistics", hint="pass a gnnlab.nn.CoGNN"
        )
    training = model.training
    model.eval()
    try:
        counts = [_counts(model, batch, mask) for batch in loader]
    finally:
        model.train(training)
    if not counts:
        raise GraphError("the loader has no batch", where="action_statistics")
    actions, kept, edges = (torch.stack(parts).sum(0) for parts in zip(*counts, strict=True))
    nodes = actions.sum(1, keepdim=True)
    return ActionStatistics(actions / nodes.clamp(min=1), kept / edges.clamp(min=1), int(nodes[0]), int(edges))


def _counts(model: nn.Module, batch: Data, mask: str | None) -> tuple[Tensor, Tensor, Tensor]:
    """[L, 4] nodes by action, [L] kept edges and 0-d edges of one batch, in float64 on the CPU."""
    layers = model.actions(batch)
    nodes, edges = slice(None), slice(None)
    if mask is not None:
        nodes = batch.get(mask)
        if nodes is None:
            raise GraphError(f"the batch has no '{mask}'", where="action_statistics")
        source, target = batch.edge_index
        edges = nodes[source] & nodes[target]
    actions = torch.stack([torch.bincount(layer.action[nodes], minlength=4) for layer in layers])
    weights = torch.stack([layer.weight[edges].double() for layer in layers])
    return actions.double().cpu(), weights.sum(1).cpu(), torch.tensor(float(weights.size(1)))
