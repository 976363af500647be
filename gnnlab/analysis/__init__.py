"""Why a model works or fails on a dataset: what an encoding can tell apart, what a model does without a clock."""

from gnnlab.analysis.actions import ACTIONS, ActionStatistics, action_statistics
from gnnlab.analysis.asynchrony import AsynchronousRun, RandomSchedule, ScriptedSchedule, asynchronous_run
from gnnlab.analysis.asynchrony_table import AsynchronyRow, asynchrony_table
from gnnlab.analysis.auditing import AuditReport, audit
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
from gnnlab.analysis.probes import Probe, ProbeRow, sensitivity_sweep, transfer_probes, two_block_probes
from gnnlab.analysis.probes_claims import DecayRatio, ProbeClaim, decay_ratio, probe_claims
from gnnlab.analysis.probes_figure import sweep_figure
from gnnlab.analysis.probes_propagation import SignalPropagation, signal_propagation
from gnnlab.analysis.probes_trend import Trend, trend
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
    "DecayRatio",
    "Duplicates",
    "Evidence",
    "GradientGain",
    "HopInfluence",
    "ModelReport",
    "NoiseFloor",
    "PairOutcome",
    "Probe",
    "ProbeClaim",
    "ProbeRow",
    "Ranks",
    "Refined",
    "RandomSchedule",
    "ScriptedSchedule",
    "Sensitivity",
    "SeparationReport",
    "SignalPropagation",
    "SmoothingProfile",
    "StructureUsage",
    "Subject",
    "TopologyProfile",
    "Trend",
    "approximate_topological_concentration",
    "asynchronous_run",
    "asynchrony_table",
    "audit",
    "ceilings",
    "comparison_set",
    "decay_ratio",
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
    "probe_claims",
    "rayleigh_quotient",
    "refinements",
    "sensitivity",
    "sensitivity_bound",
    "sensitivity_sweep",
    "separated_pairs",
    "separation",
    "signal_propagation",
    "smoothing_profile",
    "state_ranks",
    "sweep_figure",
    "structure_usage",
    "topological_concentration",
    "topology_profile",
    "statistic_threshold",
    "train_pairs",
    "transfer_probes",
    "trend",
    "two_block_probes",
    "width_bound",
    "without_structure",
]
