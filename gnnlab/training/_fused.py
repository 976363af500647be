"""One pass over all parameters on the CPU, where torch's optimisers by default take several per parameter."""

from __future__ import annotations

from torch.optim import Optimizer

__all__ = ["fused"]


def fused(optimizer: Optimizer) -> Optimizer:
    """Switch on the fused step of an optimiser that has one, unless its arguments decide otherwise.

    On a GPU torch's default is fast already. State is made at the first step, so none has to be moved.
    """
    for group in optimizer.param_groups:
        free = group.get("fused", False) is None and group.get("foreach") is None and not group.get("differentiable")
        if free and all(p.device.type == "cpu" and p.is_floating_point() for p in group["params"]):
            group["fused"] = True
    return optimizer
