"""What encodings of node pairs have in common: which pairs, where the values go, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph import k_hop_pairs
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.transform import Transform, graph_ptr

__all__ = ["PairEncoding", "all_pairs"]

_CHOICES = ("edges", "hops", "all")
_BYTES = 4  # of a float32


@dataclass(frozen=True, repr=False)
class PairEncoding(Transform):
    """A transform that writes features of node pairs; subclasses say of which by calling :meth:`write_pairs`.

    Args:
        pairs: ``"edges"`` writes ``edge_pe_<name>``, one row per edge; ``"hops"`` (ordered pairs of at most
            ``hops`` edges distance, a node with itself included) and ``"all"`` (all ordered pairs of a graph) write
            ``pair_index`` and ``pair_pe_<name>``; ``None`` writes no pairs. Where a graph has a ``pair_index``
            already, its pairs are encoded instead.
        hops: Distance of the farthest pairs of ``"hops"``.
        max_gigabytes: Refuse to write more than that.
    """

    pairs: str | None = field(default="edges", kw_only=True)
    hops: int = field(default=2, kw_only=True)
    max_gigabytes: float = field(default=4.0, kw_only=True)

    def __post_init__(self) -> None:
        where = type(self).__name__
        if self.pairs is not None and self.pairs not in _CHOICES:
            raise ConfigError(f"unknown pairs {self.pairs!r}", where=where, hint=nearest(str(self.pairs), _CHOICES))
        if self.hops < 0:
            raise ConfigError(f"hops must be at least 0, got {self.hops}", where=where)

    @property
    def pair_channels(self) -> int:
        """Width of the features of a pair."""
        raise NotImplementedError(f"{type(self).__name__} does not say how wide its pair features are")

    def check_budget(self, nodes: Tensor) -> None:
        if self.pairs == "all":
            self._check_size(int(nodes.double().square().sum()))

    def write_pairs(self, data: Data, name: str, encode: Callable[[Tensor], Tensor]) -> None:
        """Write ``encode(pairs)`` for the chosen pairs.

        Args:
            data: Written to.
            name: Of the encoding.
            encode: Pairs [2, P] -> [P, ``pair_channels``] values.
        """
        if self.pairs is None:
            return
        if self.pairs == "edges":
            self._check_size(data.edge_index.size(1))
            data[f"edge_pe_{name}"] = encode(data.edge_index).float()
            return
        index = data.get("pair_index")
        if index is None:
            ptr = graph_ptr(data)
            if self.pairs == "all":
                self.check_budget(ptr.diff())
                index = all_pairs(ptr)
            else:
                index = _near_pairs(data.edge_index, ptr, self.hops)
        self._check_size(index.size(1))
        data.pair_index, data[f"pair_pe_{name}"] = index, encode(index).float()

    def _check_size(self, count: int) -> None:
        size = _BYTES * self.pair_channels * count / 2**30
        if size > self.max_gigabytes:
            raise BudgetError(
                f"{count:,} pairs with {self.pair_channels} values each take {size:.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where=type(self).__name__,
                hint="choose pairs='edges' or 'hops', or encode batch by batch (data.batch_transforms)",
            )


def _near_pairs(edge_index: Tensor, ptr: Tensor, hops: int) -> Tensor:
    """[2, P] every pair of nodes at most ``hops`` apart, a node with itself included, by second node."""
    pairs = k_hop_pairs(edge_index, ptr, hops).pairs
    loops = torch.arange(int(ptr[-1]), device=ptr.device).expand(2, -1)
    pairs = torch.cat([pairs, loops], 1)
    return pairs[:, (pairs[1] * int(ptr[-1]) + pairs[0]).argsort()]


def all_pairs(ptr: Tensor) -> Tensor:
    """[2, P] every ordered pair of nodes of a graph, a node with itself included, by second node.

    Example:
        >>> all_pairs(torch.tensor([0, 2, 3])).tolist()
        [[0, 1, 0, 1, 2], [0, 0, 1, 1, 2]]
    """
    sizes = ptr.diff()
    graph = expand_ptr(ptr)
    partners = sizes[graph]
    second = torch.arange(graph.numel(), device=ptr.device).repeat_interleave(partners)
    return torch.stack([ragged_arange(partners, second.numel()) + ptr[graph[second]], second])
