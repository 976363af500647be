"""Cycles: one ring, or a triangle and the rest; pairs of regular graphs that 1-WL cannot tell apart."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_version, recipe
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._union import store_from_union, undirected
from gnnlab.errors import ConfigError, nearest

__all__ = ["SIZES", "generate_cycles"]

_VERSION = 1

SIZES: dict[str, dict[str, range]] = {
    "paper": {"train": range(6, 8), "val": range(8, 10), "test": range(10, 13)},
    "released": {"train": range(6, 9), "val": range(9, 12), "test": range(12, 14)},
}
"""Nodes per graph in every part, as the paper writes and as the released code draws them."""


def generate_cycles(
    files: dict[str, Path], card: Card, *, variant: str = "paper", version: int = _VERSION
) -> RawDataset:
    """Cycles of Finkelshtein et al. (ICML 2024, Cooperative GNNs): a pair of graphs on k nodes for every size k.

    Class 0 is the cycle of length k, class 1 the disjoint union of a triangle and a cycle of length k - 3. All
    features are 1 and all degrees 2, so a deterministic message-passing network gives both the same prediction.
    Nothing is drawn at random.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card. The scheme ``sizes`` trains on small graphs and tests on large ones.
        variant: A key of :data:`SIZES`.
        version: Of the generator.

    Raises:
        ConfigError: unknown variant, another version.
    """
    check_version(card, version, _VERSION)
    if variant not in SIZES:
        raise ConfigError(f"unknown variant '{variant}'", where=card.name, hint=nearest(variant, SIZES))
    sizes = torch.tensor([k for part in SIZES[variant].values() for k in part])
    # One ring per pair, then triangle and rest; every ring is a component of the union.
    rings = torch.stack([sizes, torch.full_like(sizes, 3), sizes - 3], 1).flatten()
    num_nodes = sizes.repeat_interleave(2)
    total = int(num_nodes.sum())
    store = store_from_union(
        card,
        undirected(_rings(rings), total),
        num_nodes,
        node={"x": torch.ones(total, 1)},
        graph={"y": torch.arange(num_nodes.numel()) % 2},
    )
    index, fold = torch.arange(num_nodes.numel()), {}
    for name, part in SIZES[variant].items():
        fold[name], index = index[: 2 * len(part)], index[2 * len(part) :]
    return RawDataset(store.replace(meta=recipe("cycles", _VERSION, variant=variant)), {"sizes": [fold]})


def _rings(lengths: Tensor) -> Tensor:
    """[2, N], node to the next one of its ring, nodes numbered through."""
    end = lengths.cumsum(0)
    node = torch.arange(int(end[-1]))
    following = node + 1
    following[end - 1] = end - lengths
    return torch.stack([node, following])
