"""Colours of colour refinement as node encodings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.graph import colour_hashes
from gnnlab.transform import Transform

__all__ = ["WeisfeilerLehmanPE"]

_RANGE = 2 * math.pi * 10_000
"""Longest wavelength of the sinusoids: colours spread over one period of it."""


@dataclass(frozen=True, repr=False)
class WeisfeilerLehmanPE(Transform):
    r"""Colour of a node after a few rounds of colour refinement, as sinusoids (WLPE).

    "Graph-Bert: Only Attention is Needed for Learning Graph Representations" (Zhang et al., 2020, arXiv 2001.05140),
    with the width and the rounds of "Benchmarking Positional Encodings for GNNs and Graph Transformers" (Grötschla
    et al., 2024, arXiv 2411.12732).

    .. math::
        p_{v, 2i} = \sin\big(c_v / 10000^{2i/k}\big), \qquad p_{v, 2i+1} = \cos\big(c_v / 10000^{2i/k}\big)

    Originally :math:`c_v` numbers the colours by order of appearance, so it means nothing across graphs and changes
    with the numbering of the nodes. Here it is a hash of the unfolding tree of v, spread over
    :math:`[0, 2 \pi \cdot 10^4)`: the same tree has the same encoding in every graph of every dataset, other trees an
    unrelated one. An encoding of 1-WL colours tells no two graphs apart that a GNN of that depth cannot; it is a
    feature, not a gain in expressive power.

    Cost: time :math:`O(\text{rounds} \cdot E + N k)`, memory :math:`O(E + N k)`; the same for one graph of a million
    nodes as for many small ones.

    Messages follow the direction of edges; duplicate edges count twice, a self-loop is a neighbour; isolated nodes
    share one colour. Node features are ignored.

    Args:
        channels: Width k of the encoding, even.
        rounds: Rounds of refinement; 1 tells degrees apart, 0 nothing.
        name: Written to ``pe_<name>``.

    Shapes:
        writes ``pe_<name>`` [N, channels] float32.

    Raises:
        ConfigError: ``channels`` odd or below 2, or negative ``rounds``.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> end, middle, other = WeisfeilerLehmanPE()(path).pe_wl
        >>> torch.equal(end, other), torch.equal(end, middle)
        (True, False)
    """

    channels: int = 100
    rounds: int = 2
    name: str = "wl"

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        if self.channels < 2 or self.channels % 2:
            raise ConfigError(f"channels must be even and positive, got {self.channels}", where="WeisfeilerLehmanPE")
        if self.rounds < 0:
            raise ConfigError(f"rounds must be at least 0, got {self.rounds}", where="WeisfeilerLehmanPE")

    def forward(self, data: Data) -> Data:
        word = colour_hashes(data.edge_index, data.num_nodes, self.rounds)
        data[f"pe_{self.name}"] = _sinusoids(_unit(word) * _RANGE, self.channels)
        return data


def _unit(word: Tensor) -> Tensor:
    """[0, 1) from the upper 53 bits of a word."""
    return ((word >> 11) & (2**53 - 1)).double() * 2.0**-53


def _sinusoids(position: Tensor, channels: int) -> Tensor:
    exponent = torch.arange(0, channels, 2, dtype=torch.float64, device=position.device) / channels
    angle = position[:, None] / 10_000**exponent
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1).float()
