"""Neural networks on graphs: convolutions, encoders, virtual node, pooling, heads, models."""

from gnnlab.nn._messages_edge_network import EdgeNetworkMessage
from gnnlab.nn._messages_matmul import MatmulMessage
from gnnlab.nn._messages_pair import PairMessage
from gnnlab.nn.attention import SelfAttention
from gnnlab.nn.conv import (
    CoGNNConv,
    EdgeNetworkConv,
    ExphormerConv,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    GPSConv,
    GRITConv,
    OGBGCNConv,
    PathConv,
    RelationalConv,
    RGatedGCNConv,
    RGCNConv,
    RGINConv,
    SAGEConv,
    SumMeanConv,
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
    MLPEncoder,
    PairEncoder,
    RandomNodeInit,
    SignNet,
)
from gnnlab.nn.feed_forward import FeedForward, ResidualNorm
from gnnlab.nn.gated_sum import GatedSum
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.linear import Linear
from gnnlab.nn.mlp import MLP
from gnnlab.nn.models import (
    GNN,
    GPSE,
    GSDGNN,
    IGNN,
    MPNN,
    PRMPNN,
    AverageOverDraws,
    CoGNN,
    DRew,
    EnergyGNN,
    LayerActions,
    PathNN,
)
from gnnlab.nn.node_product import NodeProduct
from gnnlab.nn.norm import BatchNorm, real_rows
from gnnlab.nn.pooling import global_pool
from gnnlab.nn.repeated_head import RepeatedHead
from gnnlab.nn.set2set import Set2Set
from gnnlab.nn.virtual_node import VirtualNode

__all__ = [
    "NodeProduct",
    "MLPEncoder",
    "PathConv",
    "PathNN",
    "SumMeanConv",
    "RepeatedHead",
    "LayerActions",
    "CoGNNConv",
    "CoGNN",
    "Set2Set",
    "PairMessage",
    "MatmulMessage",
    "MPNN",
    "GatedSum",
    "EdgeNetworkMessage",
    "EdgeNetworkConv",
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
    "GSDGNN",
    "IGNN",
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
    "EnergyGNN",
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
