"""Probes: exact sensitivities, and what theory says about distance, width and depth as statistical tests."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import networkx as nx
import numpy as np
import pytest
import torch
from scipy import stats
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx, to_networkx

from gnnlab.analysis import (
    DecayRatio,
    ProbeRow,
    Trend,
    decay_ratio,
    probe_claims,
    sensitivity,
    sensitivity_sweep,
    signal_propagation,
    sweep_figure,
    transfer_probes,
    trend,
    two_block_probes,
)
from gnnlab.data.generators._molecule_like import molecule_like_graphs
from gnnlab.errors import ConfigError
from gnnlab.graph import effective_resistance, shortest_path_distances
from gnnlab.nn import GNN, GCNConv


def linear(width: int, depth: int, self_loops: bool) -> GNN:
    """Layers that multiply by S and by nothing else."""
    conv = partial(GCNConv, add_self_loops=self_loops, bias=False)
    model = GNN(1, width, depth, conv, in_channels=5, activation=None, residual=False)
    for layer in model.layers:
        layer.conv.lin.weight.data = torch.eye(5)
    return model


WITHOUT_LOOPS = {
    "ring": [2.0**-3, 2.0**-5, 2.0**-7],
    "crossed_ring": [1 / 9, 1 / 36, 1 / 144],
    "clique_path": [2.0 ** -(c - 1) / (c * (c - 1) ** 0.5) for c in (4, 6, 8)],
}
WITH_LOOPS = {"ring": [0.0247, 0.00274, 0.000305], "crossed_ring": [0.0333, 0.00533, 0.000853]}
RESISTANCE = {"ring": [2, 3, 4], "crossed_ring": [1.5, 2, 2.5], "clique_path": [4.5, 19 / 3, 8.25]}


class TestExact:
    @pytest.mark.parametrize("topology", WITHOUT_LOOPS)
    def test_sensitivity_without_loops(self, topology: str) -> None:
        for probe, expected in zip(transfer_probes(topology, [8, 12, 16]), WITHOUT_LOOPS[topology], strict=True):
            hops = probe.num_nodes // 2 + (topology == "clique_path")
            network = partial(linear, self_loops=False)
            (row,) = sensitivity_sweep([probe], widths=[5], depths=[hops], seeds=[0], network=network, norm="spectral")
            assert row.distance == hops
            assert row.sensitivity == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("topology", WITH_LOOPS)
    def test_sensitivity_with_loops(self, topology: str) -> None:
        for probe, expected in zip(transfer_probes(topology, [8, 12, 16]), WITH_LOOPS[topology], strict=True):
            depth, network = probe.num_nodes // 2, partial(linear, self_loops=True)
            (row,) = sensitivity_sweep([probe], widths=[5], depths=[depth], seeds=[0], network=network, norm="spectral")
            assert row.sensitivity == pytest.approx(expected, rel=2e-2)
        if topology == "ring":
            assert row.sensitivity == pytest.approx(2 / 3**8, rel=1e-9)

    @pytest.mark.parametrize("topology", RESISTANCE)
    def test_resistance_and_commute_time(self, topology: str) -> None:
        probes = transfer_probes(topology, [8, 12, 16])
        rows = sensitivity_sweep(probes, widths=[2], depths=[2], seeds=[0], inputs=1)
        assert [row.resistance for row in rows] == pytest.approx(RESISTANCE[topology])
        volumes = [probe.edge_index.size(1) for probe in probes]
        assert [row.commute_time / row.resistance for row in rows] == pytest.approx(volumes)


class TestSweep:
    def test_equals_sensitivity_of_one_probe_at_a_time(self) -> None:
        probes = [*transfer_probes("clique_path", [6]), *two_block_probes([2], draws=2)]
        together = sensitivity_sweep(probes, widths=[4], depths=[7], seeds=[3], inputs=2)
        alone = [
            row for probe in probes for row in sensitivity_sweep([probe], widths=[4], depths=[7], seeds=[3], inputs=2)
        ]
        assert [row.sensitivity for row in together] == pytest.approx([row.sensitivity for row in alone], rel=1e-9)
        assert [row.share for row in together] == pytest.approx([row.share for row in alone], rel=1e-9)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = GNN(1, 4, 7, GCNConv, in_channels=5, residual=False).double()
        probe, found = probes[0], []
        for draw in range(2):
            x = torch.rand(6, 5, generator=torch.Generator().manual_seed(draw), dtype=torch.float64)
            data = Data(x=x, edge_index=probe.edge_index)
            found.append(float(sensitivity(model, data, torch.tensor([probe.source])).value[0, probe.target]))
        assert together[0].sensitivity == pytest.approx(np.mean(found), rel=1e-9)

    def test_a_row_for_every_setting_and_the_same_again(self) -> None:
        probes, state = transfer_probes("ring", [4, 6]), torch.get_rng_state()
        settings = {"widths": [2, 3], "depths": [1, 3], "seeds": [0, 5], "inputs": 1}
        rows = sensitivity_sweep(probes, **settings)
        assert torch.equal(torch.get_rng_state(), state)
        assert rows == sensitivity_sweep(probes, **settings)
        keys = {(row.setting, row.width, row.depth, row.seed) for row in rows}
        assert len(rows) == len(keys) == 16
        # What is out of reach is exactly nothing.
        assert all(row.sensitivity == 0 for row in rows if row.depth < row.distance)

    def test_trained_networks(self) -> None:
        seen = []

        def train(model: torch.nn.Module, probe: object) -> None:
            seen.append(probe)
            for parameter in model.parameters():
                parameter.data.mul_(2.0)

        probes = transfer_probes("ring", [4, 6])
        fresh = sensitivity_sweep(probes, widths=[8], depths=[3], seeds=[0])
        trained = sensitivity_sweep(probes, widths=[8], depths=[3], seeds=[0], train=train)
        assert [probe.setting for probe in seen] == [4, 6]
        # Three layers, each twice as large, biases zero.
        assert [row.sensitivity for row in trained] == pytest.approx([8 * row.sensitivity for row in fresh], rel=1e-6)

    def test_two_blocks(self) -> None:
        few, many = two_block_probes([1, 5], draws=3)[:3], two_block_probes([1, 5], draws=3)[3:]
        for one, five in zip(few, many, strict=True):
            edges = [set(map(tuple, probe.edge_index.t().tolist())) for probe in (one, five)]
            assert edges[0] < edges[1]
            graph = to_networkx(Data(edge_index=one.edge_index, num_nodes=16), to_undirected=True)
            assert nx.is_connected(graph)
            assert nx.shortest_path_length(graph, one.source, one.target) >= 3

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: transfer_probes("rings", [4]), "did you mean 'ring'"),
            (lambda: transfer_probes("ring", [5]), "even"),
            (lambda: transfer_probes("ring", [2]), "at least 4"),
            (lambda: sensitivity_sweep([]), "nothing to measure"),
            (lambda: sensitivity_sweep(transfer_probes("ring", [4]), inputs=0), "nothing to measure"),
            (lambda: sweep_figure([]), "no rows"),
        ],
    )
    def test_bad_settings(self, call, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            call()


def row(**values: object) -> ProbeRow:
    default = ProbeRow("ring", 4, 2, 1.0, 8.0, width=8, depth=8, seed=0, sensitivity=1.0, share=0.1)
    return replace(default, **values)


class TestTrend:
    def test_against_scipy(self) -> None:
        noise = np.random.default_rng(0)
        rows = [
            row(seed=seed, depth=depth, commute_time=float(time), sensitivity=float(np.exp(noise.normal() - time / 4)))
            for seed in range(6)
            for depth in (4, 8)
            for time in (1, 2, 2, 5, 7)
        ]
        found = trend(rows, "commute_time", "falls", within=["depth"])
        seeds = []
        for seed in range(6):
            taus = []
            for depth in (4, 8):
                part = [r for r in rows if (r.seed, r.depth) == (seed, depth)]
                taus.append(stats.kendalltau([r.commute_time for r in part], [r.sensitivity for r in part]).statistic)
            seeds.append(np.mean(taus))
        assert found.seeds == pytest.approx(seeds)
        assert found.correlation == pytest.approx(np.mean(seeds))
        low, high = stats.t.interval(0.95, 5, np.mean(seeds), stats.sem(seeds))
        assert (found.low, found.high) == pytest.approx((max(low, -1), min(high, 1)))
        agree = sum(value < 0 for value in seeds)
        assert found.p_value == pytest.approx(stats.binom.sf(agree - 1, 6, 0.5))
        assert found.groups == 2

    def test_no_trend_is_not_found(self) -> None:
        """Noise passes at the level of the test, not more often."""
        noise, passed = np.random.default_rng(1), 0
        for _ in range(100):
            rows = [
                row(seed=seed, commute_time=float(time), sensitivity=float(noise.uniform()))
                for seed in range(8)
                for time in range(6)
            ]
            passed += trend(rows, "commute_time", "falls").holds(0.05)
        # At most 3.5 % by the sign test (7 or 8 of 8); 100 draws exceed 10 with a probability below 0.002.
        assert passed <= 10

    def test_the_wrong_direction_does_not_hold(self) -> None:
        rows = [row(seed=seed, depth=depth, sensitivity=float(depth)) for seed in range(8) for depth in (1, 2, 3)]
        assert trend(rows, "depth", "rises").holds(0.01)
        falls = trend(rows, "depth", "falls")
        assert falls.p_value == 1
        assert not falls.holds()
        assert "tau = +1.00" in str(falls)

    def test_dead_networks_say_nothing(self) -> None:
        rows = [
            row(seed=seed, depth=depth, sensitivity=depth * (seed < 3.0)) for seed in range(5) for depth in (1, 2, 3)
        ]
        assert len(trend(rows, "depth", "rises").seeds) == 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("depth", "fall"), "did you mean 'falls'"),
            (("commute", "falls"), "did you mean 'commute_time'"),
            (("depth", "falls"), "at least 2 are needed"),
        ],
    )
    def test_bad_settings(self, arguments: tuple, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            trend([row(), row(depth=9)], *arguments)

    def test_decay_ratio(self) -> None:
        rows = [
            row(seed=seed, width=width, distance=hops, sensitivity=float(np.exp(-hops * rate * (1 + seed / 100))))
            for seed in range(4)
            for width, rate in ((8, 0.5), (16, 9.0), (32, 1.0))
            for hops in (2, 3, 5)
        ]
        found = decay_ratio(rows)
        assert found.widths == (8, 32)
        assert found.ratio == pytest.approx(2.0)
        assert not found.holds()
        assert decay_ratio(
            [r for r in rows if r.width != 32] + [replace(r, width=64) for r in rows if r.width == 8]
        ).holds()
        with pytest.raises(ConfigError, match="at least 2"):
            decay_ratio([r for r in rows if r.width == 8])
        assert not DecayRatio(1.0, 0.7, 1.3, (8, 32), (0.7, 1.3)).holds()


@cache
def rings() -> tuple[ProbeRow, ...]:
    probes = [probe for name in WITHOUT_LOOPS for probe in transfer_probes(name, [4, 8, 12])]
    return tuple(sensitivity_sweep(probes, widths=[8, 32], depths=[8, 16, 24], inputs=2))


@cache
def blocks() -> tuple[ProbeRow, ...]:
    return tuple(sensitivity_sweep(two_block_probes([1, 2, 4, 8], 5), widths=[8, 32], depths=[8, 16], inputs=2))


class TestTheory:
    """Eight seeds; a claim is seen if all of them agree (sign test, p = 0.004) and the interval leaves out zero."""

    @pytest.mark.parametrize("rows", [rings, blocks])
    def test_claims(self, rows) -> None:
        claims = {claim.text: claim for claim in probe_claims(rows(), level=0.01)}
        assert len(claims) == 7
        at_equal_distance = claims.pop("and so it does among pairs at equal distance")
        assert [str(claim) for claim in claims.values() if not claim.holds] == []
        # Ring and crossed ring differ too little; blocks of one distance differ in their bridges.
        assert at_equal_distance.holds == (rows is blocks)
        for claim in claims.values():
            if isinstance(claim.evidence, Trend):
                assert claim.evidence.p_value < 0.01

    def test_decay_with_commute_time_is_strong(self) -> None:
        for rows in (rings(), blocks()):
            reached = [r for r in rows if r.depth >= r.distance]
            assert trend(reached, "commute_time", "falls", within=["width", "depth"]).high < -0.6

    def test_resistance_by_bridges(self) -> None:
        """More bridges: less resistance, more sensitivity; the commute time has a minimum, edges make it longer."""
        assert trend(blocks(), "setting", "rises", within=["width", "depth"]).holds(0.01)
        assert trend(blocks(), "resistance", "falls", within=["width", "depth"]).holds(0.01)

    def test_between_distance_and_twice_the_distance_depth_may_help(self) -> None:
        """What the theory does not say: just beyond the distance a longer walk adds more than it loses."""
        rows = sensitivity_sweep(transfer_probes("clique_path", [16]), widths=[32], depths=[9, 14], inputs=2)
        assert trend(rows, "depth", "rises").holds(0.01)

    def test_claims_can_fail(self) -> None:
        noise = np.random.default_rng(0)
        rows = [replace(r, sensitivity=float(noise.uniform())) for r in rings()]
        assert not any(claim.holds for claim in probe_claims(rows))

    def test_figure(self) -> None:
        figure = sweep_figure(rings())
        by_time, by_distance, by_depth = figure.axes
        assert [text.get_text() for text in by_time.get_legend().get_texts()] == ["ring", "crossed ring", "clique path"]
        assert [text.get_text() for text in by_distance.get_legend().get_texts()] == ["width 8", "width 32"]
        median = np.median(
            [r.sensitivity for r in rings() if (r.family, r.width, r.depth, r.distance) == ("ring", 32, 8, 2)]
        )
        assert by_depth.get_lines()[0].get_ydata()[0] == pytest.approx(median)
        figure.canvas.draw()


def union(shapes) -> Batch:
    graphs = [from_networkx(shape) for shape in shapes]
    return Batch.from_data_list(
        [Data(edge_index=graph.edge_index.long().view(2, -1), num_nodes=graph.num_nodes) for graph in graphs]
    )


class TestSignalPropagation:
    def test_by_hand(self) -> None:
        batch = union([nx.path_graph(4), nx.cycle_graph(5), nx.barbell_graph(3, 1)])
        found = signal_propagation(batch, partial(linear_of, channels=3), sources=6, width=3, depth=2, seed=1)
        hops = shortest_path_distances(batch.edge_index, batch.ptr)
        for graph in range(3):
            first, last = batch.ptr[graph : graph + 2].tolist()
            dense = torch.zeros(last - first, last - first, dtype=torch.float64)
            mine = (batch.batch[batch.edge_index[0]] == graph).nonzero().flatten()
            dense[tuple(batch.edge_index[:, mine] - first)] = 1.0
            dense += torch.eye(last - first)
            scale = dense.sum(1).rsqrt()
            power = torch.linalg.matrix_power(scale[:, None] * dense * scale, 2)
            for column, source in enumerate(found.source[graph].tolist()):
                assert first <= source < last
                distance = hops[source, : last - first].double()
                # The same in all channels: the features of the source cancel.
                mass = power[:, source - first]
                expected = (mass * distance).sum() / mass.sum() / distance.max()
                assert float(found.score[graph, column]) == pytest.approx(float(expected), rel=1e-9)
                pairs = torch.stack([torch.full((last - first,), source), torch.arange(first, last)])
                resistance = effective_resistance(batch.edge_index, batch.ptr, pairs).sum()
                assert float(found.source_resistance[graph, column]) == pytest.approx(float(resistance))
        assert found.total_resistance[0] == pytest.approx(10)

    @pytest.mark.parametrize("seed", range(3))
    def test_signals_travel_less_where_resistance_is_larger(self, seed: int) -> None:
        edges, sizes = molecule_like_graphs(60, 20, torch.Generator().manual_seed(seed))
        ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        batch = Data(edge_index=edges, num_nodes=int(ptr[-1]), ptr=ptr, batch=torch.arange(60).repeat_interleave(sizes))
        found = signal_propagation(batch, seed=seed)
        result = stats.spearmanr(found.score.mean(1), found.total_resistance, alternative="less")
        assert result.pvalue < 0.01
        assert found.rank_correlation == pytest.approx(result.statistic)

    def test_degenerate_graphs_and_repetition(self) -> None:
        batch = union(
            [
                nx.empty_graph(1),
                nx.empty_graph(0),
                nx.path_graph(3),
                nx.disjoint_union(nx.path_graph(2), nx.path_graph(2)),
            ]
        )
        state = torch.get_rng_state()
        found = signal_propagation(batch, sources=3)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(found.score, signal_propagation(batch, sources=3).score)
        for table in (found.score, found.source_resistance, found.total_resistance):
            assert table.isfinite().all()
        assert found.source[1].tolist() == [-1, -1, -1]
        assert not found.score[:2].any()
        assert found.source_resistance[3].tolist() == pytest.approx([1.0] * 3)
        assert (found.score >= 0).all()
        assert (found.score <= 1).all()
        empty = signal_propagation(union([nx.empty_graph(0)]))
        assert empty.rank_correlation == 0
        with pytest.raises(ConfigError, match="at least 1"):
            signal_propagation(batch, sources=0)


def linear_of(width: int, depth: int, channels: int) -> GNN:
    model = GNN(1, width, depth, partial(GCNConv, bias=False), in_channels=channels, activation=None, residual=False)
    for layer in model.layers:
        layer.conv.lin.weight.data = torch.eye(channels)
    return model
