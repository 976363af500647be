"""Lifting: transforms that add higher-order structure to a graph."""

from gnnlab.lifting.candidate_pairs import CandidatePairs

__all__ = ["CandidatePairs"]
