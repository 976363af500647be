"""What depth does to gradients: how much of a signal at the last layer arrives at every layer before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.analysis._jacobian import backward, differentiable_states, evaluation
from gnnlab.errors import ConfigError
from gnnlab.ops import expand_ptr
from gnnlab.transform import graph_ptr

__all__ = ["GradientGain", "gradient_gain"]


@dataclass(frozen=True)
class GradientGain:
    """Estimated gains from every layer to the last one.

    Args:
        value: [L + 1, G] float64, one row per entry of ``model.states(batch)``; 0 for a graph without nodes.
        error: [L + 1, G] float64, standard error.
    """

    value: Tensor
    error: Tensor


def gradient_gain(model: nn.Module, batch: Data, probes: int = 8, seed: int = 0) -> GradientGain:
    r"""Estimate how gradients grow or vanish with depth, for every graph (Di Giovanni et al., ICML 2023).

    .. math:: \gamma_l = \lVert \partial h^{(m)} / \partial h^{(l)} \rVert_F \,/\, \sqrt{n p}

    of all nodes and channels together, relative to the identity: 1 at the last layer. Gradients that vanish have
    gains that decay towards the first layer, whatever the distance; a graph that squashes has gains near 1 but a
    sensitivity that decays with the distance (:func:`influence_by_hop`). One backward pass per probe serves all layers
    and graphs: with random signs g, :math:`E \lVert g^\top J \rVert^2 = \lVert J \rVert_F^2`.

    Cost: ``probes`` backward passes.

    Args:
        model: A model with ``states(batch)``, one row per node.
        batch: The union.
        probes: Number of random signs, at least 2.
        seed: Of the signs; a graph gets the same alone and in a union.

    Raises:
        ConfigError: a model without states of nodes, or fewer than 2 probes.
        GraphError: first states without a gradient.

    Example:
        >>> from gnnlab.nn import GNN
        >>> path = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> gain = gradient_gain(GNN(1, num_layers=3, in_channels=2), path)
        >>> gain.value.shape, float(gain.value[-1])
        (torch.Size([4, 1]), 1.0)
    """
    if probes < 2:
        raise ConfigError(f"an error needs at least 2 probes, got {probes}", where="gradient_gain")
    ptr = graph_ptr(batch)
    graph = expand_ptr(ptr, int(ptr[-1]))
    local = torch.arange(graph.numel(), device=ptr.device) - ptr[graph]
    width = int(ptr.diff().max()) if ptr.numel() > 1 else 0
    samples = []
    with evaluation(model):
        states = differentiable_states(model, batch, "gradient_gain")
        output = states[-1]
        for probe in range(probes):
            # A generator per probe: a wider table of signs begins with the narrower one.
            generator = torch.Generator().manual_seed(seed * 1_000_003 + probe)
            signs = 2 * torch.randint(2, (width, output.size(1)), generator=generator) - 1
            gradients = backward(output, states, signs.to(output)[local])
            zeros = torch.zeros(ptr.numel() - 1, dtype=torch.float64, device=ptr.device)
            samples.append(torch.stack([zeros.index_add(0, graph, g.double().square().sum(1)) for g in gradients]))
    squares = torch.stack(samples) / (ptr.diff() * output.size(1)).clamp(min=1)
    value = squares.mean(0).sqrt()
    error = squares.std(0) / probes**0.5
    return GradientGain(value, torch.where(value > 0, error / (2 * value), 0.0))
