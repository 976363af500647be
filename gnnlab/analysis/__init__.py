"""Why a model works or fails on a dataset: what an encoding can tell apart, what a model does without a clock."""

from gnnlab.analysis.actions import ACTIONS, ActionStatistics, action_statistics
from gnnlab.analysis.asynchrony import AsynchronousRun, RandomSchedule, ScriptedSchedule, asynchronous_run
from gnnlab.analysis.asynchrony_table import AsynchronyRow, asynchrony_table
from gnnlab.analysis.audit import AuditReport, audit
from gnnlab.analysis.brec import BrecProtocol, PairOutcome, paired_statistic, statistic_threshold, train_pairs
from gnnlab.analysis.ceilings import Ceiling, CeilingReport, ceilings
from gnnlab.analysis.duplicates import Duplicates, NoiseFloor, isomorphic_duplicates, label_noise_floor
from gnnlab.analysis.evidence import INVARIANTS, Evidence
from gnnlab.analysis.expressiveness import ModelReport, Subject, exact_classes, network_separation
from gnnlab.analysis.expressiveness_models import BENCH_MODELS
from gnnlab.analysis.expressiveness_pairs import NAMED_PAIRS, named_pairs
from gnnlab.analysis.expressiveness_sets import COMPARISON_SETS, comparison_set
from gnnlab.analysis.link_topology import approximate_topological_concentration, topological_concentration
from gnnlab.analysis.methods import Refined, deterministic_encodings, refinements
from gnnlab.analysis.sensitivity import Sensitivity, sensitivity
from gnnlab.analysis.sensitivity_bounds import sensitivity_bound, width_bound
from gnnlab.analysis.sensitivity_depth import GradientGain, gradient_gain
from gnnlab.analysis.sensitivity_influence import (
    CommuteInfluence,
    HopInfluence,
    influence_by_commute_time,
    influence_by_hop,
)
from gnnlab.analysis.separation import SeparationReport, family_classes, separated_pairs, separation
from gnnlab.analysis.smoothing import (
    AverageDistance,
    Ranks,
    dirichlet_energy,
    limit_alignment,
    mean_average_distance,
    rayleigh_quotient,
    state_ranks,
)
from gnnlab.analysis.smoothing_layers import SmoothingProfile, smoothing_profile
from gnnlab.analysis.structure_usage import StructureUsage, structure_usage, without_structure
from gnnlab.analysis.topology import TopologyProfile, topology_profile

__all__ = [
    "action_statistics",
    "ActionStatistics",
    "ACTIONS",
    "BENCH_MODELS",
    "COMPARISON_SETS",
    "INVARIANTS",
    "NAMED_PAIRS",
    "AsynchronousRun",
    "AsynchronyRow",
    "AuditReport",
    "AverageDistance",
    "BrecProtocol",
    "Ceiling",
    "CeilingReport",
    "CommuteInfluence",
    "Duplicates",
    "Evidence",
    "GradientGain",
    "HopInfluence",
    "ModelReport",
    "NoiseFloor",
    "PairOutcome",
    "Ranks",
    "Refined",
    "RandomSchedule",
    "ScriptedSchedule",
    "Sensitivity",
    "SeparationReport",
    "SmoothingProfile",
    "StructureUsage",
    "Subject",
    "TopologyProfile",
    "approximate_topological_concentration",
    "asynchronous_run",
    "asynchrony_table",
    "audit",
    "ceilings",
    "comparison_set",
    "deterministic_encodings",
    "dirichlet_energy",
    "exact_classes",
    "family_classes",
    "isomorphic_duplicates",
    "label_noise_floor",
    "limit_alignment",
    "mean_average_distance",
    "gradient_gain",
    "influence_by_commute_time",
    "influence_by_hop",
    "named_pairs",
    "network_separation",
    "paired_statistic",
    "rayleigh_quotient",
    "refinements",
    "sensitivity",
    "sensitivity_bound",
    "separated_pairs",
    "separation",
    "smoothing_profile",
    "state_ranks",
    "structure_usage",
    "topological_concentration",
    "topology_profile",
    "statistic_threshold",
    "train_pairs",
    "width_bound",
    "without_structure",
]
