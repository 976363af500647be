"""Generated graphs that look like molecules."""

from __future__ import annotations

import random

import networkx as nx
import torch
from torch import Tensor

__all__ = ["molecules"]


def molecules(count: int, mean_nodes: int) -> tuple[Tensor, Tensor]:
    """Random trees of maximum degree 4, and one ring of five or six for every eight nodes."""
    draw = random.Random(0)
    ends, ptr = [], [0]
    for _ in range(count):
        graph = nx.Graph()
        graph.add_node(0)
        for node in range(1, max(8, round(draw.gauss(mean_nodes, 0.15 * mean_nodes)))):
            graph.add_edge(node, draw.choice([other for other in graph if graph.degree(other) < 4]))
        for _ in range(len(graph) // 8):
            start = draw.randrange(len(graph))
            far = [node for node, hops in nx.single_source_shortest_path_length(graph, start, 5).items() if hops > 3]
            free = [node for node in far if graph.degree(node) < 4]
            if free and graph.degree(start) < 4:
                graph.add_edge(start, draw.choice(free))
        ends.append(torch.tensor(list(graph.edges)).t() + ptr[-1])
        ptr.append(ptr[-1] + len(graph))
    edges = torch.cat(ends, 1)
    return torch.cat([edges, edges.flip(0)], 1), torch.tensor(ptr)
