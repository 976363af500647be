"""PageRank and heat diffusion against dense inverses and exponentials."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Batch

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import Diffusion, diffusion_matrix
from gnnlab.testing.strategies import unions


def cycle(n: int) -> Tensor:
    node = torch.arange(n)
    one_way = torch.stack([node, (node + 1) % n])
    return torch.cat([one_way, one_way.flip(0)], 1)


def random_edges(n: int, m: int, seed: int = 0) -> Tensor:
    ends = torch.triu_indices(n, n, 1)
    one_way = ends[:, torch.randperm(ends.size(1), generator=torch.Generator().manual_seed(seed))[:m]]
    return torch.cat([one_way, one_way.flip(0)], 1)


def as_dense(found: Diffusion, num_nodes: int) -> Tensor:
    dense = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    dense[found.index[0], found.index[1]] = found.weight
    return dense


def oracle(edge_index: Tensor, num_nodes: int, kernel: str, alpha: float, t: float, loop_weight: float) -> Tensor:
    adjacency = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    adjacency[edge_index[0], edge_index[1]] = 1
    adjacency[edge_index[1], edge_index[0]] = 1
    adjacency.fill_diagonal_(loop_weight)
    degree = adjacency.sum(1)
    scale = torch.where(degree > 0, degree, 1.0).rsqrt()
    transition = scale[:, None] * adjacency * scale
    identity = torch.eye(num_nodes, dtype=torch.float64)
    if kernel == "ppr":
        return alpha * torch.linalg.inv(identity - (1 - alpha) * transition)
    return torch.linalg.matrix_exp(-t * (identity - transition))


@pytest.mark.parametrize(
    ("loop_weight", "row"),
    [(0.0, [0.30222, 0.17909, 0.11916, 0.10128]), (1.0, [0.35153, 0.17988, 0.10345, 0.08180])],
)
def test_page_rank_of_a_cycle(loop_weight: float, row: list[float]) -> None:
    found = diffusion_matrix(cycle(6), torch.tensor([0, 6]), loop_weight=loop_weight)
    expected = [*row, row[2], row[1]]
    assert found.index[:, :6].tolist() == [[0] * 6, [0, 1, 2, 3, 4, 5]]
    assert found.weight[:6].tolist() == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize("dense_limit", [4000, 0])
@pytest.mark.parametrize("kernel", ["ppr", "heat"])
@settings(max_examples=30)
@given(batch=unions(max_graphs=4), parameter=st.floats(0.02, 1.0), loop_weight=st.sampled_from([0.0, 0.5, 1.0]))
def test_equals_the_dense_formula(
    kernel: str, dense_limit: int, batch: Batch, parameter: float, loop_weight: float
) -> None:
    options = {"alpha": parameter, "t": 20 * parameter, "loop_weight": loop_weight}
    found = diffusion_matrix(batch.edge_index, batch.ptr, kernel, symmetrise=True, dense_limit=dense_limit, **options)
    expected = oracle(batch.edge_index, batch.num_nodes, kernel, **options)
    error = (as_dense(found, batch.num_nodes) - expected).norm(dim=0)
    assert bool((error <= (1e-12 if dense_limit else 1.5e-8)).all())
    key = found.index[0] * batch.num_nodes + found.index[1]
    assert bool((key.diff() > 0).all())


@pytest.mark.parametrize("kernel", ["ppr", "heat"])
def test_columns_are_thinned_out(kernel: str) -> None:
    edges, ptr = random_edges(60, 110), torch.tensor([0, 60])
    whole = as_dense(diffusion_matrix(edges, ptr, kernel), 60)
    for dense_limit in (4000, 0):
        top = as_dense(diffusion_matrix(edges, ptr, kernel, top_k=5, dense_limit=dense_limit), 60)
        smallest = whole.topk(5, dim=0).values[-1]
        assert torch.equal(top > 0, (whole >= smallest) & (whole > 0))
        cut = as_dense(diffusion_matrix(edges, ptr, kernel, epsilon=0.02, dense_limit=dense_limit), 60)
        assert torch.equal(cut > 0, whole >= 0.02)
        assert torch.allclose(cut, whole.where(whole >= 0.02, 0), atol=1e-8)


def test_ties_go_to_the_smaller_number() -> None:
    edges = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4], [1, 2, 3, 4, 0, 0, 0, 0]])  # a star
    found = as_dense(diffusion_matrix(edges, torch.tensor([0, 5]), top_k=3), 5)
    assert (found[:, 0] > 0).tolist() == [True, True, True, False, False]
    assert (found[:, 4] > 0).tolist() == [True, True, False, False, True]


@pytest.mark.parametrize("top_k", [None, 3])
def test_a_batch_gives_what_its_graphs_give(top_k: int | None) -> None:
    graphs = [random_edges(n, 2 * n, seed=n) for n in (9, 20, 4, 33)] + [cycle(12)]
    sizes = [9, 20, 4, 33, 12]
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    together = diffusion_matrix(
        torch.cat([edges + begin for edges, begin in zip(graphs, ptr, strict=False)], 1), ptr, top_k=top_k
    )
    dense = as_dense(together, int(ptr[-1]))
    for edges, begin, size in zip(graphs, ptr[:-1].tolist(), sizes, strict=True):
        alone = as_dense(diffusion_matrix(edges, torch.tensor([0, size]), top_k=top_k), size)
        block = dense[begin : begin + size, begin : begin + size]
        assert torch.equal(block > 0, alone > 0)
        assert torch.allclose(block, alone, atol=1e-14)


def test_a_large_component_is_solved_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnlab.graph.diffusion._COLUMN_CELLS", {"cpu": 700})
    edges, ptr = random_edges(100, 200), torch.tensor([0, 100])
    found = as_dense(diffusion_matrix(edges, ptr, dense_limit=10, top_k=8), 100)
    assert torch.allclose(found, as_dense(diffusion_matrix(edges, ptr, top_k=8), 100), atol=1e-8)


def test_what_would_not_fit_is_refused() -> None:
    edges, ptr = cycle(1000), torch.tensor([0, 1000])
    with pytest.raises(BudgetError, match="1,000,000 entries"):
        diffusion_matrix(edges, ptr, max_entries=10**5)
    assert diffusion_matrix(edges, ptr, max_entries=10**5, top_k=100).weight.numel() == 10**5
    # The bound holds: sqrt(3) / 0.02 per column.
    assert diffusion_matrix(edges, ptr, max_entries=10**5, epsilon=0.02).weight.numel() <= 1000 * 86


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": "pagerank"},
        {"alpha": 0.0},
        {"alpha": 1.5},
        {"kernel": "heat", "t": -1.0},
        {"top_k": 0},
        {"epsilon": -0.1},
        {"loop_weight": -1.0},
    ],
    ids=str,
)
def test_settings_are_checked(options: dict) -> None:
    with pytest.raises(ConfigError):
        diffusion_matrix(cycle(3), torch.tensor([0, 3]), **options)


def test_one_direction_is_no_undirected_edge() -> None:
    with pytest.raises(GraphError, match="symmetrise"):
        diffusion_matrix(torch.tensor([[0], [1]]), torch.tensor([0, 2]))
