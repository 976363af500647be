"""Models against staleness: how much of their error is the fault of not waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gnnlab.analysis.asynchrony import AsynchronousRun, asynchronous_run
from gnnlab.data import GraphStore
from gnnlab.errors import ConfigError, DataError
from gnnlab.ops import expand_ptr

__all__ = ["AsynchronyRow", "asynchrony_table"]

_CLASSES = ("cross_entropy", "weighted_cross_entropy")


@dataclass(frozen=True)
class AsynchronyRow:
    """One model at one staleness.

    Args:
        model: Name of the model.
        staleness: B.
        synchronous: Error of the model itself on the same graphs, in per cent: wrong predictions, or, for regression,
            the root of the mean squared error over that of the targets.
        mean: Mean error of the asynchronous runs, in per cent.
        std: Sample standard deviation of the runs; 0 for one run.
        deviation: Largest difference from a synchronous prediction, of all graphs and runs.
        reached: Share of graphs and runs within the tolerance of the synchronous prediction in the end (for layers:
            that applied all of them).
        ticks: Mean ticks until then, of those.
        messages: Mean messages per graph until then, or until the end.
    """

    model: str
    staleness: int
    synchronous: float
    mean: float
    std: float
    deviation: float
    reached: float
    ticks: float
    messages: float

    @property
    def degradation(self) -> float:
        """What asynchrony adds to the error, in points of per cent."""
        return self.mean - self.synchronous


def asynchrony_table(
    models: Mapping[str, Any],
    store: GraphStore,
    staleness: Sequence[int] = (1, 2, 5, 10, 20, 50),
    runs: int = 5,
    ticks: int = 50_000,
    seed: int = 0,
    *,
    graphs: int = 10,
    tolerance: float = 1e-3,
    track: Callable[[Iterable[tuple[str, int]]], Iterable[tuple[str, int]]] = iter,
    **options: Any,
) -> list[AsynchronyRow]:
    """Error of every model at every staleness, on test graphs, in several asynchronous runs.

    All runs of all graphs are one union. The published table (arXiv 2407.00494) has ten test samples, five runs, and
    one staleness that it does not state.

    Args:
        models: Name to model, in evaluation mode.
        store: The data with its task; graphs are the first of the split ``test``, of all where there is none.
        staleness: Values of B.
        runs: Runs per graph.
        ticks: Most ticks of a run.
        seed: Of the schedules; the same for every model.
        graphs: Number of graphs.
        tolerance: As of :func:`asynchronous_run`.
        track: Wraps the iteration over (model, B), for progress displays.
        options: Further options of :func:`asynchronous_run`.

    Raises:
        ConfigError: a store without a task or of links, a model that cannot be run node by node.
        DataError: no labelled graphs.
    """
    if store.task is None or store.task.level == "link":
        raise ConfigError("the store has no task of nodes or graphs", where="asynchrony_table")
    chosen = store.splits.get("test", torch.arange(len(store)))[:graphs]
    batch = store[chosen.repeat(runs)]
    cells = [(name, bound) for name in models for bound in staleness]
    rows = []
    for name, bound in track(cells):
        run = asynchronous_run(models[name], batch, bound, ticks=ticks, tolerance=tolerance, seed=seed, **options)
        rows.append(_row(name, bound, run, batch, store, runs))
    return rows


def _row(name: str, bound: int, run: AsynchronousRun, batch: Any, store: GraphStore, runs: int) -> AsynchronyRow:
    graph = torch.arange(run.ticks.numel(), device=run.ticks.device)
    rows = expand_ptr(batch.ptr) if store.task.level == "node" else graph
    number = rows // (graph.numel() // runs)
    classes = store.task.loss in _CLASSES
    ours = _errors(run.prediction, batch.y, number, runs, classes)
    reference = _errors(run.synchronous, batch.y, number, runs, classes)
    reached = run.ticks >= 0
    return AsynchronyRow(
        name,
        bound,
        reference.mean().item(),
        ours.mean().item(),
        ours.std().item() if runs > 1 else 0.0,
        run.deviation.max().item(),
        reached.double().mean().item(),
        run.ticks[reached].double().mean().item(),
        run.messages.double().mean().item(),
    )


def _errors(prediction: Tensor, target: Tensor, number: Tensor, runs: int, classes: bool) -> Tensor:
    """[runs] error of every run in per cent, of what is labelled; ``number`` is the run of every row."""
    if classes:
        target = target.view(-1, 1).long()
        known = target >= 0
        wrong, size = prediction.argmax(1, keepdim=True) != target, torch.ones_like(target)
    else:
        target = target.view(prediction.shape).double()
        known = ~target.isnan()
        wrong, size = (prediction.double() - target).square(), target.square()
    wrong, size = (
        prediction.new_zeros(runs, dtype=torch.float64).index_add(0, number, values.double().where(known, 0.0).sum(1))
        for values in (wrong, size)
    )
    if not bool((size > 0).all()):
        raise DataError("the chosen graphs have no target to compare with, or nothing but zeros", where="asynchrony")
    return 100 * (wrong / size if classes else (wrong / size).sqrt())
