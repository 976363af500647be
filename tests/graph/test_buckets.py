"""The sorted layout against plain loops over graphs."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnlab.graph.buckets import size_buckets, sort_union
from gnnlab.ops import ragged_arange
from gnnlab.testing.strategies import unions


@settings(max_examples=60, deadline=None)
@given(unions(max_graphs=5, max_nodes=5))
def test_blocks_hold_every_graph_at_its_place(batch) -> None:
    sizes = batch.ptr.diff()
    weight = torch.arange(1, batch.num_edges + 1, dtype=torch.double)
    union = sort_union(batch.edge_index, weight, batch.batch, ragged_arange(sizes), sizes)
    assert sizes[union.group].tolist() == sorted(sizes.tolist())
    blocks = union.blocks(0, sizes.numel())
    assert blocks.shape == (sizes.numel(), int(sizes.max()), int(sizes.max()))
    for place, graph in enumerate(union.group.tolist()):
        n, begin = int(sizes[graph]), int(batch.ptr[graph])
        mine = batch.batch[batch.edge_index[0]] == graph
        dense = torch.zeros(n, n, dtype=torch.double)
        dense.index_put_(tuple(batch.edge_index[:, mine] - begin), weight[mine], accumulate=True)
        assert torch.equal(blocks[place, :n, :n], dense)
        assert blocks[place].sum() == dense.sum()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 500), st.sampled_from([None, 1.0, 1.5]))
def test_ranges_cover_in_order_within_the_budget(widths: list[int], budget: int, growth: float | None) -> None:
    width = torch.tensor(sorted(widths), dtype=torch.long)
    ptr = torch.cat([torch.zeros(1, dtype=torch.long), width.cumsum(0)])
    ranges = size_buckets(ptr, width, budget, growth)
    assert [g for first, last in ranges for g in range(first, last)] == list(range(len(widths)))
    for first, last in ranges:
        cells = int(ptr[last] - ptr[first]) * int(width[last - 1])
        assert cells <= budget or last == first + 1
        assert growth is None or width[last - 1] <= growth * width[first]
        if last < len(widths):  # a range stops only where it must
            wider = int(ptr[last + 1] - ptr[first]) * int(width[last])
            assert wider > budget or (growth is not None and width[last] > growth * width[first])
