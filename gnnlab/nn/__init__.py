"""Neural networks on graphs: convolutions, encoders, virtual node, pooling, heads, models."""

from gnnlab.nn.conv import (
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
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
    SignNet,
)
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.linear import Linear
from gnnlab.nn.mlp import MLP
from gnnlab.nn.models import GNN, GPSE, PRMPNN, DRew
from gnnlab.nn.norm import BatchNorm, real_rows
from gnnlab.nn.pooling import global_pool
from gnnlab.nn.virtual_node import VirtualNode

__all__ = [
    "ATOM_CATEGORIES",
    "BOND_CATEGORIES",
    "GNN",
    "GPSE",
    "MLP",
    "PRMPNN",
    "SPE",
    "SUPERPIXEL_STATISTICS",
    "AtomEncoder",
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
    "RelationalConv",
    "SAGEConv",
    "SignNet",
    "VirtualNode",
    "global_pool",
    "real_rows",
]
