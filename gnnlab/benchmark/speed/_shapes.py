"""The graphs kernels are timed on: batches of molecules, a power law, and the sizes of two OGB graphs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gnnlab.errors import SourceError
from gnnlab.ops import CSR

__all__ = ["EVERYDAY", "SHAPES", "SIZES", "Shape", "make_shape"]


@dataclass(frozen=True)
class Shape:
    """A graph (or a batch of graphs) with its edges in the order a store delivers them: grouped by target.

    Args:
        name: Name on the command line.
        edge_index: [2, E] long.
        num_nodes: N.
        note: What it is made of.
    """

    name: str
    edge_index: Tensor
    num_nodes: int
    note: str

    @property
    def num_edges(self) -> int:
        return self.edge_index.size(1)

    def to(self, device: str) -> Shape:
        return Shape(self.name, self.edge_index.to(device), self.num_nodes, self.note)

    def adjacency(self) -> CSR:
        """Both directions compressed; the caller's edges are the slots."""
        adj = CSR.from_edge_index(self.edge_index, self.num_nodes)
        return CSR(adj.ptr, adj.src, adj.ptr_t, adj.dst, adj.eid_t)


def make_shape(name: str, seed: int = 0, generated: bool = False) -> Shape:
    """The graph of that name; ``generated`` leaves datasets on disk alone."""
    edge_index, num_nodes, note = SHAPES[name](torch.Generator().manual_seed(seed), generated)
    order = torch.sort(edge_index[1], stable=True).indices
    return Shape(name, edge_index[:, order].contiguous(), num_nodes, note)


_Made = tuple[Tensor, int, str]


def _batch(dataset: str, count: int, sizes: tuple[float, ...], generator: torch.Generator, generated: bool) -> _Made:
    """``count`` graphs of a dataset where its files are at hand, else trees with rings of its sizes."""
    if not generated:
        try:
            # Datasets need packages that a machine lent for its GPU may lack.
            from gnnlab.data import load_dataset

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the note says what was taken
                store = load_dataset(dataset, progress=False)
            batch = store[torch.randperm(len(store), generator=generator)[:count]]
            return batch.edge_index, batch.num_nodes, f"{count} graphs of {dataset}"
        except (SourceError, ImportError):
            pass
    edge_index, num_nodes = _molecules(count, *sizes, generator)
    return edge_index, num_nodes, f"{count} generated graphs of the sizes of {dataset}"


def _molecules(
    count: int, mean: float, std: float, least: int, most: int, density: float, generator: torch.Generator
) -> tuple[Tensor, int]:
    """Chains with branches, and rings until there are ``density`` bonds per atom."""
    normal = torch.randn(count, generator=generator)
    sizes = (mean + std * normal).round().clamp(least, most).long()
    first = sizes.cumsum(0) - sizes
    owner = torch.repeat_interleave(sizes)
    total = owner.numel()
    place = torch.arange(total) - first[owner]
    back = torch.where(
        torch.rand(total, generator=generator) < 0.72, 1, torch.randint(2, 6, (total,), generator=generator)
    )
    bonded = place > 0
    tree = torch.stack([(place - back).clamp(min=0), place])[:, bonded] + first[owner[bonded]]

    closing = torch.repeat_interleave((sizes * density).round().long() - sizes + 1)
    start = (torch.rand(closing.numel(), generator=generator) * (sizes[closing] - 6).clamp(min=1)).long()
    end = start + torch.randint(4, 6, start.shape, generator=generator)
    rings = torch.stack([start, torch.minimum(end, sizes[closing] - 1)]) + first[closing]
    bonds = torch.cat([tree, rings], dim=1)
    return torch.cat([bonds, bonds.flip(0)], dim=1), total


def _skewed(
    nodes: int, edges: int, exponent: float, offset: float, directed: bool, generator: torch.Generator, _: bool
) -> _Made:
    """Simple graph whose node ``i`` is drawn as an end with weight ``(i + offset) ** -exponent``, relabelled.

    A directed one draws its sources evenly, as citations do.
    """
    cumulative = torch.arange(nodes, dtype=torch.float64).add_(offset).pow_(-exponent).cumsum(0)
    label = torch.randperm(nodes, generator=generator)

    def draw(count: int) -> Tensor:
        points = torch.rand(count, generator=generator, dtype=torch.float64) * cumulative[-1]
        return label[torch.searchsorted(cumulative, points).clamp_(max=nodes - 1)]

    wanted = edges if directed else edges // 2
    keys = torch.empty(0, dtype=torch.long)
    while keys.numel() < wanted:
        missing = int(1.1 * (wanted - keys.numel())) + 16
        target = draw(missing)
        source = torch.randint(nodes, (missing,), generator=generator) if directed else draw(missing)
        if not directed:
            source, target = torch.minimum(source, target), torch.maximum(source, target)
        keys = torch.cat([keys, (source * nodes + target)[source != target]]).unique()
    keys = keys[torch.randperm(keys.numel(), generator=generator)[:wanted]]
    edge_index = torch.stack([keys // nodes, keys % nodes])
    kind = "directed" if directed else "undirected"
    note = f"generated, {kind}, weights of degree exponent {exponent}"
    return (edge_index if directed else torch.cat([edge_index, edge_index.flip(0)], dim=1)), nodes, note


SIZES: dict[str, tuple[int, int]] = {
    "peptides": (19_112, 38_844),
    "zinc": (11_752, 25_090),
    "power-law": (100_000, 1_000_000),
    "arxiv-like": (169_343, 1_166_243),
    "products-like": (2_449_029, 61_859_140),
}
"""Nodes and edges (of the molecules: about), known before anything is made."""

SHAPES: dict[str, Callable[[torch.Generator, bool], _Made]] = {
    "peptides": partial(_batch, "peptides-func", 128, (150.9, 60.0, 20, 444, 1.018)),
    "zinc": partial(_batch, "zinc-12k", 512, (23.15, 4.5, 9, 38, 1.076)),
    "power-law": partial(_skewed, *SIZES["power-law"], 0.6, 10.0, False),
    "arxiv-like": partial(_skewed, *SIZES["arxiv-like"], 0.75, 20.0, True),
    "products-like": partial(_skewed, *SIZES["products-like"], 0.6, 100.0, False),
}
"""Shape -> how it is made."""

EVERYDAY = ("peptides", "zinc", "power-law", "arxiv-like")
"""What is timed unless asked otherwise: what fits into any machine."""
