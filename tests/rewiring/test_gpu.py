"""Rewirings and graph mathematics on a device give what they give on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from gnnlab import graph
from gnnlab.rewiring import Rewiring
from tests.rewiring.test_every import EVERY, any_input, molecules

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

MEASURES = [
    graph.balanced_forman_curvature,
    graph.augmented_forman_curvature,
    graph.ollivier_ricci_curvature,
    graph.effective_resistance,
    graph.biharmonic_distance,
    graph.commute_time,
    graph.total_effective_resistance,
    graph.spectral_gap,
    graph.diameter,
    graph.shortest_path_distances,
]


@pytest.mark.parametrize("kind", EVERY)
def test_the_same_edges(kind: type[Rewiring]) -> None:
    batch, rewire = Batch.from_data_list(molecules()), any_input(kind)
    expected, got = rewire(batch), rewire(batch.to("cuda"))
    assert got.edge_index.is_cuda
    for key in ("edge_index", "edge_type", "edge_order", "ptr"):
        assert torch.equal(got[key].cpu(), expected[key]), key


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_the_same_numbers(measure) -> None:
    batch = Batch.from_data_list(molecules())
    expected = measure(batch.edge_index, batch.ptr)
    got = measure(batch.edge_index.cuda(), batch.ptr.cuda())
    torch.testing.assert_close(got.cpu(), expected, rtol=1e-8, atol=1e-8)
