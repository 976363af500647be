"""Row normalisation: sums, rows of zeros, purity, refusals."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.encodings import RowNormalize
from gnnlab.errors import GraphError
from gnnlab.testing import check_transform


def test_rows_sum_to_one_or_stay_zero() -> None:
    x = torch.rand(6, 4)
    x[2] = 0
    out = RowNormalize()(Data(x=x, edge_index=torch.zeros(2, 0, dtype=torch.long))).x
    torch.testing.assert_close(out.sum(1), torch.tensor([1.0, 1, 0, 1, 1, 1]))
    torch.testing.assert_close(out[0] / out[0, 0], x[0] / x[0, 0])


def test_properties() -> None:
    check_transform(RowNormalize())


def test_integers_and_absent_features_are_refused() -> None:
    with pytest.raises(GraphError, match="int64"):
        RowNormalize()(Data(x=torch.ones(2, 2, dtype=torch.long)))
    with pytest.raises(GraphError, match="none"):
        RowNormalize()(Data(edge_index=torch.zeros(2, 0, dtype=torch.long)))
