"""Values as classes: cut at gaps, blind to rounding, exact for integers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnlab.analysis._quantise import quantise


def classes(values: list[float], tolerance: float = 1e-6, dtype=torch.float64) -> list[int]:
    column = torch.tensor(values, dtype=dtype)[:, None]
    return quantise(column, torch.zeros(len(values), dtype=torch.long), tolerance).classes.flatten().tolist()


def test_no_bin_has_an_edge() -> None:
    """0.4999999 and 0.5000001 fall into different bins of any rounding to 0.1, 0.01, ...: here they are one value."""
    assert classes([0.4999999, 0.5000001, 0.6]) == [0, 0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_order_signs_and_infinities(dtype) -> None:
    inf = float("inf")
    assert classes([inf, -0.5, 0.0, -0.0, -inf, inf, 0.25, -0.25, -0.5], dtype=dtype) == [5, 1, 3, 3, 0, 5, 4, 2, 1]


def test_integers_are_exact_whatever_their_size() -> None:
    assert classes([1e7, 1e7 + 1, 1e7 + 2, 5.0]) == [1, 2, 3, 0]
    # A column that holds anything else is judged by its magnitude.
    assert classes([1e7, 1e7 + 1, 0.5]) == [1, 1, 0]


def test_groups_are_apart_and_have_their_own_scale() -> None:
    values = torch.tensor([[0.1], [0.1 + 1e-5], [0.1], [100.5], [100.5 + 1e-5]], dtype=torch.float64)
    found = quantise(values, torch.tensor([0, 0, 1, 2, 2]), 1e-6)
    assert found.classes.flatten().tolist() == [0, 1, 2, 3, 3]
    assert found.cut == pytest.approx(10, rel=1e-6)
    assert found.joined == pytest.approx(1e-5 / (1e-6 * 100.5), rel=1e-3)


def test_default_tolerance_follows_the_precision() -> None:
    near = torch.tensor([[0.3], [0.3 + 1e-7]], dtype=torch.float64)
    group = torch.zeros(2, dtype=torch.long)
    assert quantise(near, group).classes.flatten().tolist() == [0, 1]
    assert quantise(near.float(), group).classes.flatten().tolist() == [0, 0]


@given(st.lists(st.floats(-1, 1, width=32), max_size=20), st.lists(st.integers(0, 2), min_size=20, max_size=20))
def test_single_and_double_precision_sort_alike(values, group) -> None:
    group = torch.tensor(group[: len(values)], dtype=torch.long)
    column = torch.tensor(values, dtype=torch.float32)[:, None]
    single, double = quantise(column, group, 1e-4), quantise(column.double(), group, 1e-4)
    assert torch.equal(single.classes, double.classes)


def test_no_rows_and_no_columns() -> None:
    assert quantise(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)).classes.shape == (0, 2)
    assert quantise(torch.zeros(3, 0), torch.zeros(3, dtype=torch.long)).classes.shape == (3, 0)
