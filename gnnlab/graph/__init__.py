"""Graph mathematics on disjoint unions: tensors in, tensors out."""

from gnnlab.graph.components import Layers, breadth_first_layers, connected_components
from gnnlab.graph.spectra import LaplacianSpectrum, laplacian_eigh
from gnnlab.graph.walks import walk_return_probabilities

__all__ = [
    "LaplacianSpectrum",
    "Layers",
    "breadth_first_layers",
    "connected_components",
    "laplacian_eigh",
    "walk_return_probabilities",
]
