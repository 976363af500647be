"""Encodings as targets of a node task."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphStore
from gnnlab.encodings import EncodingTargets, LaplacianPE, RandomWalkPE
from gnnlab.errors import ConfigError, GraphError
from gnnlab.transform import Compose

RING = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3]])
STEPS = Compose((LaplacianPE(k=3), RandomWalkPE(walk_length=4), EncodingTargets()))


def graph() -> Data:
    return Data(x=torch.ones(4, 1), edge_index=RING, y=torch.tensor([[7.0]]))


def test_columns_signs_and_what_stays() -> None:
    encoded = Compose(STEPS.transforms[:2])(graph())
    result = STEPS(graph())
    assert torch.equal(result.y, torch.cat([encoded.pe_lap.abs(), encoded.pe_rwse], 1))
    assert "pe_lap" not in result
    assert "pe_rwse" not in result
    assert torch.equal(EncodingTargets(keep=True)(encoded).pe_lap, encoded.pe_lap)
    signed = EncodingTargets(("pe_lap",), absolute=())(encoded)
    assert torch.equal(signed.y, encoded.pe_lap)


def test_a_store_delivers_them_node_by_node() -> None:
    store = GraphStore.from_data_list([graph(), graph()]).map(STEPS)
    assert store[[1]].y.shape == (4, 7)
    assert torch.equal(store[[0, 1]].y, STEPS(Batch.from_data_list([graph(), graph()])).y)


def test_errors() -> None:
    with pytest.raises(GraphError, match="pe_rwse"):
        EncodingTargets()(LaplacianPE(k=3)(graph()))
    with pytest.raises(ConfigError, match="pe_other"):
        EncodingTargets(("pe_rwse",), absolute=("pe_other",))
    with pytest.raises(ConfigError, match="at least one"):
        EncodingTargets((), absolute=())
