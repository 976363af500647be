"""Models: what maps a batch to predictions."""

from gnnlab.nn.models._subgraph_recipes import Recipe
from gnnlab.nn.models.average_over_draws import AverageOverDraws
from gnnlab.nn.models.co_gnn import CoGNN, LayerActions
from gnnlab.nn.models.drew import DRew
from gnnlab.nn.models.energy_gnn import EnergyGNN
from gnnlab.nn.models.gnn import GNN
from gnnlab.nn.models.gpse import GPSE
from gnnlab.nn.models.gsd_gnn import GSDGNN
from gnnlab.nn.models.i2_gnn import I2GNN
from gnnlab.nn.models.ign import IGN2
from gnnlab.nn.models.ignn import IGNN
from gnnlab.nn.models.kl_gnn import KLGNN
from gnnlab.nn.models.labelled_copies import LabelledCopies
from gnnlab.nn.models.mpnn import MPNN
from gnnlab.nn.models.path_nn import PathNN
from gnnlab.nn.models.ppgn import PPGN
from gnnlab.nn.models.pr_mpnn import PRMPNN
from gnnlab.nn.models.subgraph_gnn import SubgraphGNN

__all__ = [
    "I2GNN",
    "IGN2",
    "KLGNN",
    "LabelledCopies",
    "PPGN",
    "Recipe",
    "SubgraphGNN",
    "PathNN",
    "LayerActions",
    "CoGNN",
    "MPNN",
    "GNN",
    "GPSE",
    "GSDGNN",
    "IGNN",
    "PRMPNN",
    "AverageOverDraws",
    "DRew",
    "EnergyGNN",
]
