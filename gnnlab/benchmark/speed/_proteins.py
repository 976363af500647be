"""Generated graphs that look like proteins of the TU datasets."""

from __future__ import annotations

import random

import networkx as nx
import torch
from torch import Tensor

__all__ = ["proteins"]


def proteins(count: int, mean_nodes: int = 33) -> tuple[Tensor, Tensor]:
    """Chains closed to rings, every node joined to its two nearest on either side, one bond in ten led elsewhere."""
    draw = random.Random(0)
    ends, ptr = [], [0]
    for number in range(count):
        size = max(8, round(draw.gauss(mean_nodes, 0.4 * mean_nodes)))
        graph = nx.watts_strogatz_graph(size, 4, 0.1, seed=number)
        ends.append(torch.tensor(list(graph.edges)).t() + ptr[-1])
        ptr.append(ptr[-1] + size)
    edges = torch.cat(ends, 1)
    return torch.cat([edges, edges.flip(0)], 1), torch.tensor(ptr)
