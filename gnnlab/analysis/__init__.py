"""Why a model works or fails on a dataset: what an encoding can tell apart."""

from gnnlab.analysis.evidence import INVARIANTS, Evidence
from gnnlab.analysis.methods import deterministic_encodings
from gnnlab.analysis.separation import SeparationReport, family_classes, separated_pairs, separation

__all__ = [
    "INVARIANTS",
    "Evidence",
    "SeparationReport",
    "deterministic_encodings",
    "family_classes",
    "separated_pairs",
    "separation",
]
