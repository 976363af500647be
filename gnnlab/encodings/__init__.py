"""Transforms that add features to nodes or edges: positions and structure a layer cannot see by itself."""

from gnnlab.encodings.cycle_counts import CycleCounts
from gnnlab.encodings.degree import DegreePE, LocalDegreeProfile
from gnnlab.encodings.distance import DistancePE
from gnnlab.encodings.electrostatic import ElectrostaticPE
from gnnlab.encodings.elene import ElenePE
from gnnlab.encodings.fast_rp import FastRP
from gnnlab.encodings.feature_propagation import RandomFeaturePropagation
from gnnlab.encodings.heat_kernel import HeatKernelPE
from gnnlab.encodings.homomorphism_counts import HomomorphismCounts
from gnnlab.encodings.laplacian import LaplacianPE
from gnnlab.encodings.page_rank import PersonalizedPageRankPE
from gnnlab.encodings.page_rank_vectors import PageRankVectorPE
from gnnlab.encodings.polynomial import PolynomialPE
from gnnlab.encodings.random_walk import RandomWalkPE
from gnnlab.encodings.resistance import ResistancePE
from gnnlab.encodings.row_normalize import RowNormalize
from gnnlab.encodings.rrwp import RRWP
from gnnlab.encodings.singular_vectors import SingularVectorPE
from gnnlab.encodings.substructure_counts import SubstructureCounts
from gnnlab.encodings.targets import EncodingTargets
from gnnlab.encodings.weisfeiler_lehman import WeisfeilerLehmanPE

__all__ = [
    "CycleCounts",
    "DegreePE",
    "DistancePE",
    "ElectrostaticPE",
    "ElenePE",
    "EncodingTargets",
    "FastRP",
    "HeatKernelPE",
    "HomomorphismCounts",
    "LaplacianPE",
    "LocalDegreeProfile",
    "PageRankVectorPE",
    "PersonalizedPageRankPE",
    "PolynomialPE",
    "RRWP",
    "RandomFeaturePropagation",
    "RandomWalkPE",
    "ResistancePE",
    "RowNormalize",
    "SingularVectorPE",
    "SubstructureCounts",
    "WeisfeilerLehmanPE",
]
