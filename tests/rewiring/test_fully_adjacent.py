"""The complete graph, beside the edges there are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from torch_geometric.data import Batch

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.rewiring import FullyAdjacent
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def test_keeps_the_contract() -> None:
    check_transform(FullyAdjacent())


@given(unions(max_graphs=4))
def test_every_pair_is_there_once_more_or_was(batch: Batch) -> None:
    out = FullyAdjacent()(batch)
    owner = batch.batch[batch.edge_index[0]]
    assert torch.equal(out.edge_index[:, out.edge_type == 0], batch.edge_index[:, owner.argsort(stable=True)])
    old = set(map(tuple, batch.edge_index.t().tolist()))
    new = list(map(tuple, out.edge_index[:, out.edge_type == 1].t().tolist()))
    assert len(set(new)) == len(new)
    assert not old & set(new)
    expected = set()
    for begin, end in zip(batch.ptr[:-1].tolist(), batch.ptr[1:].tolist(), strict=True):
        expected |= {(u, v) for u in range(begin, end) for v in range(begin, end) if u != v}
    assert {pair for pair in old if pair[0] != pair[1]} | set(new) == expected


def test_what_is_too_large_is_refused_with_a_way_out() -> None:
    edges, ptr = torch.empty(2, 0, dtype=torch.long), torch.tensor([0, 10_000_000])
    with pytest.raises(BudgetError, match="99,999,990,000,000 ordered pairs") as caught:
        FullyAdjacent().edits(edges, ptr)
    assert "fully_adjacent_last=True" in str(caught.value)
    with pytest.raises(ConfigError, match="max_pairs"):
        FullyAdjacent(max_pairs=-1)
