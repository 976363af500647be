"""Return probabilities of random walks estimated from random signs, for graphs too large for exact ones."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gnnlab.graph._random_signs import random_signs
from gnnlab.ops import CSR, aggregate

__all__ = ["estimate_returns"]

_BLOCK = 16  # probes side by side


def estimate_returns(edge_index: Tensor, ptr: Tensor, weight: Tensor, steps: int, probes: int, seed: int) -> Tensor:
    """[N, steps], the mean over random signs z of ``(P^a z)_v ((P^T)^b z)_v`` with a + b = t, a = b or a = b + 1.

    Its expectation is ``sum_u (P^a)_vu (P^b)_uv``, and both factors are half a walk long, where ``z_v (P^t z)_v`` has
    the noise of a whole one. The first step is exact: the self-loops.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        weight: [E], entries of P.
        steps: At least 1.
        probes: Number of sign vectors.
        seed: Of the signs, which depend on it and the graph alone.
    """
    num_nodes = int(ptr[-1])
    nodes = torch.arange(num_nodes, device=ptr.device).expand(2, -1)
    forth = partial(aggregate, adj=CSR.from_edge_index(edge_index.flip(0), num_nodes), edge_weight=weight)
    back = partial(aggregate, adj=CSR.from_edge_index(edge_index, num_nodes), edge_weight=weight)
    result = weight.new_zeros(num_nodes, steps)
    for first in range(0, probes, _BLOCK):
        signs = random_signs(nodes, edge_index, ptr, seed, first, min(first + _BLOCK, probes)).to(weight.dtype)
        here = there = signs
        for step in range(1, steps + 1):
            if step % 2:
                here = forth(here)
            else:
                there = back(there)
            result[:, step - 1] += (here * there).sum(1)
    result /= probes
    loops = edge_index[0] == edge_index[1]
    result[:, 0] = weight.new_zeros(num_nodes).index_add_(0, edge_index[0, loops], weight[loops])
    return result
