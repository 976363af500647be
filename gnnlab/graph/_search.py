"""What every search over a union starts from."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["by_source", "widest"]


def by_source(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Edges grouped by source: pointers [N + 1] and targets [E]."""
    source, order = torch.sort(edge_index[0])
    pointers = torch.searchsorted(source, torch.arange(num_nodes + 1, device=source.device))
    return pointers, edge_index[1][order]


def widest(ptr: Tensor) -> int:
    """Nodes of the largest graph."""
    return int(ptr.diff().max()) if ptr.numel() > 1 else 0
