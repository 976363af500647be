"""Jacobians between nodes against autograd, finite differences and closed forms; their bounds and summaries."""

from __future__ import annotations

from functools import partial

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

from gnnlab.analysis import (
    Sensitivity,
    gradient_gain,
    influence_by_commute_time,
    influence_by_hop,
    sensitivity,
    sensitivity_bound,
    width_bound,
)
from gnnlab.analysis._jacobian import rounds
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.lifting import NodePairs
from gnnlab.nn import GNN, DRew, FeatureEncoder, GATConv, GCNConv, GINConv, LinearEncoder, SubgraphGNN
from gnnlab.testing import strategies

NORMS = {
    "l1": lambda block: block.abs().sum(),
    "frobenius": lambda block: block.norm(),
    "spectral": lambda block: torch.linalg.svdvals(block)[0],
}


def union(seed: int = 0, channels: int = 3) -> Batch:
    """Connected, disconnected, single-node and edgeless graphs, a self-loop, a duplicate and a directed edge."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [nx.path_graph(5), nx.cycle_graph(4), nx.empty_graph(1), nx.empty_graph(3), nx.barbell_graph(3, 1)]
    shapes.append(nx.disjoint_union(nx.path_graph(2), nx.star_graph(2)))
    graphs = [from_networkx(shape).edge_index.long().view(2, -1) for shape in shapes]
    graphs[1] = torch.cat([graphs[1], torch.tensor([[0, 2, 0], [1, 2, 2]])], 1)
    data = [
        Data(
            x=torch.randn(shape.number_of_nodes(), channels, generator=generator, dtype=torch.float64), edge_index=edges
        )
        for shape, edges in zip(shapes, graphs, strict=True)
    ]
    return Batch.from_data_list(data)


def network(conv=GCNConv, layers: int = 2, activation=nn.Tanh, seed: int = 0, **options) -> GNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"hidden_channels": 4, "in_channels": 3, "residual": False, **options}
        return GNN(2, num_layers=layers, conv=conv, activation=activation, **options).double()


def jacobian(model: nn.Module, data: Data, layer: int = -1) -> torch.Tensor:
    """[N, p_out, N, p_in], a row at a time."""
    model.eval()
    x = data.x.clone().requires_grad_()
    copy = data.clone()
    copy.x = x
    states = model.states(copy)
    rows = [torch.autograd.grad(out, states[0], retain_graph=True)[0] for out in states[layer].flatten()]
    return torch.stack(rows).view(*states[layer].shape, *states[0].shape)


def loop(model: nn.Module, data: Data, norm: str) -> torch.Tensor:
    blocks = jacobian(model, data)
    nodes = range(data.num_nodes)
    return torch.stack([torch.stack([NORMS[norm](blocks[v, :, u]) for u in nodes]) for v in nodes]).detach()


MODELS = {
    "gcn": lambda: network(),
    "gin": lambda: network(GINConv, activation=nn.ReLU),
    "gat": lambda: network(GATConv),
    "norm, residual, dropout": lambda: network(residual=True, norm=nn.BatchNorm1d, dropout=0.5),
    "fully adjacent": lambda: network(fully_adjacent_last=True),
    "encoder": lambda: network(encoder=partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=3))),
    "drew": lambda: DRew(2, hidden_channels=3, num_layers=2, in_channels=3).double(),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("norm", NORMS)
def test_equals_a_loop_of_backward_passes(name, norm):
    model, batch = MODELS[name](), union()
    found = sensitivity(model, batch, norm=norm)
    assert found.error is None
    assert found.value.dtype == torch.float64
    for index, data in enumerate(batch.to_data_list()):
        first, last = batch.ptr[index : index + 2].tolist()
        table = found.value[first:last]
        assert torch.allclose(table[:, : last - first], loop(model, data, norm), atol=1e-12, rtol=1e-9)
        assert not table[:, last - first :].any()
        assert torch.allclose(sensitivity(model, data, norm=norm).value, table[:, : last - first], atol=1e-12)


def test_equals_finite_differences():
    model, data = network(layers=3).eval(), union().get_example(4)
    step, blocks = 1e-6, torch.zeros(data.num_nodes, 4, data.num_nodes, 3, dtype=torch.float64)
    for node in range(data.num_nodes):
        for channel in range(3):
            ends = []
            for sign in (1, -1):
                moved = data.clone()
                moved.x = data.x.clone()
                moved.x[node, channel] += sign * step
                ends.append(model.states(moved)[-1].detach())
            blocks[:, :, node, channel] = (ends[0] - ends[1]) / (2 * step)
    assert torch.allclose(sensitivity(model, data).value, blocks.abs().sum((1, 3)), atol=1e-7)


@pytest.mark.parametrize("activation", [None, nn.ReLU])
def test_closed_form_of_linear_gcn(activation):
    # J_vu = (S^m)_vu W_1 ... W_m, also where ReLU is the identity.
    model, data = network(layers=3, activation=activation), Data(x=torch.rand(5, 3).double())
    data.edge_index = from_networkx(nx.path_graph(5)).edge_index
    product = torch.eye(3, dtype=torch.float64)
    for layer in model.layers:
        weight = next(value for name, value in layer.named_parameters() if name.endswith("weight"))
        weight.data.abs_()
        product = weight.detach() @ product
    operator = torch.from_numpy(nx.to_numpy_array(nx.path_graph(5))) + torch.eye(5, dtype=torch.float64)
    scale = operator.sum(0).rsqrt()
    power = torch.linalg.matrix_power(scale[:, None] * operator * scale, 3)
    assert torch.allclose(sensitivity(model, data).value, power * product.abs().sum(), rtol=1e-12, atol=1e-14)
    bound = sensitivity_bound(data.edge_index, torch.tensor([0, 5]), [1.0, 1.0, 1.0])
    assert torch.allclose(bound, power, atol=1e-14)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_nothing_beyond_the_layers(layers):
    batch = union()
    found = sensitivity(network(layers=layers), batch)
    table = influence_by_hop(found, batch)
    assert table.sensitivity[: layers + 1].gt(0).all()
    assert not table.sensitivity[layers + 1 :].any()
    assert table.unreachable_share == 0
    assert float(table.share.sum()) == pytest.approx(1)
    assert (table.radius <= layers + 1e-12).all()


def test_chosen_targets_in_any_order():
    model, batch = network(), union()
    everything = sensitivity(model, batch).value
    target = torch.tensor([7, 0, 5, 0, 4, 13, 9])
    assert torch.equal(sensitivity(model, batch, target).value, everything[target])
    assert sensitivity(model, batch, torch.empty(0, dtype=torch.long)).value.shape == (0, everything.size(1))


@given(st.lists(st.integers(0, 4), max_size=12))
def test_rounds_hold_every_target_once_and_graphs_once(graph):
    parts = rounds(torch.tensor(graph, dtype=torch.long), 5)
    assert sorted(index for part in parts for index in part.tolist()) == list(range(len(graph)))
    assert all(len({graph[i] for i in part.tolist()}) == part.numel() for part in parts)
    assert len(parts) == max((graph.count(value) for value in graph), default=0)


def test_layers_between():
    model, batch = network(layers=3), union()
    short = sensitivity(model, batch, layer=1)
    assert torch.allclose(short.value[:5, :5], jacobian(model, batch.get_example(0), 1).abs().sum((1, 3)))
    identity = sensitivity(model, batch, layer=2, source_layer=2).value
    local = torch.arange(batch.num_nodes) - batch.ptr[batch.batch]
    assert torch.equal(identity.nonzero()[:, 1], local)
    assert identity.unique().tolist() == [0.0, 4.0]


def test_probes_estimate_the_frobenius_norm():
    model, batch = network(layers=2, hidden_channels=8), union()
    exact = sensitivity(model, batch, norm="frobenius").value
    draws = [sensitivity(model, batch, norm="frobenius", probes=8, seed=seed) for seed in range(60)]
    squares = torch.stack([draw.value.square() for draw in draws])
    seen = exact > 1e-9
    deviation = squares.std(0)[seen] / exact.square()[seen]
    assert (deviation < 1.3 * (2 / 8) ** 0.5).all()
    # Unbiased: the mean of 60 draws lies within four standard errors.
    error = (squares.mean(0) - exact.square()).abs()[seen]
    assert (error <= 4 * squares.std(0)[seen] / 60**0.5 + 1e-12).all()
    stated = torch.stack([draw.error for draw in draws]).mean(0)[seen]
    spread = torch.stack([draw.value for draw in draws]).std(0)[seen]
    assert float((stated / spread).median()) == pytest.approx(1, abs=0.4)
    single = sensitivity(model, batch.get_example(0), norm="frobenius", probes=8, seed=3)
    assert torch.allclose(single.value, draws[3].value[:5, :5], atol=1e-12)


def test_leaves_model_and_batch_as_they_were():
    model, batch = network(norm=nn.BatchNorm1d, dropout=0.5), union()
    model.layers[0].eval()
    next(model.parameters()).requires_grad_(False)
    modes = [module.training for module in model.modules()]
    flags = [parameter.requires_grad for parameter in model.parameters()]
    values = {name: value.clone() for name, value in model.state_dict().items()}
    x, noise = batch.x.clone(), torch.get_rng_state()
    with torch.no_grad():
        sensitivity(model, batch, norm="frobenius", probes=2)
        gradient_gain(model, batch)
    assert modes == [module.training for module in model.modules()]
    assert flags == [parameter.requires_grad for parameter in model.parameters()]
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())
    assert torch.equal(batch.x, x)
    assert not batch.x.requires_grad
    assert torch.equal(torch.get_rng_state(), noise)
    assert all(parameter.grad is None for parameter in model.parameters())


@given(strategies.unions(max_graphs=3))
def test_any_union(batch):
    batch.x = torch.ones(batch.num_nodes, 3, dtype=torch.float64)
    model = network()
    found = sensitivity(model, batch)
    assert found.value.isfinite().all()
    hops, times = influence_by_hop(found, batch), influence_by_commute_time(found, batch)
    for table in (hops.sensitivity, hops.share, hops.radius, times.commute_time, times.sensitivity):
        assert table.isfinite().all()
    assert -1.0001 <= times.rank_correlation <= 1.0001
    assert gradient_gain(model, batch, probes=2).value.isfinite().all()
    bound = width_bound(batch.edge_index, batch.ptr, 2, 4, _largest(model))
    assert (found.value <= bound * (1 + 1e-9)).all()


def _largest(model: nn.Module) -> float:
    return max(float(value.detach().abs().max()) for value in model.layers.parameters())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(3))
def test_width_bound_holds_and_is_reached(norm, seed):
    batch, model = union(seed), network(layers=3, activation=nn.ReLU, seed=seed, in_channels=3)
    found = sensitivity(model, batch, norm=norm).value
    bound = width_bound(batch.edge_index, batch.ptr, 3, 4, _largest(model), norm=norm)
    assert (found <= bound * (1 + 1e-9)).all()
    # All weights w, nothing bent: equality.
    model = network(layers=3, activation=None, in_channels=4)
    for value in model.layers.parameters():
        value.data.fill_(0.3)
    batch.x = batch.x.new_ones(batch.num_nodes, 4)
    found = sensitivity(model, batch, norm=norm).value
    assert torch.allclose(found, width_bound(batch.edge_index, batch.ptr, 3, 4, 0.3, norm=norm), rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("residual", [False, True])
def test_spectral_bound_of_gin(seed, residual):
    batch = union(seed, channels=4)
    model = network(GINConv, 3, nn.ReLU, seed, in_channels=4, residual=residual)
    factors = []
    for layer in model.layers:
        matrices = [value for value in layer.parameters() if value.dim() == 2]
        factors.append(float(torch.stack([torch.linalg.matrix_norm(value.detach(), 2) for value in matrices]).prod()))
    own = [factor + residual for factor in factors]
    bound = sensitivity_bound(batch.edge_index, batch.ptr, factors, own, operator="sum")
    for norm, scale in (("spectral", 1.0), ("frobenius", 2.0)):
        found = sensitivity(model, batch, norm=norm).value
        assert (found <= scale * bound * (1 + 1e-9) + 1e-12).all()
        assert found.any()


@pytest.mark.parametrize("operator", ["gcn", "sum", "mean"])
def test_bound_follows_edges_forwards(operator):
    edges, ptr = torch.tensor([[0, 1, 3], [1, 2, 4]]), torch.tensor([0, 3, 5])
    table = sensitivity_bound(edges, ptr, [1.0, 1.0], [1.0, 1.0], operator=operator)
    assert table.gt(0).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 0]]
    doubled = sensitivity_bound(edges, ptr, [1.0], operator=operator, edge_weight=torch.full((3,), 2.0))
    twice = sensitivity_bound(edges.repeat(1, 2), ptr, [1.0], operator=operator)
    assert torch.allclose(doubled, twice)


def test_influence_by_hop_in_numbers():
    batch = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
    value = torch.tensor([[2.0, 1.0, 1.0, 4.0], [0, 0, 0, 0]], dtype=torch.float64)
    table = influence_by_hop(Sensitivity(value, torch.tensor([0, 1]), "l1"), batch)
    assert table.pairs.tolist() == [2, 3, 1]
    assert table.sensitivity.tolist() == pytest.approx([1.0, 1 / 3, 1.0])
    assert table.share.tolist() == [0.25, 0.125, 0.125]
    assert table.unreachable_share == 0.5
    assert table.radius.tolist() == [0.75, 0.0]


def test_influence_decays_with_commute_time():
    lollipop = from_networkx(nx.lollipop_graph(4, 6)).edge_index
    batch = Batch.from_data_list([Data(x=torch.randn(10, 3).double(), edge_index=lollipop)])
    found = influence_by_commute_time(sensitivity(network(layers=9, activation=None), batch), batch, 5)
    assert found.pairs.tolist() == [18] * 5
    assert (found.commute_time.diff() > 0).all()
    assert found.rank_correlation < -0.8
    few = influence_by_commute_time(sensitivity(network(), batch.get_example(0), torch.tensor([0])), batch, 20)
    assert int(few.pairs.sum()) == 9
    assert int(few.pairs.max()) == 1


def test_gradient_gain_against_the_jacobian():
    model, batch = network(layers=3), union()
    found = gradient_gain(model, batch, probes=400)
    assert torch.equal(found.value[-1], torch.ones(6, dtype=torch.float64))
    assert not found.error[-1].any()
    for index, data in enumerate(batch.to_data_list()):
        exact = float(jacobian(model, data).norm()) / (data.num_nodes * 4) ** 0.5
        assert abs(float(found.value[0, index]) - exact) < 5 * float(found.error[0, index]) + 1e-9
        alone = gradient_gain(model, data, probes=400).value[:, 0]
        assert torch.allclose(alone, found.value[:, index], rtol=1e-9)


def test_gradients_vanish_by_the_factor_of_the_layers():
    data = Data(x=torch.ones(4, 4).double(), edge_index=from_networkx(nx.cycle_graph(4)).edge_index)
    model = network(layers=4, activation=None, in_channels=4)
    for value in model.layers.parameters():
        value.data = 0.5 * torch.eye(4, dtype=torch.float64) if value.dim() == 2 else value.data
    data.edge_index = torch.empty(2, 0, dtype=torch.long)
    assert torch.allclose(gradient_gain(model, data).value[:, 0], 0.5 ** torch.arange(4, -1, -1).double())


def test_bad_input():
    model, batch = network(), union()
    with pytest.raises(ConfigError, match="frobenius"):
        sensitivity(model, batch, norm="frobenuis")
    with pytest.raises(ConfigError, match="probes estimate"):
        sensitivity(model, batch, probes=4)
    with pytest.raises(ConfigError, match="at least 2 probes"):
        sensitivity(model, batch, norm="frobenius", probes=1)
    with pytest.raises(ConfigError, match="layer 7"):
        sensitivity(model, batch, layer=7)
    with pytest.raises(ConfigError, match="no states"):
        sensitivity(nn.Linear(1, 1), batch)
    lonely = NodePairs()(Data(x=torch.ones(1, 3), edge_index=torch.empty(2, 0, dtype=torch.long)))
    with pytest.raises(ConfigError, match="states of pairs"):  # of which one node has as many as nodes
        sensitivity(SubgraphGNN(1, 4, 1, in_channels=3), lonely)
    with pytest.raises(GraphError, match="outside"):
        sensitivity(model, batch, torch.tensor([99]))
    with pytest.raises(GraphError, match=r"\[T\] long"):
        sensitivity(model, batch, torch.tensor([0.5]))
    with pytest.raises(BudgetError, match="fewer targets"):
        sensitivity(model, batch, max_gigabytes=1e-9)
    with pytest.raises(BudgetError, match="Jacobians"):
        sensitivity(model, batch, torch.tensor([0]), max_gigabytes=1e-7)
    with pytest.raises(BudgetError, match="columns"):
        sensitivity_bound(batch.edge_index, batch.ptr, [1.0], max_gigabytes=1e-9)
    with pytest.raises(ConfigError, match="operator"):
        sensitivity_bound(batch.edge_index, batch.ptr, [1.0], operator="gnc")
    with pytest.raises(ConfigError, match="one per layer"):
        sensitivity_bound(batch.edge_index, batch.ptr, [1.0], [1.0, 2.0])
    with pytest.raises(ConfigError, match="non-negative"):
        sensitivity_bound(batch.edge_index, batch.ptr, [-1.0])
    with pytest.raises(ConfigError, match="norm"):
        width_bound(batch.edge_index, batch.ptr, 1, 1, 1.0, norm="l2")
    with pytest.raises(ConfigError, match="num_bins"):
        influence_by_commute_time(sensitivity(model, batch), batch, 0)
    with pytest.raises(ConfigError, match="at least 2 probes"):
        gradient_gain(model, batch, probes=1)
