"""Models whose states are defined by an equation: fixed points and minimisers, and how to differentiate them."""

from gnnlab.nn.implicit.local_rule import EnergyRule, FixedPointRule, HasLocalRule, LocalGraph, LocalRule

__all__ = ["EnergyRule", "FixedPointRule", "HasLocalRule", "LocalGraph", "LocalRule"]
