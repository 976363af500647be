"""Convolutions, one per file; each is called ``conv(x, adj, edge_attr=None, edge_weight=None)``.

``adj`` is a :class:`gnnlab.ops.CSR` or a plain ``edge_index``. Edge data an operator has no use for is
ignored, ``edge_weight`` multiplies the messages. Those that tell relations apart take ``edge_type=None`` too,
those that attend to whole graphs ``ptr=None``, those that scale by degree ``degree=None``.
"""

from gnnlab.nn.conv.co_gnn_conv import CoGNNConv
from gnnlab.nn.conv.edge_network_conv import EdgeNetworkConv
from gnnlab.nn.conv.exphormer_conv import ExphormerConv
from gnnlab.nn.conv.gat_conv import GATConv
from gnnlab.nn.conv.gated_gcn_conv import GatedGCNConv
from gnnlab.nn.conv.gcn_conv import GCNConv
from gnnlab.nn.conv.gin_conv import GINConv
from gnnlab.nn.conv.gine_conv import GINEConv
from gnnlab.nn.conv.gps_conv import GPSConv
from gnnlab.nn.conv.grit_conv import GRITConv
from gnnlab.nn.conv.ogb_gcn_conv import OGBGCNConv
from gnnlab.nn.conv.path_conv import PathConv
from gnnlab.nn.conv.relational_conv import RelationalConv
from gnnlab.nn.conv.rgated_gcn_conv import RGatedGCNConv
from gnnlab.nn.conv.rgcn_conv import RGCNConv
from gnnlab.nn.conv.rgin_conv import RGINConv
from gnnlab.nn.conv.sage_conv import SAGEConv
from gnnlab.nn.conv.subgraph_conv import SubgraphConv
from gnnlab.nn.conv.sum_mean_conv import SumMeanConv

__all__ = [
    "PathConv",
    "SumMeanConv",
    "CoGNNConv",
    "EdgeNetworkConv",
    "ExphormerConv",
    "GATConv",
    "GCNConv",
    "GINConv",
    "GINEConv",
    "GPSConv",
    "GRITConv",
    "GatedGCNConv",
    "OGBGCNConv",
    "RGCNConv",
    "RGINConv",
    "RGatedGCNConv",
    "RelationalConv",
    "SAGEConv",
    "SubgraphConv",
]
