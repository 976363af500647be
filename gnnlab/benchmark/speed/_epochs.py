"""One row of the table: check that two networks are the same, then time every way to train them."""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from gnnlab.benchmark.speed._agreement import copy_weights, size, verify
from gnnlab.benchmark.speed._loops import Loop, TrainerLoop, endless
from gnnlab.benchmark.speed._pyg_models import LOSSES
from gnnlab.benchmark.speed._shares import shares_of
from gnnlab.benchmark.speed._workloads import Graphs, Setup, Workload, graphs_of, plain, setup_of
from gnnlab.benchmark.speed.measure import ratio
from gnnlab.data import GraphLoader
from gnnlab.errors import ConfigError
from gnnlab.ops import use_backend
from gnnlab.training import GraphTask
from gnnlab.training.losses import loss_by_name

__all__ = ["OURS", "PEER", "Outcome", "Row", "measure"]

PEER, OURS = "pyg", "gnnlab"

_TURN_SECONDS = 1.0  # what a turn of the slowest way should last
_FEWEST, _MOST = 2, 50  # steps of a turn
_CHECKED = 32  # graphs on which the networks are compared
_PROFILED = 10  # steps at most


@dataclass(frozen=True)
class Outcome:
    """One way to train.

    Args:
        epoch: Median seconds of an epoch.
        ratio: Median over rounds of the peer's time / this one.
        ratios: Those of the rounds.
    """

    epoch: float
    ratio: float
    ratios: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """One workload.

    Args:
        model: Name of the workload.
        experiment: The experiment it was made from.
        data: What it was trained on.
        parameters: Learned values, of either network.
        batch_size: Graphs per step.
        steps: Steps per turn.
        steps_per_epoch: Graphs of an epoch / batch size.
        extrapolated: Whether an epoch is so many times a step, or was run.
        difference: Largest difference between the networks, as :func:`verify` returns it.
        outcomes: Name -> way to train.
        shares: Name -> kind of operation -> share of the time, if profiled.
    """

    model: str
    experiment: str
    data: str
    parameters: int
    batch_size: int
    steps: int
    steps_per_epoch: float
    extrapolated: bool
    difference: float
    outcomes: dict[str, Outcome]
    shares: dict[str, dict[str, float]] = field(default_factory=dict)


def measure(name: str, workload: Workload, options: argparse.Namespace) -> Row:
    """Compare the networks, then time every way to train.

    Raises:
        ConfigError: fewer graphs than a batch.
        GnnlabError: the peer computes something else.
    """
    torch.manual_seed(options.seed)
    setup = setup_of(workload)
    setup = setup._replace(batch_size=options.batch_size or setup.batch_size)
    print(f"{name}: graphs", file=sys.stderr, flush=True)
    graphs = graphs_of(setup, options.graphs, options.seed, options.generated)
    peers = plain(graphs.store, graphs.index)
    if len(peers) < setup.batch_size:
        raise ConfigError(f"{len(peers)} graphs do not fill a batch of {setup.batch_size}", where="--batch-size")
    graphs = graphs._replace(store=graphs.store.to(options.device))
    ours, theirs = setup.network(), workload.peer(workload.width, workload.num_layers)
    ours, theirs = ours.to(options.device), theirs.to(options.device)
    batches = graphs.store[graphs.index[:_CHECKED]], Batch.from_data_list(peers[:_CHECKED]).to(options.device)
    difference = verify(name, setup, ours, theirs, *batches)
    copy_weights(ours, theirs)

    print(f"{name}: training", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        loops = _loops(setup, graphs, ours, theirs, peers, options)
        trainer = TrainerLoop(
            GraphTask(copy.deepcopy(ours), setup.task, setup.optimizer),
            _stored(setup, graphs, options),
            setup.clip,
            options.device,
            folder,
        )
        steps, seconds = _time({**loops, "gnnlab-trainer": trainer}, graphs, setup, options)
    shares = {each: shares_of(loops[each], min(steps, _PROFILED)) for each in (PEER, OURS) if options.profile}
    per_epoch = graphs.index.numel() / setup.batch_size
    scale = 1.0 if options.full_epochs else per_epoch / steps
    return Row(
        model=name,
        experiment=workload.experiment,
        data=graphs.note,
        parameters=size(ours),
        batch_size=setup.batch_size,
        steps=steps,
        steps_per_epoch=per_epoch,
        extrapolated=not options.full_epochs,
        difference=difference,
        outcomes={each: _outcome(seconds[PEER], times, scale) for each, times in seconds.items()},
        shares=shares,
    )


class _SameOrder(Sampler):
    """The order a :class:`GraphLoader` over so many graphs goes by, epoch after epoch."""

    def __init__(self, loader: GraphLoader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return self.loader.index.numel()

    def __iter__(self) -> Iterator[int]:
        order = self.loader.order()
        self.loader.set_epoch(self.loader.epoch + 1)
        return iter(order.tolist())


def _loops(
    setup: Setup,
    graphs: Graphs,
    ours: nn.Module,
    theirs: nn.Module,
    peers: Sequence[Data],
    options: argparse.Namespace,
) -> dict[str, Loop]:
    """The plain loops, each with a network, an optimiser and a loader of its own."""

    def loop(network: nn.Module, batches: Iterator[Batch], loss: Callable, **further: Callable) -> Loop:
        network = copy.deepcopy(network)
        return Loop(
            network, batches, loss, setup.optimizer(network.parameters()), setup.clip, options.device, **further
        )

    def own_loss(pred: Tensor, target: Tensor) -> Tensor:
        return loss_by_name(setup.task.loss)(pred, target)[0]

    peer_loss, stored = LOSSES[setup.task.loss], partial(_stored, setup, graphs, options)
    loops = {
        PEER: loop(theirs, _listed(setup, graphs, peers, options), peer_loss),
        OURS: loop(ours, stored(), own_loss),
    }
    if options.backends == "all":
        loops["gnnlab, torch"] = loop(ours, stored(), own_loss, within=partial(use_backend, "torch"))
        loops["pyg, our loader"] = loop(theirs, stored(), peer_loss)
    return loops


def _stored(setup: Setup, graphs: Graphs, options: argparse.Namespace) -> Iterator[Batch]:
    """Batches of a store on the device."""
    settings = {"index": graphs.index, "shuffle": True, "drop_last": not options.full_epochs, "seed": options.seed}
    return endless(GraphLoader(graphs.store, setup.batch_size, **settings))


def _listed(setup: Setup, graphs: Graphs, peers: Sequence[Data], options: argparse.Namespace) -> Iterator[Batch]:
    """The same batches by PyG's loader."""
    order = GraphLoader(graphs.store, index=torch.arange(len(peers)), shuffle=True, seed=options.seed)
    settings = {"sampler": _SameOrder(order), "drop_last": not options.full_epochs, "num_workers": options.workers}
    return endless(DataLoader(peers, setup.batch_size, **settings))


def _time(
    candidates: Mapping[str, Loop | TrainerLoop], graphs: Graphs, setup: Setup, options: argparse.Namespace
) -> tuple[int, dict[str, list[float]]]:
    """Steps per turn, and the seconds of every turn.

    In a round all train on the same batches; every other round runs them backwards. The first step of a turn,
    which finds the caches as somebody else left them, is not timed.
    """
    trial = max(candidate.turn(1, 1) for candidate in candidates.values())
    unseen, steps = 1, options.steps or max(_FEWEST, min(_MOST, round(_TURN_SECONDS / trial)))
    if options.full_epochs:
        unseen, steps = 0, math.ceil(graphs.index.numel() / setup.batch_size)
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(options.rounds):
        for name in candidates if turn % 2 == 0 else reversed(candidates):
            seconds[name].append(candidates[name].turn(steps, unseen))
    return steps, seconds


def _outcome(theirs: Sequence[float], times: Sequence[float], scale: float) -> Outcome:
    ratios = tuple(other / mine for other, mine in zip(theirs, times, strict=True))
    return Outcome(scale * statistics.median(times), ratio(theirs, times), ratios)
