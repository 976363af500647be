"""Rows of ``gnnlab bench subgraph``: networks and aggregations against an index of pairs for each."""

from __future__ import annotations

import argparse
from copy import deepcopy
from functools import partial
from typing import Any

import networkx as nx
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.benchmark.speed import _reference_subgraph as reference
from gnnlab.benchmark.speed._passes import Pass, agree, measured, peak_bytes, take_weights
from gnnlab.benchmark.speed._subgraph_store import MAX_DISTANCE, zinc
from gnnlab.benchmark.speed.measure import Comparison
from gnnlab.data import GraphStore
from gnnlab.lifting import NodePairs
from gnnlab.nn import CategoricalEncoder, FeatureEncoder, SubgraphConv, SubgraphGNN
from gnnlab.nn._tuple_store import Tuples
from gnnlab.ops import CSR, expand_ptr

__all__ = ["aggregations", "steps"]

_BATCH, _CHECKED = 128, 12
_ATOMS, _BONDS = 28, 4
_TIME, _MEMORY = 2, 2
_GRAPHS, _NODES = 16, 40


def steps(options: argparse.Namespace) -> list[Comparison]:
    """Forward and backward of GNN-SSWL+ on a batch of ZINC, with the indices of the other at hand before.

    Maps of ours are made within the pass, as in training. The released layout pools through an index of n^3 entries; a
    second peer, with sums over roots in its place, shows what is gained without that.
    """
    count = options.graphs or _BATCH
    store, name = zinc(count)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = SubgraphGNN(
            1,
            options.channels,
            options.layers,
            max_distance=MAX_DISTANCE,
            unreachable=False,
            readout="pairs",
            pool="mean",
            encoder=partial(FeatureEncoder, node=partial(CategoricalEncoder, num_categories=[_ATOMS])),
            edge_encoder=partial(CategoricalEncoder, num_categories=[_BONDS]),
        )
        theirs = reference.SubgraphNetwork(_ATOMS, _BONDS, MAX_DISTANCE + 1, options.channels, options.layers)
    take_weights(list(ours.parameters()), list(theirs.parameters()))
    what = f"training step of GNN-SSWL+, {options.layers} x {options.channels}"
    # Many rows of a batch are equal, so that rounding opens or closes a rectifier for all of them: only in double
    # precision do gradients say whether both compute the same.
    batch, (by_index, by_segment) = _batch(store, min(count, _CHECKED))
    exact, other = deepcopy(ours).double(), deepcopy(theirs).double()
    right = _pass(exact, batch)()
    for read in (by_index, by_segment):
        agree(what, right, _pass(other, *read)())
    batch, (by_index, by_segment) = _batch(store, count)
    index = by_index[4]
    entries = sum(index[name].size(1) for name in ("uL", "vL", "vv"))
    detail = f"{name}, {count} graphs, {by_index[1].numel():,} pairs, {entries:,} entries of indices"
    peers = {
        f"an index per aggregation, {index['uG'].size(1):,} more entries to pool": by_index,
        "the same, but pools by segments": by_segment,
    }
    return [
        row
        for peer, read in peers.items()
        for row in measured(
            what, peer, _pass(ours, batch), _pass(theirs, *read), options.rounds, (_TIME, _MEMORY), detail
        )
    ]


def _batch(store: GraphStore, count: int) -> tuple[Batch, tuple[tuple, tuple]]:
    """The first graphs with their pairs, and what the peers read."""
    batch = NodePairs(marking="distance", max_distance=MAX_DISTANCE)(store[torch.arange(count)])
    maps = reference.indices(batch.edge_index, batch.ptr, ("uL", "vL", "vv", "uG"))
    index = {name: pairs for name, (pairs, _) in maps.items()}
    bond = {name: batch.edge_attr.view(-1)[maps[name][1]] for name in ("uL", "vL")}
    root, node = batch.pair_index
    read = batch.x.view(-1), batch.pair_mark, node, expand_ptr(batch.ptr)[root], index, bond
    return batch, (read, (*read, root))


def _pass(model: nn.Module, *inputs: Any) -> Pass:
    return Pass(lambda: model(*inputs), list(model.parameters()))


def aggregations(options: argparse.Namespace) -> list[Comparison]:
    """Memory of a pass through ``uG`` and ``vG`` alone, on graphs of 40 nodes."""
    graphs = [_graph(seed) for seed in range(options.graphs or _GRAPHS)]
    batch = NodePairs()(Batch.from_data_list(graphs))
    rows = Tuples.of(*batch.pair_index, batch.num_nodes, batch.ptr)
    adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    h = torch.randn(rows.num_rows, options.channels, generator=torch.Generator().manual_seed(0)).requires_grad_()
    return [_aggregation(name, h, rows, adj, batch) for name in ("uG", "vG")]


def _aggregation(name: str, h: Tensor, rows: Tuples, adj: CSR, batch: Batch) -> Comparison:
    width = h.size(1)
    layer = SubgraphConv(width, width, (name,), lambda *_: nn.Identity(), train_eps=False, norm=None, activation=None)
    index = reference.indices(batch.edge_index, batch.ptr, (name,))[name][0]
    ours = Pass(lambda: layer(h, rows, adj), [h])
    theirs = Pass(lambda: h + reference.through(h, index), [h])
    agree(name, ours(), theirs())
    memory = peak_bytes(ours), peak_bytes(theirs)
    detail = (
        f"{batch.num_graphs} graphs of {_NODES} nodes, {rows.num_rows:,} pairs, d={width}; "
        f"{memory[0] / h.nbytes:.1f} and {memory[1] / h.nbytes:.1f} times the states"
    )
    peer = f"an index of {index.size(1):,} entries"
    return Comparison(f"{name} alone, memory", peer, *memory, memory[1] / memory[0], unit="B", detail=detail)


def _graph(seed: int) -> Data:
    edges = torch.tensor(list(nx.random_regular_graph(3, _NODES, seed=seed).edges)).t()
    return Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=_NODES)
