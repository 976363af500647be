"""Set2Set and the gated sum: against PyG and formulas, and what each can count."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch_geometric.nn.aggr import Set2Set as Theirs

from gnnlab.errors import ConfigError
from gnnlab.nn import GatedSum, Set2Set

PTR = torch.tensor([0, 3, 3, 8, 9])


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(9, 4, dtype=torch.double)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_equals_pyg(x, steps):
    ours, theirs = Set2Set(4, num_steps=steps).double(), Theirs(4, steps).double()
    theirs.lstm.load_state_dict({f"{key}_l0": value for key, value in ours.lstm.state_dict().items()})
    expected = theirs(x, torch.tensor([0, 0, 0, 2, 2, 2, 2, 2, 3]), dim_size=4)
    torch.testing.assert_close(ours(x, PTR), expected)


def test_first_query_is_that_of_every_graph(x):
    readout = Set2Set(4, num_steps=1).double()
    query, read = readout(x, PTR).chunk(2, dim=1)
    assert torch.equal(query, query[:1].expand(4, -1))
    for g, (begin, end) in enumerate(pairwise(PTR.tolist())):
        rows = x[begin:end]
        torch.testing.assert_close(read[g], (rows @ query[0]).softmax(0) @ rows)
    assert not read[1].any()


@pytest.mark.parametrize("steps", [1, 4])
def test_set2set_cannot_count_and_the_gated_sum_can(x, steps):
    once, twice, ptr = x[:5], torch.cat([x[:5], x[:5]]), torch.tensor([0, 5])
    initial = torch.randn(5, 3, dtype=torch.double)
    readout, gated = Set2Set(4, 3, steps).double(), GatedSum(4, 3).double()
    arguments = (once, ptr, initial), (twice, 2 * ptr, torch.cat([initial, initial]))
    torch.testing.assert_close(readout(*arguments[0]), readout(*arguments[1]))
    torch.testing.assert_close(2 * gated(*arguments[0]), gated(*arguments[1]))


@pytest.mark.parametrize("steps", [1, 3])
def test_union_equals_one_by_one_and_order_does_not_matter(x, steps):
    for readout in (Set2Set(4, num_steps=steps).double(), GatedSum(4, out_channels=7).double()):
        out = readout(x, PTR)
        alone = [readout(x[b:e], torch.tensor([0, e - b])) for b, e in pairwise(PTR)]
        torch.testing.assert_close(out, torch.cat(alone))
        order = torch.tensor([2, 0, 1, 7, 3, 5, 4, 6, 8])
        torch.testing.assert_close(readout(x[order], PTR), out)
        assert out.shape == (4, readout.out_channels)


def test_gated_sum_is_its_formula(x):
    initial = torch.randn(9, 3, dtype=torch.double)
    readout = GatedSum(4, 3, 5).double()
    rows = readout.gate(torch.cat([x, initial], 1)).sigmoid() * readout.value(x)
    expected = torch.stack([rows[0:3].sum(0), rows[3:3].sum(0), rows[3:8].sum(0), rows[8:9].sum(0)])
    torch.testing.assert_close(readout(x, PTR, initial), expected)


def test_large_scores_and_empty_unions_are_finite(x):
    readout = Set2Set(4).double()
    large = (1e4 * x).requires_grad_()
    readout(large, PTR).sum().backward()
    assert large.grad.isfinite().all()
    assert readout(x[:0], torch.tensor([0, 0])).isfinite().all()
    assert readout(x[:0], torch.tensor([0])).shape == (0, 8)


def test_gradients(x):
    readout = Set2Set(4, num_steps=2).double()
    assert torch.autograd.gradcheck(lambda rows: readout(rows, PTR), x.requires_grad_(), fast_mode=True)


def test_resets_and_settings():
    readout = Set2Set(4, 2)
    before = readout.lstm.weight_ih.clone()
    readout.reset_parameters()
    assert not torch.equal(before, readout.lstm.weight_ih)
    gated = GatedSum(4, network=nn.Linear)
    gated.reset_parameters()
    with pytest.raises(ConfigError, match="num_steps must be at least 1, got 0"):
        Set2Set(4, num_steps=0)
