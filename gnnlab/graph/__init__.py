"""Graph mathematics on disjoint unions: tensors in, tensors out."""

from gnnlab.graph.colour_refinement import colour_hashes, colour_refinement, graph_colours, refine_with_pairs
from gnnlab.graph.components import Layers, breadth_first_layers, connected_components
from gnnlab.graph.cycle_counts import closed_walk_counts, cycle_counts
from gnnlab.graph.diffusion import Diffusion, diffusion_matrix
from gnnlab.graph.distance_wl import DistanceWL
from gnnlab.graph.distances import PairDistances, diameter, k_hop_pairs, shortest_path_distances
from gnnlab.graph.ego_pairs import EgoIntersections, EgoVertices, ego_intersections, ego_vertices, multiset_codes
from gnnlab.graph.electrostatics import electrostatic_statistics
from gnnlab.graph.equivariant_polynomials import equivariant_polynomial, polynomial_entries
from gnnlab.graph.feature_propagation import propagate_features
from gnnlab.graph.forman import augmented_forman_curvature, balanced_forman_curvature
from gnnlab.graph.gap import CheegerBounds, cheeger_bounds, spectral_gap
from gnnlab.graph.graph_classes import graph_classes
from gnnlab.graph.homomorphisms import homomorphism_counts
from gnnlab.graph.homophily import Homophily, homophily
from gnnlab.graph.kirchhoff import Estimate, total_effective_resistance_estimate
from gnnlab.graph.laplacian_kernel import laplacian_kernel
from gnnlab.graph.laplacian_solver import LaplacianSolver, Solution, solve_laplacian
from gnnlab.graph.multigraph import Multigraph, cyclic_patterns, multigraphs
from gnnlab.graph.near_distances import distance_histogram, pair_distances
from gnnlab.graph.neighbour_labels import HomophilyByDistance, homophily_by_distance, neighbourhood_similarity
from gnnlab.graph.ollivier import ollivier_ricci_curvature
from gnnlab.graph.path_wl import PathWL
from gnnlab.graph.paths import enumerate_paths, path_distances, path_edges
from gnnlab.graph.resistance import (
    biharmonic_distance,
    commute_time,
    effective_resistance,
    total_effective_resistance,
)
from gnnlab.graph.resistance_curvature import ResistanceCurvature, resistance_curvature
from gnnlab.graph.resistance_statistics import resistance_statistics
from gnnlab.graph.sketch import (
    BiharmonicSketch,
    ResistanceSketch,
    biharmonic_sketch,
    resistance_sketch,
    sketch_dimensions,
)
from gnnlab.graph.spectra import LaplacianSpectrum, laplacian_eigh
from gnnlab.graph.subgraph_counts import subgraph_counts
from gnnlab.graph.subgraph_wl import SubgraphWL
from gnnlab.graph.triangles import triangles
from gnnlab.graph.tuple_wl import TupleWL
from gnnlab.graph.undirected import undirected_edges
from gnnlab.graph.walk_counts import walk_counts
from gnnlab.graph.walk_probabilities import walk_probabilities
from gnnlab.graph.walks import walk_return_probabilities

__all__ = [
    "BiharmonicSketch",
    "CheegerBounds",
    "Diffusion",
    "DistanceWL",
    "EgoIntersections",
    "EgoVertices",
    "Estimate",
    "Homophily",
    "HomophilyByDistance",
    "LaplacianSolver",
    "LaplacianSpectrum",
    "Layers",
    "Multigraph",
    "PairDistances",
    "PathWL",
    "ResistanceCurvature",
    "ResistanceSketch",
    "Solution",
    "SubgraphWL",
    "TupleWL",
    "augmented_forman_curvature",
    "balanced_forman_curvature",
    "biharmonic_distance",
    "biharmonic_sketch",
    "breadth_first_layers",
    "cheeger_bounds",
    "colour_hashes",
    "colour_refinement",
    "closed_walk_counts",
    "commute_time",
    "connected_components",
    "cyclic_patterns",
    "cycle_counts",
    "diameter",
    "diffusion_matrix",
    "distance_histogram",
    "effective_resistance",
    "electrostatic_statistics",
    "ego_intersections",
    "ego_vertices",
    "enumerate_paths",
    "equivariant_polynomial",
    "graph_classes",
    "graph_colours",
    "k_hop_pairs",
    "homomorphism_counts",
    "homophily",
    "homophily_by_distance",
    "laplacian_eigh",
    "laplacian_kernel",
    "multigraphs",
    "multiset_codes",
    "neighbourhood_similarity",
    "ollivier_ricci_curvature",
    "path_distances",
    "path_edges",
    "polynomial_entries",
    "propagate_features",
    "refine_with_pairs",
    "pair_distances",
    "resistance_curvature",
    "resistance_sketch",
    "resistance_statistics",
    "shortest_path_distances",
    "sketch_dimensions",
    "solve_laplacian",
    "spectral_gap",
    "subgraph_counts",
    "total_effective_resistance",
    "total_effective_resistance_estimate",
    "triangles",
    "undirected_edges",
    "walk_counts",
    "walk_probabilities",
    "walk_return_probabilities",
]
