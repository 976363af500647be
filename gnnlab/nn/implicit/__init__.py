"""Models whose states are defined by an equation: fixed points and minimisers, and how to differentiate them."""

from gnnlab.nn.implicit.conjugate_gradients import conjugate_gradients
from gnnlab.nn.implicit.convergence import Convergence, ConvergenceError, ConvergenceWarning
from gnnlab.nn.implicit.differentiate import implicit_state, jacobian_product
from gnnlab.nn.implicit.fixed_point import fixed_point
from gnnlab.nn.implicit.graph_energy import BoundEnergy, GraphEnergy
from gnnlab.nn.implicit.local_rule import EnergyRule, FixedPointRule, HasLocalRule, LocalGraph, LocalRule
from gnnlab.nn.implicit.minimise import minimise
from gnnlab.nn.implicit.picnn import PICNN, BoundPICNN, PositiveLinear
from gnnlab.nn.implicit.power_iteration import largest_curvature, spectral_radius_bound
from gnnlab.nn.implicit.row_ball import project_rows

__all__ = [
    "PICNN",
    "BoundEnergy",
    "BoundPICNN",
    "Convergence",
    "ConvergenceError",
    "ConvergenceWarning",
    "EnergyRule",
    "FixedPointRule",
    "GraphEnergy",
    "HasLocalRule",
    "LocalGraph",
    "LocalRule",
    "PositiveLinear",
    "conjugate_gradients",
    "fixed_point",
    "implicit_state",
    "jacobian_product",
    "largest_curvature",
    "minimise",
    "project_rows",
    "spectral_radius_bound",
]
