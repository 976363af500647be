"""Encoders: raw features and positional encodings to the width of the model."""

from gnnlab.nn.encoders._superpixels import SUPERPIXEL_STATISTICS
from gnnlab.nn.encoders.categorical import (
    ATOM_CATEGORIES,
    BOND_CATEGORIES,
    AtomEncoder,
    BondEncoder,
    CategoricalEncoder,
)
from gnnlab.nn.encoders.feature import FeatureEncoder
from gnnlab.nn.encoders.linear import LinearEncoder
from gnnlab.nn.encoders.positional import DeepSetPEEncoder, LinearPEEncoder

__all__ = [
    "ATOM_CATEGORIES",
    "BOND_CATEGORIES",
    "SUPERPIXEL_STATISTICS",
    "AtomEncoder",
    "BondEncoder",
    "CategoricalEncoder",
    "DeepSetPEEncoder",
    "FeatureEncoder",
    "LinearEncoder",
    "LinearPEEncoder",
]
