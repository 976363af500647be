"""Measures of over-smoothing against values by hand, dense oracles and the known rate of decay."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import pytest
import torch
from hypothesis import given
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.utils import from_networkx

from gnnlab.analysis import (
    dirichlet_energy,
    limit_alignment,
    mean_average_distance,
    rayleigh_quotient,
    smoothing_profile,
    state_ranks,
)
from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import GNN, GCNConv
from gnnlab.testing.strategies import unions

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def edges_of(graph: nx.Graph) -> tuple[torch.Tensor, torch.Tensor]:
    data = from_networkx(nx.convert_node_labels_to_integers(graph))
    return data.edge_index, torch.tensor([0, graph.number_of_nodes()])


def gcn_operator(graph: nx.Graph) -> torch.Tensor:
    adjacency = torch.tensor(nx.to_numpy_array(graph, weight=None)) + torch.eye(len(graph)).double()
    scale = adjacency.sum(1).rsqrt()
    return scale[:, None] * adjacency * scale


def states(num_nodes: int, width: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_nodes, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_measures(x, edge_index, ptr, **settings):
    mad = mean_average_distance(x, edge_index, ptr, **settings)
    kinds = (None, "gcn", "sym")
    functions = (dirichlet_energy, rayleigh_quotient, limit_alignment)
    energies = [function(x, edge_index, ptr, kind) for function in functions for kind in kinds]
    return torch.stack([*energies, *(m.double() for m in mad), *(r.double() for r in state_ranks(x, ptr))], 1)


def test_energy_of_a_path_by_hand():
    x, ptr = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0, 3])
    found = [dirichlet_energy(x, PATH, ptr, kind).item() for kind in ("gcn", None, "sym")]
    assert found == pytest.approx([2 / 3, 2, 1])
    assert rayleigh_quotient(1e-30 * x, PATH, ptr).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", ["gcn", "sym", None])
def test_energy_is_the_quadratic_form_and_vanishes_in_the_limit_alone(kind):
    graph = nx.karate_club_graph()
    edge_index, ptr = edges_of(graph)
    degree = torch.tensor([float(d) for _, d in graph.degree()]).double()
    scale = {"gcn": (degree + 1).sqrt(), "sym": degree.sqrt(), None: torch.ones(34).double()}[kind]
    laplacian = torch.tensor(nx.laplacian_matrix(graph, weight=None).toarray()).double()
    x = states(34)
    expected = torch.trace((x / scale[:, None]).t() @ laplacian @ (x / scale[:, None]))
    assert dirichlet_energy(x, edge_index, ptr, kind).item() == pytest.approx(expected.item())
    smooth = scale[:, None] * torch.tensor([[2.0, -1.0]]).double()
    assert dirichlet_energy(smooth, edge_index, ptr, kind).item() < 1e-25
    assert limit_alignment(smooth, edge_index, ptr, kind).item() == pytest.approx(1)
    unit = scale / scale.norm()
    cosine = (unit @ x).norm() / x.norm()
    assert limit_alignment(x, edge_index, ptr, kind).item() == pytest.approx(cosine.item())


def test_energy_decays_at_the_known_rate():
    graph = nx.karate_club_graph()
    edge_index, ptr = edges_of(graph)
    step, x = gcn_operator(graph), states(34)
    factors = torch.linalg.eigvalsh(step)[:-1].abs()
    rate = float(factors.max() ** 2)
    energies, quotients = [], []
    for _ in range(65):
        energies.append(dirichlet_energy(x, edge_index, ptr).item())
        quotients.append(rayleigh_quotient(x, edge_index, ptr).item())
        x = step @ x
    assert all(b <= a * rate * (1 + 1e-9) for a, b in itertools.pairwise(energies))
    assert energies[-1] / energies[-2] == pytest.approx(rate, rel=1e-4)
    assert quotients[-1] / quotients[-2] == pytest.approx(rate, rel=1e-3)
    assert limit_alignment(x, edge_index, ptr).item() > 1 - 1e-5
    assert state_ranks(x, ptr, 1e-3).numerical.item() == 1
    assert state_ranks(states(34), ptr, 1e-3).numerical.item() == 3


def test_mad_by_hand():
    ring, ptr = edges_of(nx.cycle_graph(4))
    found = mean_average_distance(torch.eye(4), ring, ptr)
    assert (found.all.item(), found.near.item(), found.far.item(), found.gap.item()) == (1, 1, 0, -1)
    assert found.distance.item() == pytest.approx(2**0.5)
    # Rows 0 and 1 differ by 1, row 2 is zero and has distance 0 to all.
    found = mean_average_distance(torch.tensor([[1.0, 0], [0, 3], [0, 0]]), PATH, torch.tensor([0, 3]))
    assert found.all.item() == 1


@pytest.mark.parametrize(("near", "far"), [(3, 8), (1, 4)])
def test_mad_against_masks(near, far):
    graph = nx.disjoint_union(nx.path_graph(12), nx.barbell_graph(4, 6))
    edge_index, ptr = edges_of(graph)
    x = states(len(graph))
    x[3] = 0
    x[5] = 2 * x[4]
    length = torch.full((len(graph), len(graph)), -1)
    for source, lengths in nx.all_pairs_shortest_path_length(graph):
        for target, hops in lengths.items():
            length[source, target] = hops
    unit = torch.nn.functional.normalize(x)
    cosine = torch.where((x.norm(dim=1) > 0)[:, None] & (x.norm(dim=1) > 0), 1 - unit @ unit.t(), 0.0)
    cosine[cosine < 1e-12] = 0

    def mad(mask):
        chosen = torch.where(mask, cosine, 0.0)
        rows = [row[row > 0].mean() for row in chosen if (row > 0).any()]
        return torch.stack(rows).mean().item()

    found = mean_average_distance(x, edge_index, ptr, near, far)
    expected = mad(length > -5), mad((length >= 0) & (length <= near)), mad(length >= far)
    assert (found.all.item(), found.near.item(), found.far.item()) == pytest.approx(expected)
    assert found.gap.item() == pytest.approx(expected[2] - expected[1])
    assert found.distance.item() == pytest.approx(torch.nn.functional.pdist(x).mean().item())
    assert found.exact.item()


def test_sampled_rows_are_close_and_say_so():
    edge_index, ptr = edges_of(nx.path_graph(300))
    x = states(300, 4)
    exact, sampled = (mean_average_distance(x, edge_index, ptr, max_pairs=pairs) for pairs in (10**6, 30_000))
    assert exact.exact.item()
    assert not sampled.exact.item()
    assert sampled.all.item() == pytest.approx(exact.all.item(), rel=0.1)
    assert sampled.distance.item() == pytest.approx(exact.distance.item(), rel=0.1)
    assert sampled.all.item() != exact.all.item()


def test_ranks_of_constructed_states():
    left, right = (torch.linalg.qr(states(n, 5, seed=n))[0] for n in (20, 8))
    values = torch.tensor([4.0, 2.0, 1.0, 1e-9, 0.0]).double()
    found = state_ranks(left * values @ right.t(), torch.tensor([0, 20]))
    share = (values / values.sum()).tolist()
    assert found.effective.item() == pytest.approx(math.exp(-sum(p * math.log(p) for p in share if p > 0)))
    assert found.stable.item() == pytest.approx(21 / 16)
    assert found.numerical.item() == 3


@given(unions(max_graphs=4))
def test_a_union_is_its_graphs_and_awkward_ones_are_finite(batch):
    x = states(batch.num_nodes)
    x[::3] = 0
    together = all_measures(x, batch.edge_index, batch.ptr)
    assert together.isfinite().all()
    for graph, data in enumerate(batch.to_data_list()):
        mine = x[batch.ptr[graph] : batch.ptr[graph + 1]]
        alone = all_measures(mine, data.edge_index, torch.tensor([0, data.num_nodes]))
        torch.testing.assert_close(alone[0], together[graph])


def test_sampling_does_not_depend_on_the_batch():
    graphs = [from_networkx(nx.path_graph(n)) for n in (60, 5, 40)]
    batch = Batch.from_data_list(graphs)
    x = states(batch.num_nodes)
    together = all_measures(x, batch.edge_index, batch.ptr, max_pairs=500)
    for graph, data in enumerate(graphs):
        mine = x[batch.ptr[graph] : batch.ptr[graph + 1]]
        alone = all_measures(mine, data.edge_index, torch.tensor([0, data.num_nodes]), max_pairs=500)
        torch.testing.assert_close(alone[0], together[graph])


def test_bad_input():
    ptr = torch.tensor([0, 3])
    with pytest.raises(ConfigError, match="unknown normalization 'gcm'"):
        dirichlet_energy(torch.ones(3), PATH, ptr, "gcm")
    with pytest.raises(GraphError, match="a row per node"):
        state_ranks(torch.ones(4, 2), ptr)
    with pytest.raises(ConfigError, match="1 <= near < far"):
        mean_average_distance(torch.ones(3), PATH, ptr, 3, 3)


class Steps(nn.Module):
    """GCN steps without weights on one-hot features, mixed with the first states."""

    def __init__(self, residual: float) -> None:
        super().__init__()
        self.residual, self.operator = residual, gcn_operator(nx.karate_club_graph()).float()

    def states(self, batch: Data) -> list[torch.Tensor]:
        assert not self.training
        out = [batch.x]
        for _ in range(64):
            out.append((1 - self.residual) * self.operator @ out[-1] + self.residual * out[0])
        return out


def test_residual_steps_keep_their_energy():
    data = Data(x=torch.eye(34), edge_index=edges_of(nx.karate_club_graph())[0])
    plain, kept = (smoothing_profile(Steps(residual).train(), [data]) for residual in (0.0, 0.2))
    assert plain.values["rayleigh"].shape == (65, 1)
    assert plain.values["rayleigh"][-1] < 1e-6 < 0.01 < kept.values["rayleigh"][-1]
    assert plain.values["numerical_rank"][[0, -1], 0].tolist()[0] == 34
    assert plain.values["effective_rank"][-1] < 1.2 < 5 < kept.values["effective_rank"][-1]


def test_profile_of_a_model_in_any_batches():
    generator = torch.Generator().manual_seed(1)
    graphs = [
        Data(x=torch.randn(n, 4, generator=generator), edge_index=torch.randint(n, (2, 2 * n), generator=generator))
        for n in (6, 3, 9)
    ]
    model = GNN(2, 8, 3, GCNConv, in_channels=4).train()
    one, many = (smoothing_profile(model, DataLoader(graphs, batch_size=size)) for size in (3, 1))
    assert model.training
    for name, values in one.values.items():
        torch.testing.assert_close(values, many.values[name], rtol=1e-4, atol=1e-5)
    rows = one.rows()
    assert len(rows) == 4 * 3 * len(one.values)
    assert rows[0] == {
        "graph": 0,
        "layer": 0,
        "metric": "energy",
        "value": one.values["energy"][0, 0].item(),
        "exact": True,
    }
    assert len(str(one).splitlines()) == 5
    with pytest.raises(ConfigError, match="has no states"):
        smoothing_profile(nn.Linear(1, 1), graphs)
    with pytest.raises(GraphError, match="no batch"):
        smoothing_profile(model, [])
