"""WLPE: colours as sinusoids, which depend on the graph alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given

from gnnlab.encodings import WeisfeilerLehmanPE
from gnnlab.encodings.weisfeiler_lehman import _sinusoids
from gnnlab.errors import ConfigError
from gnnlab.graph import colour_refinement
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


@pytest.mark.parametrize("rounds", [0, 2])
def test_contract(rounds) -> None:
    check_transform(WeisfeilerLehmanPE(channels=6, rounds=rounds))


@given(unions())
def test_equal_rows_are_equal_colours(union) -> None:
    encoding = WeisfeilerLehmanPE()(union).pe_wl
    assert encoding.shape == (union.num_nodes, 100)
    colours = colour_refinement(union.edge_index, union.ptr, iterations=2)
    same = (encoding[:, None] == encoding[None]).all(-1)
    assert torch.equal(same, colours[:, None] == colours[None])


def test_sinusoids_of_one_number() -> None:
    encoded = _sinusoids(torch.tensor([0.0, 3.0], dtype=torch.float64), 4)
    expected = [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]
    assert torch.allclose(encoded, torch.tensor([[0.0, 1.0, 0.0, 1.0], expected]))


def test_bad_configuration() -> None:
    for options in ({"channels": 5}, {"channels": 0}, {"rounds": -1}):
        with pytest.raises(ConfigError):
            WeisfeilerLehmanPE(**options)
