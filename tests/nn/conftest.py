"""Graphs the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data


@pytest.fixture
def edge_index() -> Tensor:
    """Nine nodes: random edges, a self-loop, a duplicate edge, and node 8 on its own."""
    random = torch.randint(8, (2, 20), generator=torch.Generator().manual_seed(1))
    random = random[:, random[0] != random[1]]
    return torch.cat([random, random[:, :1], torch.tensor([[3], [3]])], dim=1)


@pytest.fixture
def molecules() -> Callable[..., Batch]:
    """Builds a batch of small undirected graphs with OGB-like columns and encodings (one has no edge)."""

    def build(sizes: tuple[int, ...] = (6, 1, 4), seed: int = 0) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        graphs = []
        for n in sizes:
            one_way = torch.combinations(torch.arange(n), 2).t()
            one_way = one_way[:, torch.rand(one_way.size(1), generator=generator) < 0.5]
            num_edges = 2 * one_way.size(1)
            mask = torch.arange(4).expand(n, 4) < n
            graphs.append(
                Data(
                    x=torch.randint(2, (n, 9), generator=generator),
                    edge_index=torch.cat([one_way, one_way.flip(0)], dim=1),
                    edge_attr=torch.randint(2, (num_edges, 3), generator=generator),
                    pe_rwse=torch.rand(n, 20, generator=generator),
                    pe_lap=torch.randn(n, 4, generator=generator) * mask,
                    pe_lap_values=torch.rand(n, 4, generator=generator) * mask,
                    pe_lap_mask=mask,
                )
            )
        return Batch.from_data_list(graphs)

    return build
