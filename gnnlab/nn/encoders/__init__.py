"""Encoders: raw features and positional encodings to the width of the model."""

from gnnlab.nn.encoders._superpixels import SUPERPIXEL_STATISTICS
from gnnlab.nn.encoders.basis_net import BasisNet
from gnnlab.nn.encoders.categorical import (
    ATOM_CATEGORIES,
    BOND_CATEGORIES,
    AtomEncoder,
    BondEncoder,
    CategoricalEncoder,
)
from gnnlab.nn.encoders.feature import FeatureEncoder
from gnnlab.nn.encoders.lap_pe import LapPEEncoder
from gnnlab.nn.encoders.linear import LinearEncoder
from gnnlab.nn.encoders.mlp import MLPEncoder
from gnnlab.nn.encoders.pair import PairEncoder
from gnnlab.nn.encoders.positional import KernelPEEncoder, LinearPEEncoder
from gnnlab.nn.encoders.random_nodes import RandomNodeInit
from gnnlab.nn.encoders.rfp import RFP
from gnnlab.nn.encoders.sign_net import SignNet
from gnnlab.nn.encoders.spe import SPE

__all__ = [
    "MLPEncoder",
    "ATOM_CATEGORIES",
    "BOND_CATEGORIES",
    "RFP",
    "SPE",
    "SUPERPIXEL_STATISTICS",
    "AtomEncoder",
    "BasisNet",
    "BondEncoder",
    "CategoricalEncoder",
    "FeatureEncoder",
    "KernelPEEncoder",
    "LapPEEncoder",
    "LinearEncoder",
    "LinearPEEncoder",
    "PairEncoder",
    "RandomNodeInit",
    "SignNet",
]
