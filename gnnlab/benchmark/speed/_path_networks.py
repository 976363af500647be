"""Rows of ``gnnlab bench models``: path networks against a plain LSTM over all steps of all paths."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.benchmark.speed._molecules import molecules
from gnnlab.benchmark.speed._passes import Pass, compared, take_weights
from gnnlab.benchmark.speed._paths import KINDS
from gnnlab.benchmark.speed._proteins import proteins
from gnnlab.benchmark.speed._reference_models import PathNetwork
from gnnlab.benchmark.speed.measure import Comparison
from gnnlab.lifting import Paths
from gnnlab.nn import PathNN

__all__ = ["rows"]

_CHANNELS = 64
_WORKLOADS: tuple[tuple[str, Callable[[int], tuple[Tensor, Tensor]], int, int], ...] = (
    ("protein-like", proteins, 32, 3),
    ("molecule-like", lambda count: molecules(count, 23), 128, 4),
)
"""Name, generator, batch size and longest paths: those of the experiments on ENZYMES and ZINC."""

_TIME, _MEMORY = 2, 2


def rows(options: argparse.Namespace) -> list[Comparison]:
    """Time and memory of every kind of paths; simple ones have distances, as in the paper."""
    result = []
    for name, generate, count, length in _WORKLOADS:
        edge_index, ptr = generate(options.graphs or count)
        for kind in KINDS:
            result += _rows(name, edge_index, ptr, length, kind, options.rounds)
    return result


def _rows(name: str, edge_index: Tensor, ptr: Tensor, length: int, kind: str, rounds: int) -> list[Comparison]:
    distances = kind == "simple"
    num_nodes, graphs = int(ptr[-1]), ptr.numel() - 1
    x = torch.randn(num_nodes, _CHANNELS, generator=torch.Generator().manual_seed(0)).requires_grad_()
    batch = torch.repeat_interleave(ptr.diff())
    data = Paths(length, kind, distances)(Data(x, edge_index, num_nodes=num_nodes, ptr=ptr, batch=batch))
    paths = [data[f"path_{i}"] for i in range(1, length + 1)]
    places = [data[f"path_{i}_distance"] for i in range(1, length + 1)] if distances else []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = PathNN(1, _CHANNELS, length, distances, in_channels=_CHANNELS)
        theirs = PathNetwork(_CHANNELS, 1, length, distances)
    take_weights(list(ours.parameters()), list(theirs.parameters()))
    return compared(
        f"path network, {KINDS[kind]}, {name}",
        "torch.nn.LSTM over all steps",
        Pass(lambda: ours(data), [x, *ours.parameters()]),
        Pass(lambda: theirs(x, paths, places, batch), [x, *theirs.parameters()]),
        rounds,
        (_TIME, _MEMORY),
        f"{graphs} graphs, {num_nodes:,} nodes, {sum(map(len, paths)):,} paths of up to {length} edges, d={_CHANNELS}",
    )
