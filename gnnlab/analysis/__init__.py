"""Why a model works or fails on a dataset: what an encoding can tell apart."""

from gnnlab.analysis.evidence import INVARIANTS, Evidence
from gnnlab.analysis.separation import SeparationReport, family_classes, separated_pairs

__all__ = ["INVARIANTS", "Evidence", "SeparationReport", "family_classes", "separated_pairs"]
