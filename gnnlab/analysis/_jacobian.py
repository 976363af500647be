"""Derivatives of node states with respect to earlier node states, for all graphs of a union in one backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.analysis._states import node_states
from gnnlab.errors import GraphError

__all__ = ["backward", "differentiable_states", "evaluation", "rounds"]


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and gradients for all parameters, and every flag as it was afterwards.

    Outside evaluation mode batch normalisation mixes the nodes of all graphs and dropout makes every pass another
    function. The parameters carry gradients so that the encoder's output does, which the derivatives start from.
    """
    modes = [(module, module.training) for module in model.modules()]
    needed = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval()
    for parameter, _ in needed:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, flag in needed:
            parameter.requires_grad_(flag)


def differentiable_states(model: nn.Module, batch: Data, where: str) -> list[Tensor]:
    """States of the nodes, the first of which has a gradient even where it is the input itself."""
    if batch.get("x") is not None and batch.x.is_floating_point():
        features = batch.x.detach().requires_grad_(True)
        batch = copy(batch)
        batch.x = features
    states = node_states(model, batch, where)
    if not states[0].requires_grad:
        raise GraphError(
            f"the first states of {type(model).__name__} depend on nothing that has a gradient",
            where=where,
            hint="float features x, or an encoder with parameters",
        )
    return states


def backward(output: Tensor, inputs: list[Tensor], cotangent: Tensor) -> tuple[Tensor, ...]:
    """Vector-Jacobian products, zero where the output does not depend on an input; the graph stays for the next."""
    if not output.requires_grad:
        return tuple(torch.zeros_like(state) for state in inputs)
    return torch.autograd.grad(output, inputs, cotangent, retain_graph=True, allow_unused=True, materialize_grads=True)


def rounds(graph: Tensor, num_graphs: int) -> list[Tensor]:
    """Places of the targets in rounds with at most one target per graph, given the graph [T] of every target."""
    order = graph.argsort(stable=True)
    count = torch.bincount(graph, minlength=num_graphs)
    rank = torch.arange(graph.numel(), device=graph.device) - (count.cumsum(0) - count)[graph[order]]
    by_rank = order[rank.argsort(stable=True)]
    return list(by_rank.split(torch.bincount(rank).tolist())) if graph.numel() else []
