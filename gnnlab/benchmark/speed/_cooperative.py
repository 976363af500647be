"""Rows of ``gnnlab bench models``: training steps of cooperative networks against their environment network alone."""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch_geometric.data import Data
from torch_geometric.utils import grid

from gnnlab.benchmark.speed._passes import Pass, agree, take_weights
from gnnlab.benchmark.speed._proteins import proteins
from gnnlab.benchmark.speed._reference_models import NormedEncoder
from gnnlab.benchmark.speed.measure import Comparison, interleave, ratio
from gnnlab.nn import GNN, CoGNN, FeatureEncoder, GCNConv, LinearEncoder, SumMeanConv
from gnnlab.nn._actions import Decision
from gnnlab.ops import CSR

__all__ = ["rows"]

_SIDE = 100
_BATCH = 32
_MOST = 3
_TURN = 0.3

_CONVS: dict[str, Callable[[int, int], nn.Module]] = {
    "mean": SumMeanConv,
    "sum": partial(SumMeanConv, reduce="sum"),
    "GCN": GCNConv,
}


class _Work(NamedTuple):
    """Graphs, and settings of the experiments on such."""

    name: str
    data: Data
    settings: dict[str, Any]
    action: dict[str, Any]


class _Everyone(nn.Module):
    """Actions of which all are the standard one, which makes a cooperative network its environment."""

    def forward(self, x: Tensor, *unused: Any) -> Decision:
        return Decision(x.new_ones(x.size(0)), x.new_ones(x.size(0)))


def rows(options: argparse.Namespace) -> list[Comparison]:
    """Sum, mean and GCN on a graph like minesweeper's and on a batch like one of ENZYMES'."""
    works = _field(), _batch(options.graphs or _BATCH)
    return [_row(work, name, options.rounds) for work in works for name in _CONVS]


def _row(work: _Work, name: str, rounds: int) -> Comparison:
    conv = _CONVS[name]
    what = f"cooperative network of {name}, {work.name}"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = CoGNN(action=conv, environment=conv, in_channels=work.data.x.size(1), **work.action, **work.settings)
        theirs = GNN(conv=conv, norm_position="post", encoder=_encoder(work), **work.settings)
        environment = [p for key, p in ours.named_parameters() if not key.startswith("action.")]
        take_weights(environment, list(theirs.parameters()))
        everyone = copy.deepcopy(ours).eval()
        everyone.action = _Everyone()
        networks = everyone, copy.deepcopy(theirs).eval()
        agree(what, *(Pass(partial(network, work.data), list(network.parameters()))() for network in networks))
        candidates = {"ours": _step(ours, work.data), "theirs": _step(theirs, work.data)}
        times = interleave(candidates, rounds, least=_TURN)
    bound = [_MOST * seconds for seconds in times["theirs"]]
    nodes, edges = work.data.num_nodes, work.data.num_edges
    plain = statistics.median(mine / other for mine, other in zip(times["ours"], times["theirs"], strict=True))
    return Comparison(
        what,
        f"{_MOST} steps of the environment alone",
        statistics.median(times["ours"]),
        statistics.median(bound),
        ratio(bound, times["ours"]),
        1.0,
        detail=f"{nodes:,} nodes, {edges:,} edges; costs {plain:.2f} times its environment",
    )


def _step(network: nn.Module, data: Data) -> Callable[[], None]:
    """A training step; an epoch is one, or as many of each."""
    optimizer = torch.optim.Adam(network.train().parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(network(data), data.y).backward()
        optimizer.step()

    return step


def _encoder(work: _Work) -> Callable[[int], nn.Module]:
    """The encoder a cooperative network has by default, with the normalisation that follows it there."""
    norm, style = work.settings["norm"], {key: work.settings[key] for key in ("dropout", "activation")}
    linear = partial(LinearEncoder, in_channels=work.data.x.size(1), **style)
    return lambda channels: NormedEncoder(
        FeatureEncoder(channels, node=linear), nn.Identity() if norm is None else norm(channels)
    )


def _field() -> _Work:
    """A grid whose nodes are joined to the eight around them."""
    edge_index, _ = grid(_SIDE, _SIDE)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    settings = {"out_channels": 2, "hidden_channels": 64, "num_layers": 10, "level": "node", "residual": True}
    style = {"norm": nn.LayerNorm, "activation": nn.GELU, "dropout": 0.2}
    action = {"action_layers": 2, "action_channels": 16}
    return _Work("minesweeper-like", _data(edge_index, None, _SIDE**2, 7, 2), {**settings, **style}, action)


def _batch(graphs: int) -> _Work:
    edge_index, ptr = proteins(graphs)
    settings = {"out_channels": 6, "hidden_channels": 128, "num_layers": 2, "level": "graph", "residual": False}
    style = {"norm": None, "activation": nn.ReLU, "dropout": 0.0, "pool": "mean"}
    action = {"action_layers": 1, "action_channels": 8, "tau0": 0.5}
    data = _data(edge_index, ptr, int(ptr[-1]), 21, 6)
    return _Work("protein-like", data, {**settings, **style}, action)


def _data(edge_index: Tensor, ptr: Tensor | None, num_nodes: int, channels: int, classes: int) -> Data:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(num_nodes, channels, generator=draw)
    y = torch.randint(classes, (num_nodes if ptr is None else ptr.numel() - 1,), generator=draw)
    adj = CSR.from_edge_index(edge_index, num_nodes)
    return Data(x, edge_index, y=y, adj=adj, ptr=torch.tensor([0, num_nodes]) if ptr is None else ptr)
