"""Every model family of the library passes the library's own check of models."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

import gnnlab.nn.models as models
from gnnlab.encodings import RRWP, LaplacianPE, RandomWalkPE
from gnnlab.lifting import CandidatePairs, NodePairs, NodeTuples, Paths
from gnnlab.nn import (
    GNN,
    GPSE,
    GSDGNN,
    I2GNN,
    IGN2,
    IGNN,
    KLGNN,
    MPNN,
    PPGN,
    PRMPNN,
    RFP,
    SPE,
    AverageOverDraws,
    BasisNet,
    BatchNorm,
    CoGNN,
    CoGNNConv,
    DRew,
    EdgeNetworkConv,
    EdgeNetworkMessage,
    EnergyGNN,
    ExphormerConv,
    FeatureEncoder,
    GATConv,
    GatedGCNConv,
    GatedSum,
    GCNConv,
    GINConv,
    GINEConv,
    GPSConv,
    GRITConv,
    LabelledCopies,
    LinearEncoder,
    LinearPEEncoder,
    MatmulMessage,
    OGBGCNConv,
    PairEncoder,
    PairMessage,
    PathConv,
    PathNN,
    RandomNodeInit,
    RelationalConv,
    SAGEConv,
    SelfAttention,
    SignNet,
    SubgraphGNN,
    SumMeanConv,
    VirtualNode,
)
from gnnlab.rewiring import CompleteDistances, DistanceBins, DRewShells, Expander
from gnnlab.rewiring import VirtualNode as VirtualNodes
from gnnlab.testing import check_model
from gnnlab.transform import Compose

NODES = partial(LinearEncoder, in_channels=4)
ENCODER = partial(FeatureEncoder, node=NODES)
EDGES = partial(FeatureEncoder, node=NODES, edge=partial(LinearEncoder, in_channels=2))
SUM = partial(SumMeanConv, reduce="sum")
SINGLE = {"rtol": 1e-4, "atol": 1e-5}
"""Transforms give single precision."""


@dataclass(frozen=True)
class Case:
    """A model, and what the check has to know of it."""

    model: type[nn.Module]
    settings: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] = field(default_factory=dict)

    def build(self, out_channels: int) -> nn.Module:
        return self.model(out_channels, **self.settings)


def gnn(conv: Any = GCNConv, check: dict[str, Any] | None = None, **settings: Any) -> Case:
    defaults = {"hidden_channels": 4, "num_layers": 2, "conv": conv, "encoder": ENCODER}
    return Case(GNN, defaults | settings, check or {})


def with_edges(conv: Any, **settings: Any) -> Case:
    return gnn(conv, {"edge_channels": 2}, encoder=EDGES, **settings)


def encoded(encoding: Any, transform: Any, **check: Any) -> Case:
    encoder = partial(FeatureEncoder, node=NODES, encodings=[encoding])
    return gnn(GINConv, {"transform": transform, **SINGLE, **check}, encoder=encoder, hidden_channels=8)


def molecule(num_nodes: int, edge_index: Tensor, generator: torch.Generator) -> Data:
    """Bonds in both directions, of one kind each, and coordinates."""
    one_way = edge_index[:, edge_index[0] < edge_index[1]].unique(dim=1)
    kinds = nn.functional.one_hot(one_way.sum(0) % 4, 4).double()
    return Data(
        x=torch.randn(num_nodes, 4, generator=generator).double(),
        pos=2 * torch.randn(num_nodes, 3, generator=generator).double(),
        edge_index=torch.cat([one_way, one_way.flip(0)], 1),
        edge_attr=torch.cat([kinds, kinds]),
    )


def typed(num_nodes: int, edge_index: Tensor, generator: torch.Generator) -> Data:
    """Edges of three relations."""
    kind = torch.randint(3, (edge_index.size(1),), generator=generator)
    x = torch.randn(num_nodes, 4, generator=generator).double()
    return Data(x=x, edge_index=edge_index, edge_type=kind)


def weighted(num_nodes: int, edge_index: Tensor, generator: torch.Generator) -> Data:
    """Edges of positive weights."""
    weight = 0.1 + torch.rand(edge_index.size(1), generator=generator).double()
    x = torch.randn(num_nodes, 4, generator=generator).double()
    return Data(x=x, edge_index=edge_index, edge_weight=weight)


WEIGHTED = {"make_graph": weighted, "reads": ["x", "edge_weight"]}


def mpnn(check: dict[str, Any] | None = None, **settings: Any) -> Case:
    """On complete graphs with distances, unless the check says otherwise."""
    distances = {"make_graph": molecule, "transform": CompleteDistances()}
    message = partial(EdgeNetworkMessage, edge_channels=5, network_channels=3)
    defaults = {"hidden_channels": 4, "num_steps": 2, "in_channels": 4, "message": message}
    return Case(MPNN, defaults | settings, distances if check is None else check)


def path_nn(check: dict[str, Any] | None = None, kind: str = "simple", **settings: Any) -> Case:
    lift = Paths(3, kind, distances=True, edges=True)
    defaults = {"hidden_channels": 4, "length": 3, "encoder": ENCODER}
    return Case(PathNN, defaults | settings, {"transform": lift, "invariant": kind != "shortest"} | (check or {}))


def co_gnn(check: dict[str, Any] | None = None, **settings: Any) -> Case:
    defaults = {"hidden_channels": 4, "num_layers": 2, "in_channels": 4, "action_channels": 4}
    return Case(CoGNN, defaults | settings, {"differentiable": False} | (check or {}))


def energy(check: dict[str, Any] | None = None, **settings: Any) -> Case:
    """As exact as gradients are compared."""
    sizes = {"hidden_channels": 3, "message_channels": 2, "picnn_channels": 3, "picnn_layers": 2, "in_channels": 4}
    exact = {"beta": 1.0, "tolerance": 1e-11, "adjoint_tolerance": 1e-11, "not_converged": "error"}
    return Case(EnergyGNN, sizes | exact | settings, {"rtol": 1e-5, "atol": 1e-7} | (check or {}))


def implicit(model: type[nn.Module], check: dict[str, Any] | None = None, **settings: Any) -> Case:
    exact = {"hidden_channels": 4, "in_channels": 4, "tolerance": 1e-12, "max_iterations": 1000}
    return Case(model, exact | {"not_converged": "error"} | settings, check or {})


def pr_mpnn(check: dict[str, Any] | None = None, **settings: Any) -> Case:
    defaults = {"hidden_channels": 4, "num_layers": 2, "encoder": ENCODER, "num_added": 2}
    pool = CandidatePairs(pool_size=None, symmetrise=True)
    return Case(PRMPNN, defaults | settings, {"transform": pool, "differentiable": False} | (check or {}))


def drew(check: dict[str, Any] | None = None, **settings: Any) -> Case:
    defaults = {"hidden_channels": 4, "num_layers": 3, "encoder": ENCODER}
    return Case(DRew, defaults | settings, {"transform": DRewShells(3, symmetrise=True)} | (check or {}))


class OfDraws(AverageOverDraws):
    """Built from out_channels, as the others."""

    def __init__(self, out_channels: int, encoding: Any, num_draws: int) -> None:
        encoder = partial(FeatureEncoder, node=NODES, encodings=[encoding])
        super().__init__(GNN(out_channels, 8, 2, encoder=encoder), num_draws)


LAST_EDGES = {"unused": ["layers.1.*edge_output.*", "layers.1.*edge_residual.*"]}
"""GatedGCN and GRIT have states of edges after the last layer too."""
RANDOM = {"invariant": False}
NODE = {"level": "node"}
CASES = {
    "gnn": gnn(check=WEIGHTED),
    "gnn, no encoder": gnn(encoder=None, in_channels=4),
    "gnn, two-layer gcn": gnn(check=NODE, encoder=None, in_channels=4, head=None, residual=False, level="node"),
    "gnn, gin": gnn(partial(GINConv, train_eps=True), norm=BatchNorm, jumping_knowledge="score", pool="sum"),
    "gnn, gat": gnn(partial(GATConv, heads=2), NODE, norm=nn.LayerNorm, norm_position="pre", dropout=0.2, level="node"),
    "gnn, sage": gnn(SAGEConv, jumping_knowledge="cat", pool="max", norm=BatchNorm, norm_position="post"),
    "gnn, gine": with_edges(GINEConv, virtual_node=VirtualNode),
    "gnn, ogb gcn": with_edges(OGBGCNConv, last_activation=False, input_dropout=0.1),
    "gnn, fully adjacent": gnn(fully_adjacent_last=True),
    "gnn, edge network": with_edges(partial(EdgeNetworkConv, edge_channels=4, network_channels=3)),
    "gnn, cooperative": gnn(partial(CoGNNConv, action_channels=4), {"differentiable": False}),
    "gnn, relational": gnn(partial(RelationalConv, conv=SAGEConv, num_relations=3), {"make_graph": typed}),
    "gnn, paths": gnn(partial(PathConv, length=2)),
    "gnn, gps": with_edges(
        partial(GPSConv, local=GINEConv, attention=partial(SelfAttention, heads=2)), residual=False, activation=None
    ),
    "gnn, gated gcn": gnn(GatedGCNConv, {"edge_channels": 2, **LAST_EDGES}, encoder=EDGES),
    "gnn, exphormer": gnn(
        partial(GPSConv, local=GINConv, attention=partial(ExphormerConv, heads=2), local_relations=[0]),
        {"transform": VirtualNodes()},
        residual=False,
        activation=None,
    ),
    "gnn, expander": gnn(
        partial(GPSConv, local=GINConv, attention=partial(ExphormerConv, heads=2), local_relations=[0]),
        {"transform": Compose((Expander(), VirtualNodes())), "invariant": False},
        residual=False,
        activation=None,
    ),
    "gnn, grit": gnn(
        partial(GRITConv, heads=2),
        {"transform": RRWP(walk_length=3, pairs="all"), **SINGLE, **LAST_EDGES},
        encoder=partial(FeatureEncoder, node=NODES, pair=partial(PairEncoder, in_channels=3)),
        edges="pair",
        residual=False,
        activation=None,
    ),
    "gnn, sparse grit": gnn(
        partial(GRITConv, heads=2),
        {"edge_channels": 2, **LAST_EDGES},
        encoder=EDGES,
        residual=False,
        activation=None,
    ),
    "gnn, sign net": encoded(
        partial(SignNet, out_channels=4, hidden_channels=4, phi_channels=2, num_layers=2), LaplacianPE(k=4)
    ),
    "gnn, basis net": encoded(
        partial(BasisNet, out_channels=4, hidden_channels=4, phi_channels=2, num_layers=1), LaplacianPE(k=4)
    ),
    "gnn, spe": encoded(
        partial(SPE, out_channels=4, hidden_channels=4, num_functions=2, phi_layers=2, num_layers=1), LaplacianPE(k=16)
    ),
    "gnn, rwse": encoded(partial(LinearPEEncoder, in_channels=5, out_channels=4), RandomWalkPE(walk_length=5)),
    "gnn, random nodes": encoded(partial(RandomNodeInit, out_channels=4), None, **RANDOM),
    "gnn, rfp": encoded(partial(RFP, out_channels=4, num_features=3, num_steps=3), None, **RANDOM),
    "path nn, all paths": path_nn(),
    "path nn, all shortest": path_nn(kind="all_shortest", distances=True, update_layers=2, dropout=0.2),
    "path nn, one shortest": path_nn(kind="shortest", norm=None, normalise=True),
    "path nn, edges": path_nn(
        {"edge_channels": 2}, edges=True, distances=True, encoder=EDGES, dropout=0.1, dropout_inputs="step"
    ),
    "path nn, nodes": path_nn(NODE, path_reduce="mean", level="node", residual=False),
    "mpnn": mpnn(),
    "mpnn, factored": mpnn(message=partial(EdgeNetworkMessage, edge_channels=5, network_channels=2, factored=True)),
    "mpnn, bins": mpnn(
        {"make_graph": molecule, "transform": DistanceBins(), "reads": ["x"]},
        message=partial(MatmulMessage, num_types=14),
        readout=GatedSum,
        init="linear",
    ),
    "mpnn, pairs": mpnn(message=partial(PairMessage, edge_channels=5, pair_channels=3), directed=False, readout=None),
    "mpnn, master": mpnn(master_channels=2),
    "mpnn, towers": mpnn({}, message=GINConv, towers=2, master_channels=2),
    "mpnn, nodes": mpnn({"edge_channels": 5, **NODE}, level="node"),
    "co gnn": co_gnn(),
    "co gnn, joint": co_gnn(action_form="joint", action=SUM, action_layers=2, norm=nn.LayerNorm),
    "co gnn, separate": co_gnn(NODE, action_form="separate", action=[GCNConv, SUM], aggregate="full", level="node"),
    "co gnn, sampled": co_gnn(RANDOM, evaluation="sample", num_samples=2),
    "co gnn, expected": co_gnn({"differentiable": True, **WEIGHTED}, evaluation="expected", environment=GATConv),
    "co gnn, edges": co_gnn(
        {"edge_channels": 2, **LAST_EDGES}, action=GINEConv, environment=GatedGCNConv, encoder=EDGES
    ),
    "co gnn, released": co_gnn(
        RANDOM,
        action_form="separate",
        aggregate="full",
        norm=nn.LayerNorm,
        shared_norm=True,
        evaluation="sample",
        environment=GCNConv,
    ),
    "energy, node": energy(kind="node"),
    "energy, edge": energy({"edge_channels": 2}, kind="edge", edge_channels=2),
    "energy, attention": energy(WEIGHTED, kind="attention"),
    "ignn": implicit(IGNN, WEIGHTED),
    "ignn, three layers": implicit(IGNN, kappa=0.5, implicit_layers=3, phi=nn.Tanh, adjacency="radius"),
    "gsd": implicit(GSDGNN, gamma=3.0, pool="max"),
    "gsd, normalised": implicit(GSDGNN, WEIGHTED, normalise=True),
    "drew": drew(),
    "drew, softmax": drew(NODE, nu=None, hop_weights="softmax", level="node"),
    "drew, edges": drew({"edge_channels": 2, "transform": None}, conv=GINEConv, encoder=EDGES),
    "pr-mpnn": pr_mpnn(),
    "pr-mpnn, everything": pr_mpnn(
        {"edge_channels": 2},
        encoder=EDGES,
        num_removed=1,
        num_priors=2,
        separate=True,
        include_original=True,
        combine="cat",
        divergence_weight=0.1,
    ),
    "pr-mpnn, sampled": pr_mpnn(RANDOM, eval_sampling="sample", num_eval_samples=2, conv=GCNConv),
    "gpse": Case(
        GPSE,
        {"hidden_channels": 4, "num_layers": 2, "noise_channels": 3, "head_channels": 4, "target_channels": [2, 1]},
        {"in_channels": None, **NODE, **RANDOM},
    ),
    "SSWL+": Case(
        SubgraphGNN,
        {"hidden_channels": 4, "num_layers": 2, "in_channels": 4},
        {"transform": NodePairs(marking="distance")},
    ),
    "1,2-gnn": Case(
        KLGNN,
        {"hidden_channels": 4, "num_layers": 2, "encoder": EDGES, "graph_layers": 1, "global_layers": 1},
        {"edge_channels": 2, "transform": NodeTuples(2)},
    ),
    "2-fwl,1 gnn": Case(
        LabelledCopies,
        {
            "network": partial(PPGN, hidden_channels=4, num_layers=1, in_channels=4, edge_channels=4),
            "hidden_channels": 4,
            "encoder": EDGES,
        },
        {"edge_channels": 2, "transform": NodeTuples(1)},
    ),
    "i2-gnn": Case(
        I2GNN,
        {"hidden_channels": 4, "num_layers": 2, "in_channels": 4, "hops": 2},
        {"transform": NodeTuples(kind="adjacent", ordered=True)},
    ),
    "ppgn": Case(PPGN, {"hidden_channels": 4, "num_layers": 2, "in_channels": 4}, WEIGHTED),
    "ign 2": Case(IGN2, {"hidden_channels": 4, "num_layers": 2, "encoder": EDGES}, {"edge_channels": 2}),
    "average over draws": Case(OfDraws, {"encoding": partial(RandomNodeInit, out_channels=4), "num_draws": 2}, RANDOM),
}


@pytest.mark.parametrize("name", CASES)
def test_check_model(name):
    case = CASES[name]
    settings = {"in_channels": None if "make_graph" in case.check else 4} | case.check
    check_model(case.build, **settings)


def test_no_model_is_forgotten():
    exported = {value for name in models.__all__ if isinstance(value := getattr(models, name), type)}
    families = {cls for cls in exported if issubclass(cls, nn.Module)}
    tested = {cls for case in CASES.values() for cls in case.model.__mro__}
    assert PathNN in families
    assert not {cls.__name__ for cls in families - tested}
