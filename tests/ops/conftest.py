"""The graphs every operation must survive."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnnlab.ops import backend_report

_GRAPHS = {
    "no nodes": (0, []),
    "one node": (1, []),
    "no edges": (4, []),
    "self-loop": (1, [(0, 0)]),
    "duplicates": (3, [(0, 1), (0, 1), (2, 1), (0, 1), (1, 1)]),
    "hub": (9, [(u, 4) for u in range(9)] + [(4, u) for u in range(0, 9, 2)]),
    "shuffled": (5, [(3, 1), (0, 4), (1, 1), (4, 0), (2, 1), (0, 1), (3, 4)]),
}


@pytest.fixture(params=_GRAPHS.values(), ids=_GRAPHS)
def graph(request: pytest.FixtureRequest) -> tuple[Tensor, int]:
    """(edge_index, num_nodes)."""
    num_nodes, edges = request.param
    return torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous(), num_nodes


@pytest.fixture(params=["numba", "torch", "reference"], scope="session")
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend of the CPU, one after the other."""
    reasons = {status.name: status.reason for status in backend_report() if "not on cpu" in status.reason}
    if request.param in reasons:
        pytest.skip(reasons[request.param])
    return request.param
