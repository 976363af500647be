"""Convolutions, one per file; each is called ``conv(x, adj, edge_attr=None, edge_weight=None)``.

``adj`` is a :class:`gnnlab.ops.CSR` or a plain ``edge_index``. Edge data an operator has no use for is
ignored, ``edge_weight`` multiplies the messages.
"""

from gnnlab.nn.conv.gat_conv import GATConv
from gnnlab.nn.conv.gated_gcn_conv import GatedGCNConv
from gnnlab.nn.conv.gcn_conv import GCNConv
from gnnlab.nn.conv.gin_conv import GINConv
from gnnlab.nn.conv.gine_conv import GINEConv
from gnnlab.nn.conv.ogb_gcn_conv import OGBGCNConv
from gnnlab.nn.conv.sage_conv import SAGEConv

__all__ = ["GATConv", "GCNConv", "GINConv", "GINEConv", "GatedGCNConv", "OGBGCNConv", "SAGEConv"]
