"""Rows of ``gnnlab bench models``: the factored edge network against a matrix per edge."""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn
from torch_geometric.nn import NNConv

from gnnlab.benchmark.speed._operations import Result
from gnnlab.benchmark.speed._passes import Pass, compared, take_weights
from gnnlab.benchmark.speed._reference_models import EdgeNetwork
from gnnlab.benchmark.speed.measure import Comparison
from gnnlab.nn import EdgeNetworkMessage
from gnnlab.ops import CSR, complete_edge_index

__all__ = ["rows"]

_GRAPHS, _NODES = 20, 29
_CHANNELS, _EDGE_CHANNELS, _NETWORK_CHANNELS = 200, 5, 128
_STEPS = 3
_TIME, _MEMORY = 3, 10


def rows(options: argparse.Namespace) -> list[Comparison]:
    """One layer against PyG's, and a few steps with the same weights, for which the matrices are made once."""
    graphs = options.graphs or _GRAPHS
    draw = torch.Generator().manual_seed(0)
    edge_index = complete_edge_index(torch.arange(graphs + 1) * _NODES)
    x = torch.randn(graphs * _NODES, _CHANNELS, generator=draw).requires_grad_()
    edge_attr = torch.rand(edge_index.size(1), _EDGE_CHANNELS, generator=draw)
    detail = f"{graphs} complete graphs of {_NODES} nodes, {edge_index.size(1):,} edges, d={_CHANNELS}"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [
            *_layer(x, edge_index, edge_attr, options.rounds, detail),
            *_steps(x, edge_index, edge_attr, options.rounds, detail),
        ]


def _layer(x: Tensor, edge_index: Tensor, edge_attr: Tensor, rounds: int, detail: str) -> list[Comparison]:
    adj = CSR.from_edge_index(edge_index, x.size(0))
    ours = EdgeNetworkMessage(_CHANNELS, _CHANNELS, _EDGE_CHANNELS, _NETWORK_CHANNELS)
    network = EdgeNetwork(_CHANNELS, _EDGE_CHANNELS, _NETWORK_CHANNELS).network
    theirs = NNConv(_CHANNELS, _CHANNELS, network, root_weight=False, bias=False)
    _share(ours, network)
    return compared(
        "edge network, a layer",
        "PyG's NNConv",
        Pass(lambda: ours(x, adj, edge_attr), [x, ours.weight, *ours.network.parameters()]),
        Pass(lambda: theirs(x, edge_index, edge_attr), [x, *network.parameters()]),
        rounds,
        (_TIME, _MEMORY),
        detail,
        _aligned,
    )


def _steps(x: Tensor, edge_index: Tensor, edge_attr: Tensor, rounds: int, detail: str) -> list[Comparison]:
    adj = CSR.from_edge_index(edge_index, x.size(0))
    ours = EdgeNetworkMessage(_CHANNELS, _CHANNELS, _EDGE_CHANNELS, _NETWORK_CHANNELS)
    theirs = EdgeNetwork(_CHANNELS, _EDGE_CHANNELS, _NETWORK_CHANNELS)
    _share(ours, theirs.network)
    update = nn.GRUCell(_CHANNELS, _CHANNELS)
    take_weights(list(update.parameters()), list(theirs.update.parameters()))

    def forward() -> Tensor:
        states, encoded = x, ours.encode_edges(edge_attr, x.size(0))
        for _ in range(_STEPS):
            states = update(ours(states, adj, encoded), states)
        return states

    return compared(
        f"edge network, {_STEPS} steps with a GRU",
        "a matrix per edge, made once",
        Pass(forward, [x, ours.weight, *ours.network.parameters(), *update.parameters()]),
        Pass(lambda: theirs(x, edge_index, edge_attr, _STEPS), [x, *theirs.parameters()]),
        rounds,
        (_TIME, _MEMORY),
        detail,
        _aligned,
    )


@torch.no_grad()
def _share(ours: EdgeNetworkMessage, network: nn.Sequential) -> None:
    """Give a network that ends in the matrices our weights, with biases that make a difference."""
    ours.network[0].bias.uniform_(-1, 1)
    take_weights(list(ours.network.parameters()), list(network[0].parameters()))
    matrices = ours.weight.view(ours.rank, -1)
    network[2].weight.copy_(matrices[:-1].t())
    network[2].bias.copy_(matrices[-1])


def _aligned(result: Result) -> Result:
    """Gradients of the last layer as one of the matrices, before those of the first."""
    x, weight, bias, last_weight, last_bias, *others = result.grads
    matrices = torch.cat([last_weight.t(), last_bias[None]])
    width = x.size(1)
    return result._replace(grads=(x, matrices.reshape(-1, width), weight, bias, *others))
