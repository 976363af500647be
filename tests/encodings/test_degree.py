"""DegreePE and LocalDegreeProfile against PyG and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import LocalDegreeProfile as PyGLocalDegreeProfile
from torch_geometric.transforms import OneHotDegree
from torch_geometric.utils import barabasi_albert_graph, erdos_renyi_graph

from gnnlab.encodings import DegreePE, LocalDegreeProfile
from gnnlab.errors import ConfigError
from gnnlab.testing import check_transform

# A loop at 1, a duplicate of 0 -> 1, one direction from 1 to 2, and a node alone.
AWKWARD = Data(edge_index=torch.tensor([[0, 0, 1, 1, 1], [1, 1, 0, 1, 2]]), num_nodes=4)


@pytest.mark.parametrize(
    "transform",
    [DegreePE(), DegreePE("value"), DegreePE("one-hot", max_degree=2), LocalDegreeProfile()],
)
def test_contract(transform) -> None:
    check_transform(transform)


def test_every_edge_into_a_node_counts() -> None:
    assert DegreePE(kind="value")(AWKWARD).pe_degree.flatten().tolist() == [1, 3, 1, 0]
    log = DegreePE()(AWKWARD).pe_degree.flatten().tolist()
    assert log == pytest.approx([math.log(2), math.log(4), math.log(2), 0])
    clipped = DegreePE("one-hot", max_degree=2)(AWKWARD).pe_degree
    assert clipped.argmax(1).tolist() == [1, 2, 1, 0]


def test_one_hot_equals_pyg() -> None:
    data = Data(edge_index=erdos_renyi_graph(30, 0.2), num_nodes=30)
    assert torch.equal(DegreePE("one-hot", max_degree=29)(data).pe_degree, OneHotDegree(29)(data.clone()).x.float())


def test_profile_equals_pyg_on_undirected_graphs() -> None:
    for edge_index, n in ((erdos_renyi_graph(40, 0.1), 40), (barabasi_albert_graph(200, 3), 200)):
        data = Data(edge_index=edge_index, num_nodes=n)
        ours, theirs = LocalDegreeProfile()(data).pe_degree_profile, PyGLocalDegreeProfile()(data.clone()).x
        assert torch.allclose(ours, theirs, atol=1e-3)


def test_profile_by_hand() -> None:
    profile = LocalDegreeProfile()(AWKWARD).pe_degree_profile
    assert profile[0].tolist() == [1, 3, 3, 3, 0]
    # Neighbours of 1: 0 twice (degree 1) and itself (3).
    assert profile[1].tolist() == pytest.approx([3, 1, 3, 5 / 3, math.sqrt(8) / 3])
    assert profile[3].tolist() == [0, 0, 0, 0, 0]


def test_bad_settings_name_what_there_is() -> None:
    with pytest.raises(ConfigError, match="one-hot"):
        DegreePE(kind="onehot")
    with pytest.raises(ConfigError, match="max_degree"):
        DegreePE(max_degree=-1)
