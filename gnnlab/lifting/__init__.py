"""Lifting: transforms that add higher-order structure to a graph."""

from gnnlab.lifting.candidate_pairs import CandidatePairs
from gnnlab.lifting.node_pairs import NodePairs
from gnnlab.lifting.node_tuples import NodeTuples
from gnnlab.lifting.paths import Paths

__all__ = ["CandidatePairs", "NodePairs", "NodeTuples", "Paths"]
