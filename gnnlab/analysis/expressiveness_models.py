"""Networks of every family, ready to be examined: small, with one setting each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from gnnlab.analysis.expressiveness import Subject
from gnnlab.encodings import RRWP, LaplacianPE, RandomWalkPE
from gnnlab.graph.path_wl import PathWL
from gnnlab.graph.paths import PathKind
from gnnlab.graph.subgraph_wl import SubgraphWL
from gnnlab.lifting import NodePairs, NodeTuples, Paths
from gnnlab.nn import (
    GNN,
    I2GNN,
    IGN2,
    KLGNN,
    MLP,
    PPGN,
    BatchNorm,
    CoGNN,
    FeatureEncoder,
    GCNConv,
    GINConv,
    GPSConv,
    GRITConv,
    LabelledCopies,
    LinearEncoder,
    LinearPEEncoder,
    MLPHead,
    PairEncoder,
    PathNN,
    RandomNodeInit,
    SelfAttention,
    SubgraphGNN,
    VirtualNode,
)
from gnnlab.nn.models._subgraph_recipes import RECIPES, Recipe

__all__ = ["BENCH_MODELS", "CHANNELS"]

CHANNELS = 16
"""Outputs of a network, which BREC's protocol compares."""

_WIDTH, _LAYERS, _WALKS = 32, 6, 20
_GIN = partial(GINConv, train_eps=True, update=partial(MLP, norm=BatchNorm))


def _encoder(columns: int, *encodings: Callable[[], nn.Module], **settings: object) -> Callable[[int], nn.Module]:
    node = partial(LinearEncoder, in_channels=columns)
    return partial(FeatureEncoder, node=node, encodings=list(encodings), **settings)


def _gnn(*encodings: Callable[[], nn.Module], **settings: object) -> Callable[[int], nn.Module]:
    def build(columns: int) -> nn.Module:
        style = {"conv": _GIN, "norm": BatchNorm, "residual": False, "pool": "sum", "head": MLPHead}
        return GNN(CHANNELS, _WIDTH, _LAYERS, encoder=_encoder(columns, *encodings), **(style | settings))

    return build


def _path_nn(kind: PathKind, length: int, distances: bool = False) -> Subject:
    def build(columns: int) -> nn.Module:
        return PathNN(CHANNELS, _WIDTH, length, distances=distances, encoder=_encoder(columns))

    # One shortest path of several depends on the numbering: nothing bounds it.
    bound = None if kind == "shortest" else PathWL(length, kind, distances)
    return Subject(build, (Paths(length, kind, distances=distances),), bound)


def _grit(columns: int) -> nn.Module:
    return GNN(
        CHANNELS,
        _WIDTH,
        _LAYERS,
        partial(GRITConv, heads=4),
        _encoder(columns, pair=partial(PairEncoder, in_channels=_WALKS)),
        edges="pair",
        residual=False,
        activation=None,
        pool="sum",
    )


def _co_gnn(columns: int) -> nn.Module:
    return CoGNN(CHANNELS, _WIDTH, _LAYERS, encoder=_encoder(columns), pool="sum")


def _subgraphs(recipe: Recipe) -> Subject:
    def build(columns: int) -> nn.Module:
        return SubgraphGNN(CHANNELS, _WIDTH, _LAYERS, recipe, encoder=_encoder(columns))

    ego = recipe.policy == "ego"
    lifting = NodePairs(recipe.policy, recipe.hops, recipe.marking)
    if "vGL" in recipe.aggregations:
        return Subject(build, (lifting,), "gswl")  # the neighbours' sums over all roots add nothing to vG
    marking = "node" if recipe.diagonal else recipe.marking  # weights of their own tell roots
    pooling = "sv" if recipe.pool == "SV" else "vs"
    bound = SubgraphWL(recipe.aggregations, pooling, marking, recipe.hops if ego else None)
    return Subject(build, (lifting,), bound)


def _dense(model: type[nn.Module]) -> Callable[[int], nn.Module]:
    return lambda columns: model(CHANNELS, _WIDTH, 4, encoder=_encoder(columns))


def _labelled(labels: int) -> Subject:
    def build(columns: int) -> nn.Module:
        return KLGNN(CHANNELS, _WIDTH, _LAYERS, labels, encoder=_encoder(columns))

    return Subject(build, (NodeTuples(labels),), f"1,{labels}-wl")


def _labelled_ppgn(columns: int) -> nn.Module:
    # Without normalisation the labels of a few nodes drown at random weights.
    network = partial(PPGN, hidden_channels=_WIDTH, num_layers=_LAYERS, in_channels=_WIDTH, norm=BatchNorm)
    return LabelledCopies(CHANNELS, network, _WIDTH, encoder=_encoder(columns))


def _i2_gnn(columns: int) -> nn.Module:
    return I2GNN(CHANNELS, _WIDTH, _LAYERS, encoder=_encoder(columns))


_GPS = {
    "conv": partial(GPSConv, local=_GIN, attention=partial(SelfAttention, heads=4)),
    "norm": None,
    "activation": None,
}
_RWSE = partial(LinearPEEncoder, "pe_rwse", in_channels=_WALKS, out_channels=16)
_LAP = partial(LinearPEEncoder, "pe_lap", in_channels=8, out_channels=16)

BENCH_MODELS: dict[str, Subject] = {
    "gcn": Subject(_gnn(conv=GCNConv), bound="wl"),
    "gin": Subject(_gnn(), bound="wl"),
    "gin, virtual node": Subject(_gnn(virtual_node=VirtualNode), bound="wl"),
    "gps": Subject(_gnn(**_GPS), bound="wl"),
    "co-gnn": Subject(_co_gnn, bound="wl"),
    "gin, rwse": Subject(_gnn(_RWSE), (RandomWalkPE(_WALKS),), RandomWalkPE(_WALKS)),
    "gps, rwse": Subject(_gnn(_RWSE, **_GPS), (RandomWalkPE(_WALKS),), RandomWalkPE(_WALKS)),
    "gin, lappe": Subject(_gnn(_LAP), (LaplacianPE(8),)),
    "gin, rni": Subject(_gnn(partial(RandomNodeInit, out_channels=16))),
    "grit": Subject(_grit, (RRWP(_WALKS, pairs="all"),), RRWP(_WALKS, pairs="all")),
    "pathnn, sp": _path_nn("shortest", 3),
    "pathnn, sp+": _path_nn("all_shortest", 3),
    "pathnn, ap": _path_nn("simple", 2, distances=True),
    **{name: _subgraphs(recipe) for name, recipe in RECIPES.items()},
    "1,1-gnn": _labelled(1),
    "1,2-gnn": _labelled(2),
    "i2-gnn": Subject(_i2_gnn, (NodeTuples(kind="adjacent", ordered=True),)),
    "ppgn": Subject(_dense(PPGN), bound="2-fwl"),
    "ppgn, 1 label": Subject(_labelled_ppgn, (NodeTuples(1),), "2,1-fwl"),
    "2-ign": Subject(_dense(IGN2), bound="wl"),
}
"""Name -> network. Those without a bound follow the numbering of the nodes, draw at random, or (I2-GNN, which pools
neighbours before roots) have none among the refinements."""
