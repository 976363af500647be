"""Rows of ``gnnlab bench models``: a tick of many asynchronous runs against synchronous steps of one of them."""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.benchmark.speed._molecules import molecules
from gnnlab.benchmark.speed._operations import Result
from gnnlab.benchmark.speed._passes import agree
from gnnlab.benchmark.speed.measure import Comparison, in_one_thread, interleave, ratio
from gnnlab.errors import GnnlabError
from gnnlab.nn import GNN, GSDGNN, IGNN, EnergyGNN, FeatureEncoder, GATConv, LinearEncoder
from gnnlab.nn.models._batch import edges_of, encoded
from gnnlab.ops import CSR

__all__ = ["Simulation", "rows"]

_RUNS, _GRAPHS, _NODES = 50, 10, 12
_STALENESS = 20
_TICKS = 8
"""Ticks of a turn, from the beginning of a run: in these a GNN of two layers applies nearly all of them."""

_MOST, _STEPS = 60, 20
"""Synchronous steps that a tick may cost, and those of a turn."""

_STEP = 0.01
"""Of descent on an energy: its size is no matter of time."""

_TURN = 0.3


class Simulation(NamedTuple):
    """The parts of asynchronous inference, which its caller knows and the benchmark does not.

    Args:
        process: (model, batch, staleness, steps [G] of descent) -> a process, as of ``gnnlab.analysis``.
        schedule: (edge_index, num_nodes, staleness) -> a schedule.
    """

    process: Callable[[Any, Data, int, Tensor], Any]
    schedule: Callable[[Tensor, int, int], Any]


class _Model(NamedTuple):
    """A model with the synchronous step that a tick does asynchronously.

    Args:
        build: Factory of the model, which is given width and encoder.
        step: (model, batch) -> the step, which returns the states [N, d] after the first one.
    """

    build: Callable[..., nn.Module]
    step: Callable[[Any, Data], Callable[[], Tensor]]


def rows(options: argparse.Namespace, simulation: Simulation) -> list[Comparison]:
    """Energies, fixed points and layers, as in the experiments on hogwild inference."""
    graphs = options.graphs or _GRAPHS
    return [_row(name, model, simulation, graphs, options.rounds) for name, model in _MODELS.items()]


@torch.no_grad()
def _row(name: str, kind: _Model, simulation: Simulation, graphs: int, rounds: int) -> Comparison:
    one, many = _batch(graphs, 1), _batch(graphs, _RUNS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind.build(
            level="node", encoder=partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=one.x.size(1)))
        ).eval()
    step = kind.step(model, one)
    what = f"asynchronous tick of {_RUNS} runs, {name}"
    agree(what, Result((_lock_step(simulation, model, many),)), Result((step().repeat(_RUNS, 1),)))
    steps = [step] * _STEPS
    times = interleave(
        {
            "ours": _ticking(simulation, model, many),
            "theirs": lambda: [step() for step in steps],
            "theirs, one thread": lambda: in_one_thread(steps),
        },
        rounds,
        least=_TURN,
    )
    ticks = [seconds / _TICKS for seconds in times["ours"]]
    # Threads slow small graphs down: a synchronous step is that of the number of threads that suits it.
    best = min(times["theirs"], times["theirs, one thread"], key=statistics.median)
    bound = [_MOST / _STEPS * seconds for seconds in best]
    plain = _MOST * statistics.median(mine / other for mine, other in zip(ticks, bound, strict=True))
    return Comparison(
        what,
        f"{_MOST} synchronous steps of one run",
        statistics.median(ticks),
        statistics.median(bound),
        ratio(bound, ticks),
        1.0,
        detail=f"{graphs} graphs, {one.num_nodes} nodes, B={_STALENESS}; {plain:.0f} synchronous steps per tick",
    )


def _lock_step(simulation: Simulation, model: nn.Module, batch: Data) -> Tensor:
    """States after a tick at which everybody computes and knows everything."""
    process = simulation.process(model, batch, 1, _step_sizes(batch))
    process.step(0, torch.ones(batch.num_nodes, dtype=torch.bool), torch.zeros(batch.num_edges, dtype=torch.long))
    return process.h


def _ticking(simulation: Simulation, model: nn.Module, batch: Data) -> Callable[[], None]:
    """The first ticks of a run, over and over."""
    start = simulation.process(model, batch, _STALENESS, _step_sizes(batch))
    schedule = simulation.schedule(start.edge_index, batch.num_nodes, _STALENESS)

    def run() -> None:
        # Steps replace states and counts, so that those of the beginning are kept.
        process = copy.copy(start)
        for t in range(_TICKS):
            computed = process.step(t, *schedule.tick(t))
            if t == 0 and not bool(computed.any()):
                raise GnnlabError("the run had ended before it began", where="gnnlab bench models")

    return run


def _step_sizes(batch: Data) -> Tensor:
    return torch.full((batch.ptr.numel() - 1,), _STEP)


def _batch(graphs: int, runs: int) -> Data:
    edge_index, ptr = molecules(graphs, _NODES)
    nodes, edges = int(ptr[-1]), edge_index.size(1)
    x = torch.randn(nodes, 2, generator=torch.Generator().manual_seed(0)).repeat(runs, 1)
    edge_index = edge_index.repeat(1, runs) + nodes * torch.arange(runs).repeat_interleave(edges)
    ptr = torch.cat([ptr[:1], (ptr[1:] + nodes * torch.arange(runs)[:, None]).flatten()])
    adj = CSR.from_edge_index(edge_index, nodes * runs)
    return Data(x, edge_index, adj=adj, ptr=ptr, batch=torch.repeat_interleave(ptr.diff()))


def _layer(model: GNN, batch: Data) -> Callable[[], Tensor]:
    """The first layer; the others are as large."""
    x, attr = encoded(model.encoder, batch)
    edges = edges_of(batch, attr, x.size(0), batch.ptr)
    return lambda: model.layers[0](x, edges)[0]


def _iteration(model: IGNN, batch: Data) -> Callable[[], Tensor]:
    """The iteration by which the model finds its fixed point."""
    rule = model.local_rule(batch)
    start = rule.initial()
    return lambda: rule.function(start)


def _descent(model: EnergyGNN, batch: Data) -> Callable[[], Tensor]:
    """A step along the gradient of the whole energy, as the model's own minimiser evaluates it."""
    rule = model.local_rule(batch)
    start = rule.initial()

    def step() -> Tensor:
        with torch.enable_grad():
            leaf = start.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(rule.energy(leaf).sum(), leaf)
        return start - _STEP * gradient

    return step


def _smoothing(model: GSDGNN, batch: Data) -> Callable[[], Tensor]:
    """A step along the gradient, a product with the matrix of the model."""
    rule = model.local_rule(batch)
    start = rule.initial()
    return lambda: start - 2 * _STEP * (rule.smoother(start) - rule.signal)


_ENERGY = partial(EnergyGNN, 1, 32, state_channels=8, beta=1.0)

_MODELS = {
    "energy by nodes": _Model(partial(_ENERGY, kind="node"), _descent),
    "energy by edges": _Model(partial(_ENERGY, kind="edge"), _descent),
    "IGNN": _Model(partial(IGNN, 1, 32), _iteration),
    "GSD": _Model(partial(GSDGNN, 1, 32), _smoothing),
    "GCN": _Model(partial(GNN, 1, 32, num_layers=2), _layer),
    "GAT": _Model(partial(GNN, 1, 32, num_layers=2, conv=partial(GATConv, heads=4)), _layer),
}
