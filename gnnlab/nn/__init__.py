"""Neural networks on graphs: convolutions, encoders, virtual node, pooling, heads, models."""

from gnnlab.nn.attention import SelfAttention
from gnnlab.nn.conv import (
    ExphormerConv,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    GPSConv,
    GRITConv,
    OGBGCNConv,
    RelationalConv,
    RGatedGCNConv,
    RGCNConv,
    RGINConv,
    SAGEConv,
)
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.encoders import (
    ATOM_CATEGORIES,
    BOND_CATEGORIES,
    RFP,
    SPE,
    SUPERPIXEL_STATISTICS,
    AtomEncoder,
    BasisNet,
    BondEncoder,
    CategoricalEncoder,
    FeatureEncoder,
    KernelPEEncoder,
    LapPEEncoder,
    LinearEncoder,
    LinearPEEncoder,
    PairEncoder,
    RandomNodeInit,
    SignNet,
)
from gnnlab.nn.feed_forward import FeedForward, ResidualNorm
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.linear import Linear
from gnnlab.nn.mlp import MLP
from gnnlab.nn.models import GNN, GPSE, PRMPNN, AverageOverDraws, DRew
from gnnlab.nn.norm import BatchNorm, real_rows
from gnnlab.nn.pooling import global_pool
from gnnlab.nn.virtual_node import VirtualNode

__all__ = [
    "SelfAttention",
    "ResidualNorm",
    "GRITConv",
    "GPSConv",
    "FeedForward",
    "ExphormerConv",
    "ATOM_CATEGORIES",
    "BOND_CATEGORIES",
    "GNN",
    "GPSE",
    "MLP",
    "PRMPNN",
    "RFP",
    "SPE",
    "SUPERPIXEL_STATISTICS",
    "AtomEncoder",
    "AverageOverDraws",
    "BasisNet",
    "BatchNorm",
    "BondEncoder",
    "CategoricalEncoder",
    "DRew",
    "Dropout",
    "EdgeTable",
    "FeatureEncoder",
    "GATConv",
    "GCNConv",
    "GINConv",
    "GINEConv",
    "GatedGCNConv",
    "KernelPEEncoder",
    "LapPEEncoder",
    "Linear",
    "LinearEncoder",
    "LinearPEEncoder",
    "MLPHead",
    "OGBGCNConv",
    "PairEncoder",
    "RGCNConv",
    "RGINConv",
    "RGatedGCNConv",
    "RandomNodeInit",
    "RelationalConv",
    "SAGEConv",
    "SignNet",
    "VirtualNode",
    "global_pool",
    "real_rows",
]
