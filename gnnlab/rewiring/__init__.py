"""Rewiring: transforms that change the edges of a graph, and say which ones they added."""

from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits

__all__ = ["Edits", "Rewiring"]
