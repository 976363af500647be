"""Back to initial values, for modules that know how."""

from __future__ import annotations

from torch import nn

__all__ = ["reset"]


def reset(module: nn.Module | None) -> None:
    """Call ``reset_parameters`` of the module, or else of its children, so that nothing is forgotten."""
    if module is None:
        return
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
        return
    for child in module.children():
        reset(child)
