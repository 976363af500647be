"""The states of a model's nodes, layer by layer."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError

__all__ = ["node_states"]


def node_states(model: nn.Module, batch: Data, where: str) -> list[Tensor]:
    """``model.states(batch)``, a row per node each.

    Raises:
        ConfigError: a model without states, or with states of pairs or tuples (its ``state_level``).
    """
    name = type(model).__name__
    if not hasattr(model, "states"):
        raise ConfigError(f"{name} has no states", where=where, hint="pass a model such as gnnlab.nn.GNN")
    level = getattr(model, "state_level", "node")
    if level != "node":
        raise ConfigError(f"{name} has states of {level}s, not of nodes", where=where)
    states = model.states(batch)
    for state in states:
        if state.dim() != 2 or state.size(0) != batch.num_nodes:
            raise ConfigError(
                f"states of {name} have the shape {list(state.shape)}, not a row for each of {batch.num_nodes} nodes",
                where=where,
            )
    return states
