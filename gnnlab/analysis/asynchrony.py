"""What becomes of a model when its nodes compute without waiting for each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis._processes import Process, process_of
from gnnlab.analysis._schedules import RandomSchedule, Schedule, ScriptedSchedule
from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import segment_reduce

__all__ = ["AsynchronousRun", "RandomSchedule", "Schedule", "ScriptedSchedule", "asynchronous_run"]


@dataclass(frozen=True)
class AsynchronousRun:
    """What an asynchronous run of a union gave.

    Args:
        prediction: [G or N, C] prediction at the end.
        synchronous: [G or N, C] prediction of the model itself.
        deviation: [G] largest difference of the two in every graph.
        states: [N, d] states at the end.
        ticks: [G] ticks after which the graph's prediction was within the tolerance of the synchronous one (for
            layers: after which all nodes had applied their last one); -1 if never.
        messages: [G] rows of numbers sent between nodes until then, or until the end.
        num_ticks: Ticks of the run.
    """

    prediction: Tensor
    synchronous: Tensor
    deviation: Tensor
    states: Tensor
    ticks: Tensor
    messages: Tensor
    num_ticks: int


@torch.no_grad()
def asynchronous_run(
    model: Any,
    batch: Data,
    staleness: int = 1,
    *,
    schedule: Schedule | None = None,
    ticks: int = 10_000,
    tolerance: float = 1e-4,
    check_every: int = 10,
    rate: float = 0.5,
    monotone: bool = False,
    step: Tensor | None = None,
    seed: int = 0,
) -> AsynchronousRun:
    """Run the nodes of a union without a common clock ("hogwild"), with news of bounded age.

    The setting of "Graph neural networks gone hogwild" (Solodova, Richardson, Oktay and Adams, ICLR 2025, arXiv
    2407.00494): partial asynchrony of Bertsekas and Tsitsiklis, see :class:`RandomSchedule`. Models with a
    ``local_rule`` (fixed points, energies) are iterated until they rest; a :class:`gnnlab.nn.GNN` of any local layer
    has every node apply its layers in order, to whatever its neighbours sent last.

    Many runs are one union: repeat the graphs (``store[index.repeat(runs)]``), each of which has randomness of
    its own.

    Cost: a tick is one local step of all nodes (of a GNN: of each layer, for the nodes that are due), and one copy of
    N d numbers; O(B N d) memory, and O(B E d) more for energies.

    Args:
        model: A model in evaluation mode, or an object with ``local_rule(batch)`` that can be called with a batch.
        batch: The union.
        staleness: B, in ticks; a state is used for less than B ticks after it was left. 1 is lock-step.
        schedule: Who computes when on what; random by default.
        ticks: Most ticks to run; the run ends when all graphs are within the tolerance.
        tolerance: Of the prediction, relative to the largest synchronous one of the graph where that is above 1.
        check_every: Ticks between two looks at the prediction.
        rate: Probability that a node computes in a tick.
        monotone: Whether news arrives in order.
        step: [G] step sizes for energies; by default 1 over the largest curvature, and beyond B = 4 less in proportion.
            Graphs that do not come to rest (``ticks`` is -1) need smaller ones.
        seed: Of the random schedule.

    Raises:
        ConfigError: a model that cannot be run node by node, or an option out of range.
        GraphError: a prediction that is neither one per node nor one per graph.

    Example:
        >>> from gnnlab.nn import GNN, LinearEncoder, FeatureEncoder
        >>> model = GNN(1, 4, num_layers=2, level="node", encoder=lambda channels: FeatureEncoder(
        ...     channels, node=lambda c: LinearEncoder(c, in_channels=2))).eval()
        >>> path = Data(x=torch.eye(3, 2), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> asynchronous_run(model, path, staleness=1).deviation.item() < 1e-5
        True
    """
    if ticks < 1 or check_every < 1 or not tolerance > 0:
        raise ConfigError(
            f"ticks and check_every must be at least 1 and tolerance above 0, got {ticks}, {check_every}, {tolerance}",
            where="asynchronous_run",
        )
    expected = model(batch)
    known = staleness if schedule is None else schedule.staleness
    process = process_of(model, batch, known, step)
    if schedule is None:
        num_nodes = process.sends.numel()
        schedule = RandomSchedule(process.edge_index, num_nodes, staleness, seed, rate, monotone)
    return _run(process, schedule, expected, min(ticks, getattr(schedule, "num_ticks", ticks)), tolerance, check_every)


def _run(
    process: Process, schedule: Schedule, expected: Tensor, ticks: int, tolerance: float, check_every: int
) -> AsynchronousRun:
    ptr = process.ptr
    scale = _largest(expected, ptr).clamp(min=1.0)
    computed = torch.zeros_like(process.sends)
    reached = torch.full((ptr.numel() - 1,), -1, dtype=torch.long, device=ptr.device)
    messages, t = torch.zeros_like(reached), -1
    for t in range(ticks):
        computed += process.step(t, *schedule.tick(t))
        within = process.finished()
        if within is None and (t + 1) % check_every and t + 1 < ticks:
            continue
        if within is None:
            within = _largest(process.prediction() - expected, ptr) <= tolerance * scale
        sent = segment_reduce((computed * process.sends).double(), ptr, "sum").long()
        messages = torch.where(reached < 0, sent, messages)
        reached = torch.where((reached < 0) & within, t + 1, reached)
        if bool(within.all()):
            break
    prediction = process.prediction()
    deviation = _largest(prediction - expected, ptr)
    return AsynchronousRun(prediction, expected, deviation, process.h, reached, messages, t + 1)


def _largest(values: Tensor, ptr: Tensor) -> Tensor:
    """[G] largest magnitude in every graph of values per graph or per node."""
    rows = values.abs().flatten(1).amax(1)
    if rows.numel() == ptr.numel() - 1:
        return rows
    if rows.numel() != int(ptr[-1]):
        raise GraphError(
            f"{rows.numel()} predictions are neither one per node ({int(ptr[-1])}) nor per graph ({ptr.numel() - 1})",
            where="asynchronous_run",
        )
    return segment_reduce(rows, ptr, "max")
