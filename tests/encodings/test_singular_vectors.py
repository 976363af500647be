"""SingularVectorPE against numpy and the best approximation of rank k."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from gnnlab.encodings import SingularVectorPE
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


@pytest.mark.parametrize("transform", [SingularVectorPE(), SingularVectorPE(k=20), SingularVectorPE(k=3, name="adj")])
def test_keeps_the_contract(transform: SingularVectorPE) -> None:
    check_transform(transform)


@settings(max_examples=50, deadline=None)
@given(unions(max_nodes=8, max_edges=20), st.integers(1, 10), st.booleans())
def test_is_the_best_approximation_of_every_graph(batch, k: int, weighted: bool) -> None:
    weight = torch.rand(batch.num_edges, generator=torch.Generator().manual_seed(0)) if weighted else None
    batch.edge_weight = weight
    encoded = SingularVectorPE(k=k)(batch)
    weight = torch.ones(batch.num_edges) if weight is None else weight
    for graph, (begin, end) in enumerate(zip(batch.ptr[:-1], batch.ptr[1:], strict=True)):
        mine = batch.batch[batch.edge_index[0]] == graph
        n = int(end - begin)
        a = torch.eye(n).double().index_put(tuple(batch.edge_index[:, mine] - begin), weight[mine].double(), True)
        s = torch.linalg.svdvals(a)
        left, right = encoded.pe_svd[begin:end].double().split(k, 1)
        values = torch.cat([s[:k], s.new_zeros(max(k - n, 0))])
        if n:
            assert torch.allclose(encoded.pe_svd_values[begin].double(), values, atol=1e-5)
        best = s[:k].square().sum()
        assert torch.allclose((left @ right.T).square().sum(), best, atol=1e-3, rtol=1e-4)
        assert torch.allclose((a - left @ right.T).square().sum(), s[k:].square().sum(), atol=1e-3, rtol=1e-4)


def test_undirected_graphs_have_halves_that_agree_up_to_sign() -> None:
    edges = torch.tensor(list(nx.karate_club_graph().to_directed().edges)).t()
    encoded = SingularVectorPE(k=6)(Data(edge_index=edges, num_nodes=34))
    left, right = encoded.pe_svd.split(6, 1)
    assert torch.allclose(left.abs(), right.abs(), atol=1e-5)
    # U follows the sign rule: its largest entry is positive.
    assert (left.gather(0, left.abs().argmax(0, keepdim=True)) > 0).all()
    assert torch.allclose(left.square().sum(0), encoded.pe_svd_values[0], atol=1e-4)


def test_refuses_large_graphs_before_it_allocates() -> None:
    small, large = Data(edge_index=torch.empty(2, 0).long(), num_nodes=2), 10**6
    with pytest.raises(BudgetError, match="1,000,000 nodes"):
        SingularVectorPE()(Batch.from_data_list([small, Data(edge_index=small.edge_index, num_nodes=large)]))
    SingularVectorPE().check_budget(torch.tensor([30] * 1000))
    with pytest.raises(ConfigError, match="at least 1"):
        SingularVectorPE(k=0)
