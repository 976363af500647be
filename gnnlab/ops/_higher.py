"""Higher derivatives of a fused operation, through the same formula composed of simpler ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["differentiated"]


def differentiated(
    function: Callable[..., tuple[Tensor, ...]], inputs: Sequence, grad_outputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """Gradients of every input that wants one, themselves part of the graph.

    A fused backward kernel cannot be differentiated again; a backward pass that records (``create_graph``)
    therefore recomputes the forward pass from operations that can be.
    """
    wanted = [place for place, value in enumerate(inputs) if isinstance(value, Tensor) and value.requires_grad]
    outputs = function(*inputs)
    found = torch.autograd.grad(
        outputs, [inputs[place] for place in wanted], grad_outputs, create_graph=True, allow_unused=True
    )
    grads: list[Tensor | None] = [None] * len(inputs)
    for place, grad in zip(wanted, found, strict=True):
        grads[place] = grad
    return grads
