"""Models: what maps a batch to predictions."""

from gnnlab.nn.models.drew import DRew
from gnnlab.nn.models.gnn import GNN

__all__ = ["GNN", "DRew"]
