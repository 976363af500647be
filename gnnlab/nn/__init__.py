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
    SUPERPIXEL_STATISTICS,
    AtomEncoder,
    BondEncoder,
    CategoricalEncoder,
    DeepSetPEEncoder,
    FeatureEncoder,
    LinearEncoder,
    LinearPEEncoder,
)
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.linear import Linear
from gnnlab.nn.mlp import MLP
from gnnlab.nn.models import GNN, PRMPNN, DRew
from gnnlab.nn.norm import BatchNorm, real_rows
from gnnlab.nn.pooling import global_pool
from gnnlab.nn.virtual_node import VirtualNode

__all__ = [
    "ATOM_CATEGORIES",
    "BOND_CATEGORIES",
    "GNN",
    "MLP",
    "PRMPNN",
    "SUPERPIXEL_STATISTICS",
    "AtomEncoder",
    "BatchNorm",
    "BondEncoder",
    "CategoricalEncoder",
    "DRew",
    "DeepSetPEEncoder",
    "Dropout",
    "EdgeTable",
    "FeatureEncoder",
    "GATConv",
    "GCNConv",
    "GINConv",
    "GINEConv",
    "GatedGCNConv",
    "Linear",
    "LinearEncoder",
    "LinearPEEncoder",
    "MLPHead",
    "OGBGCNConv",
    "RGCNConv",
    "RGINConv",
    "RGatedGCNConv",
    "RelationalConv",
    "SAGEConv",
    "VirtualNode",
    "global_pool",
    "real_rows",
]
