"""Why a model works or fails on a dataset: what an encoding can tell apart, what a model does without a clock."""

from gnnlab.analysis.actions import ACTIONS, ActionStatistics, action_statistics
from gnnlab.analysis.asynchrony import AsynchronousRun, RandomSchedule, ScriptedSchedule, asynchronous_run
from gnnlab.analysis.asynchrony_table import AsynchronyRow, asynchrony_table
from gnnlab.analysis.evidence import INVARIANTS, Evidence
from gnnlab.analysis.methods import Refined, deterministic_encodings, refinements
from gnnlab.analysis.separation import SeparationReport, family_classes, separated_pairs, separation

__all__ = [
    "action_statistics",
    "ActionStatistics",
    "ACTIONS",
    "INVARIANTS",
    "AsynchronousRun",
    "AsynchronyRow",
    "Evidence",
    "Refined",
    "RandomSchedule",
    "ScriptedSchedule",
    "SeparationReport",
    "asynchronous_run",
    "asynchrony_table",
    "deterministic_encodings",
    "family_classes",
    "refinements",
    "separated_pairs",
    "separation",
]
