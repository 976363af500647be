"""Rewiring: transforms that change the edges of a graph, and say which ones they added."""

from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits
from gnnlab.rewiring.afr import AFR
from gnnlab.rewiring.bond_types import BondTypes
from gnnlab.rewiring.borf import BORF
from gnnlab.rewiring.complete_distances import CompleteDistances, DistanceBins
from gnnlab.rewiring.digl import DIGL
from gnnlab.rewiring.drew_shells import DRewShells
from gnnlab.rewiring.expander import Expander
from gnnlab.rewiring.fosr import FoSR
from gnnlab.rewiring.fully_adjacent import FullyAdjacent
from gnnlab.rewiring.gtr import GTR
from gnnlab.rewiring.laser import LASER
from gnnlab.rewiring.random_edges import RandomEdges
from gnnlab.rewiring.report import RewiringReport, describe_rewiring
from gnnlab.rewiring.sdrf import SDRF
from gnnlab.rewiring.virtual_node import VirtualNode

__all__ = [
    "AFR",
    "BORF",
    "BondTypes",
    "CompleteDistances",
    "DIGL",
    "DRewShells",
    "DistanceBins",
    "Edits",
    "Expander",
    "FoSR",
    "FullyAdjacent",
    "GTR",
    "LASER",
    "RandomEdges",
    "Rewiring",
    "RewiringReport",
    "SDRF",
    "VirtualNode",
    "describe_rewiring",
]
