"""Transforms that add features to nodes or edges: positions and structure a layer cannot see by itself."""

from gnnlab.encodings.laplacian import LaplacianPE
from gnnlab.encodings.random_walk import RandomWalkPE
from gnnlab.encodings.row_normalize import RowNormalize

__all__ = ["LaplacianPE", "RandomWalkPE", "RowNormalize"]
