"""Rewiring that joins every node to those near it that it is least connected to, one relation per distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph import k_hop_pairs, walk_counts
from gnnlab.graph._noise import pair_noise
from gnnlab.ops import expand_ptr
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits, both_ways
from gnnlab.rewiring._pairs import ranks, simple_edges, unordered

__all__ = ["LASER"]


class Shells(NamedTuple):
    """Candidates ``pairs`` [2, P], sorted by source and snapshot; their ``snapshot`` [P] and ``connectivity`` [P]."""

    pairs: Tensor
    snapshot: Tensor
    connectivity: Tensor


@dataclass(frozen=True, repr=False)
class LASER(Rewiring):
    r"""Locality-aware sequential rewiring.

    "Locality-Aware Graph-Rewiring in GNNs" (Barbero, Velingker, Saberi, Bronstein and Di Giovanni, ICLR 2024,
    arXiv 2310.01668). Snapshot r = 2, ..., K adds pairs at distance r only. Every node i is joined to the

    .. math::
        k_i = \max(1, \mathrm{round}(\rho\,|S_r(i)|)), \qquad S_r(i) = \{j : d(i, j) = r\}

    nodes j of its shell with the smallest connectivity :math:`\mu(i, j) = \big((A + I)^p\big)_{ij}`, ties
    broken at random; an edge that either end asks for is added in both directions. Halves round to even, as
    in Python: 2.5 to 2. Snapshot r gets relation r - 2 of the added ones (``edge_type`` 1 is snapshot 2) and
    ``edge_order`` r - 1: edges of order below k are what ``num_snapshots=k`` gives.

    ``mode="released"`` does what the authors' code does, which the published numbers come from. Distances
    are kept in the adjacency matrix while that is still being multiplied, so that snapshot r holds distances
    :math:`2^{r-2} + 1` to :math:`2^{r-1}` (3 and 4 in snapshot 3), and :math:`\mu` counts walks over all of
    these pairs, each weighted by its snapshot. A node chooses among nodes of smaller number only, and one
    edge leads from it to them. Ties are broken by our noise, not by theirs.

    Self-loops, repeated edges and ``edge_weight`` are ignored.

    Args:
        num_snapshots: Number K of snapshots, the graph itself included, at least 2.
        density: Share :math:`\rho` of a shell that is added, in (0, 1].
        mode: ``"paper"`` or ``"released"``.
        walk_length: Steps p of the walks that measure connectivity.
        seed: Of the noise that breaks ties.
        noise: Whether ties are broken at random; otherwise the node of smallest number wins.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.
        max_pairs: Most ordered pairs within reach of the last snapshot of a union that are accepted.

    Shapes:
        see :class:`gnnlab.rewiring.Rewiring`.

    Raises:
        GraphError: an edge without its reverse.
        BudgetError: more than ``max_pairs`` pairs.

    Example:
        >>> from torch_geometric.data import Data
        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> data = LASER(density=1)(Data(edge_index=torch.cat([path, path.flip(0)], 1), num_nodes=4))
        >>> data.edge_index[:, 6:].tolist(), data.edge_type[6:].tolist()
        ([[0, 0, 1, 2, 3, 3], [2, 3, 3, 0, 0, 1]], [1, 2, 1, 1, 2, 1])
    """

    num_snapshots: int = 3
    density: float = 0.5
    mode: Literal["paper", "released"] = "paper"
    walk_length: int = 8
    seed: int = 0
    noise: bool = True
    symmetrise: bool = False
    max_pairs: int = 10**8

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_snapshots < 2 or self.walk_length < 1:
            raise ConfigError(
                f"num_snapshots must be at least 2 and walk_length at least 1, got {self.num_snapshots} and "
                f"{self.walk_length}",
                where="LASER",
                hint="snapshot 1 is the graph itself",
            )
        if not 0 < self.density <= 1:
            raise ConfigError(f"density must be in (0, 1], got {self.density}", where="LASER")
        if self.mode not in _SHELLS:
            hint = nearest(str(self.mode), _SHELLS)
            raise ConfigError(f"unknown mode {self.mode!r}", where="LASER", hint=hint)

    @torch.no_grad()
    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        edges = simple_edges(edge_index, ptr, self.symmetrise)
        pairs, snapshot, connectivity = _SHELLS[self.mode](edges, ptr, self)
        key = pairs[0] * (self.num_snapshots + 1) + snapshot
        sizes = key.unique_consecutive(return_counts=True)[1]
        tie = pair_noise(pairs, edges, ptr, self.seed) if self.noise else pairs[1].double()
        wanted = (self.density * sizes.double()).round_().clamp_(min=1)
        bounds = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        chosen = ranks(sizes, connectivity, tie) < wanted[expand_ptr(bounds, key.numel())]
        pairs, snapshot = pairs[:, chosen], snapshot[chosen]
        if self.mode == "released":
            return Edits(pairs, relation=snapshot - 2, order=snapshot - 1)
        pairs, snapshot = unordered(pairs, int(ptr[-1]), snapshot)
        return both_ways(pairs, relation=snapshot - 2, order=snapshot - 1)


def _paper(edges: Tensor, ptr: Tensor, laser: LASER) -> Shells:
    pairs, distance = k_hop_pairs(edges, ptr, laser.num_snapshots, max_pairs=laser.max_pairs)
    new = distance > 1
    pairs, distance = pairs[:, new], distance[new]
    return Shells(pairs, distance, walk_counts(edges, ptr, pairs, laser.walk_length))


def _released(edges: Tensor, ptr: Tensor, laser: LASER) -> Shells:
    pairs, distance = k_hop_pairs(edges, ptr, 2 ** (laser.num_snapshots - 1), max_pairs=laser.max_pairs)
    # The number of bits of d - 1: 1 for distance 2, 2 for 3 and 4, 3 for 5 to 8.
    snapshot = torch.frexp((distance - 1).double()).exponent.long() + 1
    new = (snapshot > 1) & (pairs[1] < pairs[0])
    shells = pairs[:, new]
    connectivity = walk_counts(pairs, ptr, shells, laser.walk_length, edge_weight=snapshot.double())
    return Shells(shells, snapshot[new], connectivity)


_SHELLS: dict[str, Callable[[Tensor, Tensor, LASER], Shells]] = {"paper": _paper, "released": _released}
