"""Inference without a clock: closed forms, lock-step as the special case, and the assumptions of the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GATv2Conv
from torch_geometric.nn import GCNConv as PyGGCNConv

from gnnlab.analysis import RandomSchedule, ScriptedSchedule, asynchronous_run
from gnnlab.analysis._private_sources import HEARING, PrivateSources
from gnnlab.analysis._processes import process_of
from gnnlab.analysis._ring import Ring
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.nn import (
    GNN,
    GSDGNN,
    IGNN,
    BatchNorm,
    EnergyGNN,
    ExphormerConv,
    FeatureEncoder,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    GPSConv,
    LinearEncoder,
    SAGEConv,
    SumMeanConv,
    VirtualNode,
)
from gnnlab.nn.implicit.local_rule import LocalGraph
from gnnlab.nn.models._batch import edges_of
from gnnlab.ops import CSR, aggregate, as_csr
from gnnlab.testing.strategies import unions

P3 = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
SIGNAL = Data(x=torch.tensor([[1.0], [0.0], [0.0]]).double(), edge_index=P3)
REST = torch.tensor([[0.625], [0.25], [0.125]]).double()


class Denoising:
    """min 1/2 |h - x|^2 + 1/2 tr(h' L h), as an energy of nodes or as the fixed point of its Jacobi iteration."""

    def __init__(self, rule: type, curvature: float = 4.0) -> None:
        self.rule, self.curvature = rule, curvature

    def __call__(self, batch: Data) -> Tensor:
        n = batch.num_nodes
        matrix = (
            torch.eye(n)
            .double()
            .index_put_(
                (batch.edge_index[1], batch.edge_index[0]), -torch.ones(batch.num_edges).double(), accumulate=True
            )
        )
        degree = torch.bincount(batch.edge_index[1], minlength=n).double()
        return torch.linalg.solve(matrix + degree.diag(), batch.x)

    def local_rule(self, batch: Data) -> Any:
        ptr = batch.get("ptr", torch.tensor([0, batch.num_nodes]))
        graph = LocalGraph(CSR.from_edge_index(batch.edge_index, batch.num_nodes), ptr)
        return self.rule(batch.x, graph, torch.full((ptr.numel() - 1,), 1 / self.curvature).double())


@dataclass
class Rule:
    x: Tensor
    graph: LocalGraph
    step: Tensor

    def initial(self) -> Tensor:
        return torch.zeros_like(self.x)

    def readout(self, h: Tensor) -> Tensor:
        return h

    def heard(self, values: Tensor) -> Tensor:
        return torch.zeros_like(self.x).index_add(0, self.graph.edge_index[1], values)


class Energy(Rule):
    def local_energy(self, views: Tensor, own: Tensor) -> Tensor:
        away = self.heard((own[self.graph.edge_index[1]] - views).square()).sum(1)
        return (own - self.x).square().sum(1) / 2 + away / 4

    def step_size(self) -> Tensor:
        return self.step


class Jacobi(Rule):
    def update(self, views: Tensor, own: Tensor) -> Tensor:
        return (self.x + self.heard(views)) / (1 + self.graph.adj.degree.unsqueeze(1))


class TestRest:
    @pytest.mark.parametrize("staleness", [1, 2, 5, 20])
    @pytest.mark.parametrize("rule", [Energy, Jacobi])
    @pytest.mark.parametrize("monotone", [False, True])
    def test_the_closed_form_at_every_staleness(self, staleness: int, rule: type, monotone: bool) -> None:
        step = torch.tensor([0.1], dtype=torch.float64)
        run = asynchronous_run(
            Denoising(rule), SIGNAL, staleness, ticks=2000, tolerance=1e-9, step=step, monotone=monotone
        )
        assert (run.states - REST).abs().max() < 1e-8
        assert 0 < int(run.ticks[0]) <= 2000
        assert int(run.messages[0]) > 0

    def test_staleness_one_is_gradient_descent(self) -> None:
        """Bit for bit, against the gradient of the whole energy by autograd."""
        model = Denoising(Energy)
        process = process_of(model, SIGNAL, 1)
        rule, h = model.local_rule(SIGNAL), torch.zeros(3, 1).double()
        schedule = RandomSchedule(P3, 3, 1)
        for t in range(30):
            leaf = h.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(rule.local_energy(leaf[P3[0]], leaf).sum(), leaf)
            h = h - 0.25 * gradient
            process.step(t, *schedule.tick(t))
            assert (process.h - h).abs().max() < 1e-15
        assert (h - REST).abs().max() < 1e-3

    def test_staleness_one_is_the_fixed_point_iteration(self) -> None:
        rule = Denoising(Jacobi).local_rule(SIGNAL)
        process = process_of(Denoising(Jacobi), SIGNAL, 1)
        h = rule.initial()
        for t in range(10):
            h = rule.update(h[P3[0]], h)
            process.step(t, *RandomSchedule(P3, 3, 1).tick(t))
            assert torch.equal(process.h, h)

    def test_pushed_gradients_are_those_of_the_last_computation(self) -> None:
        """Two nodes, by hand: node 1 sleeps, so node 0 goes on using what it was told at the start."""
        pair = Data(x=torch.tensor([[1.0], [0.0]]).double(), edge_index=torch.tensor([[0, 1], [1, 0]]))
        schedule = ScriptedSchedule(torch.tensor([[True, False], [True, False]]), num_edges=2)
        run = asynchronous_run(
            Denoising(Energy), pair, schedule=schedule, step=torch.tensor([0.1], dtype=torch.float64)
        )
        first = 0.1  # own part (0 - 1) + (0 - 0) / 2, told 0
        second = first - 0.1 * ((first - 1) + first / 2 + 0)
        assert run.states.flatten().tolist() == pytest.approx([second, 0.0], abs=1e-15)

    def test_the_models_of_the_paper(self) -> None:
        batch = Data(x=torch.randn(3, 2), edge_index=P3)
        settings = {"hidden_channels": 4, "in_channels": 2, "level": "node"}
        for model in (EnergyGNN(1, kind="edge", **settings), IGNN(1, **settings), GSDGNN(1, **settings)):
            run = asynchronous_run(model.eval(), batch, 5, ticks=20_000, tolerance=1e-4)
            assert run.deviation.item() < 2e-4, type(model).__name__
            assert run.ticks.item() > 0


class Plus(nn.Module):
    """x_v plus the sum of the neighbours."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, adj: CSR | Tensor) -> Tensor:
        return x + aggregate(x, as_csr(adj, x.size(0)))


def encoder(channels: int) -> nn.Module:
    return FeatureEncoder(
        channels, node=partial(LinearEncoder, in_channels=3), edge=partial(LinearEncoder, in_channels=2)
    )


def odd_graph() -> Data:
    """Loops, a double edge, an isolated node, degrees that differ, weights."""
    edge_index = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0, 4, 4, 1, 3, 3], [1, 0, 2, 1, 3, 2, 0, 3, 4, 1, 1, 2, 3]])
    generator = torch.Generator().manual_seed(1)
    return Data(
        x=torch.randn(6, 3, generator=generator),
        edge_index=edge_index,
        edge_attr=torch.randn(13, 2, generator=generator),
        edge_weight=torch.rand(13, generator=generator) + 0.5,
    )


CONVS = [GCNConv, SumMeanConv, GATConv, GINConv, GINEConv, GatedGCNConv, SAGEConv, PyGGCNConv, GATv2Conv, ExphormerConv]


class TestLayers:
    two = Data(x=torch.tensor([[1.0], [0.0]]), edge_index=torch.tensor([[0, 1], [1, 0]]))

    def plus(self) -> GNN:
        return GNN(
            1, 1, num_layers=2, conv=Plus, in_channels=1, activation=None, residual=False,
            head=lambda i, o: nn.Identity(), level="node",
        ).eval()  # fmt: skip

    def test_layers_in_the_wrong_order(self) -> None:
        late = torch.tensor([[True, False], [True, False], [False, True], [False, True]])
        run = asynchronous_run(self.plus(), self.two, schedule=ScriptedSchedule(late, num_edges=2))
        assert run.synchronous.flatten().tolist() == [2.0, 2.0]
        assert run.prediction.flatten().tolist() == [1.0, 2.0]
        assert run.ticks.tolist() == [4]
        assert run.messages.tolist() == [4]

    def test_who_has_finished_neither_computes_nor_sends(self) -> None:
        often = torch.ones(7, 2, dtype=torch.bool)
        run = asynchronous_run(self.plus(), self.two, schedule=ScriptedSchedule(often, num_edges=2))
        assert run.prediction.flatten().tolist() == [2.0, 2.0]
        assert (run.num_ticks, run.messages.tolist()) == (2, [4])

    @pytest.mark.parametrize("conv", CONVS, ids=lambda conv: f"{conv.__module__.split('.')[0]}.{conv.__name__}")
    @pytest.mark.parametrize("norm_position", ["inner", "pre"])
    def test_lock_step_is_the_model_itself(self, conv: type, norm_position: str) -> None:
        model = GNN(
            2, 8, num_layers=3, conv=conv, encoder=encoder, norm=BatchNorm, norm_position=norm_position,
            jumping_knowledge="cat", level="node",
        )  # fmt: skip
        model(odd_graph())
        run = asynchronous_run(model.eval(), odd_graph(), staleness=1)
        assert run.deviation.item() < 1e-5
        assert run.ticks.tolist() == [3]

    @pytest.mark.parametrize(
        ("conv", "weights", "heard"),
        [(GINConv, True, 0), (GATConv, True, 0), (GCNConv, True, 1), (GCNConv, False, 1), (PyGGCNConv, True, 1)],
    )
    @torch.no_grad()
    def test_what_sources_must_hear(self, conv: type, weights: bool, heard: int) -> None:
        """Nothing, or the weight of their edges in one; all of them where edges are counted."""
        batch = odd_graph()
        if not weights:
            del batch.edge_weight
        for layers, place in ((conv, heard), (Counting, 2)):
            process = process_of(GNN(2, 8, num_layers=1, conv=layers, encoder=encoder).eval(), batch, 1)
            known = [
                None if item is None else item.weight is None for item in (graph.heard for graph in process.graphs)
            ]
            assert known == [(None, False, True)[place]]

    @torch.no_grad()
    def test_nodes_that_are_not_due_stay_as_they_are(self) -> None:
        """A node and an edge at a time, for layers that change edges too."""
        model = GNN(2, 8, num_layers=2, conv=GatedGCNConv, encoder=encoder, level="node").eval()
        batch = odd_graph()
        process = process_of(model, batch, 1)
        states, attr = process.h.clone(), process.attr.clone()
        update = torch.tensor([False, True, False, True, False, False])
        process.step(0, update, torch.zeros(13, dtype=torch.long))
        x, edges = model.encoder(batch)[0], edges_of(batch, attr, 6, torch.tensor([0, 6]))
        after, changed = model.layers[0](x, edges)
        told = update[batch.edge_index[1]]
        assert torch.equal(process.h[~update], states[~update])
        assert torch.equal(process.attr[~told], attr[~told])
        torch.testing.assert_close(process.h[update], after[update])
        torch.testing.assert_close(process.attr[told], changed.attr[told])

    def test_stale_views_change_the_prediction(self) -> None:
        model = GNN(2, 8, num_layers=3, conv=GCNConv, encoder=encoder).eval()
        assert asynchronous_run(model, odd_graph(), staleness=5).deviation.item() > 1e-3

    def test_relations_and_edge_types(self) -> None:
        model = GNN(2, 8, num_layers=2, conv=GCNConv, encoder=encoder, relations=[[0], [0, 1]], level="node").eval()
        batch = odd_graph()
        batch.edge_type = torch.arange(13) % 2
        assert asynchronous_run(model, batch).deviation.item() < 1e-5

    def test_a_node_by_hand_is_what_the_larger_graph_says(self) -> None:
        """GCN on stale views, written with the dense normalised matrix of the graph itself."""
        conv, generator = GCNConv(3, 3), torch.Generator().manual_seed(2)
        edge_index = torch.tensor([[0, 1, 1, 2, 2, 3, 1, 3], [1, 0, 2, 1, 3, 2, 3, 1]])
        x, views = torch.randn(4, 3, generator=generator), torch.randn(8, 3, generator=generator)
        degree = 1 + torch.bincount(edge_index[1]).float()
        weight = (degree[edge_index[0]] * degree[edge_index[1]]).rsqrt()
        mixed = x / degree[:, None] + torch.zeros(4, 3).index_add(0, edge_index[1], weight[:, None] * views)
        model = GNN(3, 3, num_layers=1, conv=lambda i, o: conv, in_channels=3, activation=None, residual=False).eval()
        edges = edges_of(Data(edge_index=edge_index), None, 4, torch.tensor([0, 4]))
        expected = mixed @ conv.lin.weight.t() + conv.bias
        for heard in HEARING[1:]:
            larger = PrivateSources(edges, x, heard)
            for nodes in (torch.arange(4), torch.tensor([1, 3]), torch.tensor([2])):
                part = larger.incoming(nodes)
                out, _ = larger.apply(model.layers[0], part, x[nodes], views[part.edge], None)
                assert (out - expected[nodes]).abs().max() < 1e-6

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"conv": GPSConv}, "whole graphs"),
            ({"virtual_node": VirtualNode}, "virtual node"),
            ({"fully_adjacent_last": True}, "fully adjacent"),
            ({"head": None}, "widths"),
            ({"norm": lambda channels: Centred()}, "more than a node and its neighbours"),
        ],
    )
    def test_what_is_not_local_is_refused(self, settings: dict, message: str) -> None:
        model = GNN(2, 8, num_layers=2, encoder=encoder, **settings).eval()
        with pytest.raises(ConfigError, match=message):
            asynchronous_run(model, odd_graph())

    def test_other_models_and_training_mode_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="training mode"):
            asynchronous_run(self.plus().train(), self.two)
        with pytest.raises(ConfigError, match="neither a GNN"):
            asynchronous_run(lambda batch: batch.x, self.two)

    def test_hubs_are_refused_before_anything_is_allocated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gnnlab.analysis._private_sources._MAX_EDGES", 33)
        asynchronous_run(GNN(2, 8, num_layers=2, conv=GCNConv, encoder=encoder).eval(), odd_graph())
        model = GNN(2, 8, num_layers=2, conv=Counting, encoder=encoder).eval()
        with pytest.raises(BudgetError, match="limit is 33"):
            asynchronous_run(model, odd_graph())


class Counting(nn.Module):
    """Sum of neighbours over their number of edges, which no weight can tell."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, adj: CSR | Tensor) -> Tensor:
        adj = as_csr(adj, x.size(0))
        return self.lin(x + aggregate(x / (1 + adj.degree.unsqueeze(1)), adj))


class Centred(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class TestRuns:
    def stack(self, runs: int) -> Data:
        first = 3 * torch.arange(runs).repeat_interleave(4)
        return Data(x=SIGNAL.x.repeat(runs, 1), edge_index=P3.repeat(1, runs) + first, ptr=3 * torch.arange(runs + 1))

    @pytest.mark.parametrize("rule", [Energy, Jacobi])
    def test_together_as_one_by_one(self, rule: type) -> None:
        runs, ticks, union = 4, 40, self.stack(4)
        schedule = RandomSchedule(union.edge_index, 12, 5, seed=3)
        update, age = map(torch.stack, zip(*(schedule.tick(t) for t in range(ticks)), strict=True))
        options = {"tolerance": 1e-12, "step": torch.tensor([0.1], dtype=torch.float64)}
        together = asynchronous_run(Denoising(rule), union, schedule=ScriptedSchedule(update, age), **options)
        for run in range(runs):
            script = ScriptedSchedule(update[:, 3 * run : 3 * run + 3], age[:, 4 * run : 4 * run + 4])
            alone = asynchronous_run(Denoising(rule), SIGNAL, schedule=script, **options)
            assert (alone.states - together.states[3 * run : 3 * run + 3]).abs().max() < 1e-15
            assert alone.messages[0] == together.messages[run]

    def test_runs_differ_and_repeat(self) -> None:
        states = [
            asynchronous_run(Denoising(Jacobi), self.stack(3), 5, ticks=6, seed=seed).states.view(3, 3)
            for seed in (0, 0, 1)
        ]
        assert torch.equal(states[0], states[1])
        assert not torch.equal(states[0], states[2])
        assert not torch.equal(states[0][0], states[0][1])

    @pytest.mark.parametrize("model", [Denoising(Energy), Denoising(Jacobi)], ids=["energy", "fixed point"])
    def test_renumbered_nodes_and_edges(self, model: Denoising) -> None:
        """The same events under other numbers give the same states: nothing but the schedule breaks a symmetry."""
        schedule = RandomSchedule(P3, 3, 4, seed=5)
        update, age = map(torch.stack, zip(*(schedule.tick(t) for t in range(25)), strict=True))
        node, edge = torch.tensor([2, 0, 1]), torch.tensor([3, 1, 0, 2])
        moved = Data(x=SIGNAL.x[node.argsort()], edge_index=node[P3][:, edge])
        expected = asynchronous_run(model, SIGNAL, schedule=ScriptedSchedule(update, age), tolerance=1e-12).states
        script = ScriptedSchedule(update[:, node.argsort()], age[:, edge])
        found = asynchronous_run(model, moved, schedule=script, tolerance=1e-12).states
        assert (found[node] - expected).abs().max() < 1e-14

    def test_global_randomness_is_left_alone(self) -> None:
        before = torch.get_rng_state()
        asynchronous_run(GNN(2, 8, encoder=encoder).eval(), odd_graph(), 3)
        torch.manual_seed(0)
        state = torch.get_rng_state()
        asynchronous_run(Denoising(Energy), SIGNAL, 3, ticks=20)
        assert torch.equal(state, torch.get_rng_state())
        assert before.shape == state.shape

    @pytest.mark.parametrize("options", [{"ticks": 0}, {"tolerance": 0.0}, {"check_every": 0}, {"staleness": 0}])
    def test_options_are_checked(self, options: dict) -> None:
        with pytest.raises(ConfigError, match="at least 1"):
            asynchronous_run(Denoising(Jacobi), SIGNAL, **options)

    def test_predictions_of_no_known_level(self) -> None:
        model = Denoising(Jacobi)
        with pytest.raises(GraphError, match="neither one per node"):
            asynchronous_run(OfTwo(model), SIGNAL)


class OfTwo:
    def __init__(self, model: Denoising) -> None:
        self.local_rule = model.local_rule

    def __call__(self, batch: Data) -> Tensor:
        return batch.x[:2]


class TestSchedule:
    @given(
        union=unions(), staleness=st.integers(1, 9), seed=st.integers(0, 99), rate=st.sampled_from([0.05, 0.5, 1.0]),
        monotone=st.booleans(),
    )  # fmt: skip
    def test_assumptions(self, union: Data, staleness: int, seed: int, rate: float, monotone: bool) -> None:
        edge_index = union.edge_index
        schedule = RandomSchedule(edge_index, union.num_nodes, staleness, seed, rate, monotone)
        update, age = map(torch.stack, zip(*(schedule.tick(t) for t in range(30)), strict=True))
        windows = update.unfold(0, staleness, 1)
        assert bool(windows.any(-1).all())
        t = torch.arange(30).unsqueeze(1)
        assert bool(((age >= 0) & (age < staleness) & (age <= t)).all())
        assert bool((age[:, edge_index[0] == edge_index[1]] == 0).all())
        if monotone:
            assert bool(((t - age).diff(dim=0) >= 0).all())

    def test_all_ages_occur(self) -> None:
        edge_index = torch.zeros(2, 1000, dtype=torch.long)
        edge_index[1] = 1
        schedule = RandomSchedule(edge_index, 2, 5)
        ages = torch.stack([schedule.tick(t)[1] for t in range(20)])[5:]
        share = ages.flatten().bincount().double() / ages.numel()
        assert share.numel() == 5
        assert (share - 0.2).abs().max() < 0.02

    def test_bad_options(self) -> None:
        with pytest.raises(ConfigError, match="staleness"):
            RandomSchedule(P3, 3, 0)
        with pytest.raises(ConfigError, match="rate"):
            RandomSchedule(P3, 3, 1, rate=0.0)
        with pytest.raises(ConfigError, match="between 0 and t"):
            ScriptedSchedule(torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 4, dtype=torch.long))
        with pytest.raises(ConfigError, match="2 ticks"):
            ScriptedSchedule(torch.ones(2, 3, dtype=torch.bool), torch.zeros(1, 4, dtype=torch.long))

    @given(staleness=st.integers(1, 6), ticks=st.integers(0, 20))
    def test_the_ring_remembers_what_was_written(self, staleness: int, ticks: int) -> None:
        history = torch.arange(2.0 * (ticks + 1)).view(-1, 2, 1)
        ring = Ring(history[0], staleness)
        for t in range(1, ticks + 1):
            ring.write(t, history[t])
        age = torch.arange(min(staleness, ticks + 1))
        for row in (0, 1):
            assert torch.equal(ring.read(ticks, age, torch.full_like(age, row)), history[ticks - age, row])


@pytest.mark.parametrize("conv", [GCNConv, GINConv])
@given(union=unions())
def test_unions_of_any_graphs(union: Data, conv: type) -> None:
    union.x = torch.linspace(-1, 1, union.num_nodes).unsqueeze(1).repeat(1, 3)
    model = GNN(2, 4, num_layers=2, conv=conv, encoder=lambda c: FeatureEncoder(
        c, node=partial(LinearEncoder, in_channels=3))).eval()  # fmt: skip
    run = asynchronous_run(model, union, staleness=1)
    assert not run.deviation.numel() or run.deviation.max() < 1e-4
    assert asynchronous_run(model, union, staleness=4).prediction.isfinite().all()
