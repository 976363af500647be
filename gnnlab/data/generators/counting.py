"""Random graphs to count substructures in: every edge by chance, or regular ones of which edges were removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._union import store_from_union, undirected
from gnnlab.data.readers.counting import TARGETS, count_targets, normalised
from gnnlab.errors import ConfigError, nearest

__all__ = ["FAMILIES", "generate_counting", "random_regular_graphs"]

_VERSION = 1
_SHARES = {"train": 0.3, "val": 0.2, "test": 0.5}
_SHAPES = ((10, 6), (15, 6), (20, 5), (30, 5))
"""Nodes and degree of the regular graphs."""

_NODES, _CHANCE = 10, 0.3
_SWAPS = 10
"""Exchanges tried for every edge; the graphs forget where they started after a few."""


def generate_counting(
    files: dict[str, Path],
    card: Card,
    *,
    family: str = "random",
    targets: Sequence[str] = tuple(TARGETS),
    num_graphs: int = 5000,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    """Graphs after "Can Graph Neural Networks Count Substructures?" (Chen et al., NeurIPS 2020, arXiv 2002.04025).

    ``random`` graphs have 10 nodes, each pair joined with probability 0.3, as those of the benchmark's first file.
    ``regular`` graphs are as many of (nodes, degree) = (10, 6), (15, 6), (20, 5) and (30, 5) each, of which as many
    edges as there are nodes were removed at random. They stand for the second file, whose graphs are made so but with a
    pair drawn for every graph; the four pairs themselves could not be checked against it, for the file is not at hand
    and no code that made it is public. Features are constant; ``y`` is how often every pattern occurs as a subgraph,
    divided by its standard deviation over all graphs.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card. The scheme ``random`` is one split of the shares of the benchmark (30 % of the graphs
            for training, 20 % for validation, 50 % for testing).
        family: One of :data:`FAMILIES`.
        targets: Of :data:`gnnlab.data.readers.counting.TARGETS`, one column of ``y`` each.
        num_graphs: Graphs, at least 10.
        seed: Of graphs and split.
        version: Of the generator.

    Raises:
        ConfigError: unknown family or target, an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "num_graphs", num_graphs, 10)
    if family not in FAMILIES:
        raise ConfigError(f"unknown family '{family}'", where=card.name, hint=nearest(family, FAMILIES))
    generator = torch.Generator().manual_seed(seed)
    num_nodes, edges = FAMILIES[family](num_graphs, generator)
    edge_index = undirected(edges, int(num_nodes.sum()))
    y, deviation = normalised(count_targets(edge_index, num_nodes, targets, card.name))
    store = store_from_union(
        card, edge_index, num_nodes, node={"x": torch.ones(int(num_nodes.sum()), 1)}, graph={"y": y}
    )
    options = {"family": family, "targets": list(targets), "num_graphs": num_graphs, "seed": seed}
    meta = {**recipe("counting", _VERSION, **options), "deviation": deviation}
    ends = (torch.tensor([0.0, *_SHARES.values()]).double().cumsum(0) * num_graphs).round().long().tolist()
    order = torch.randperm(num_graphs, generator=generator)
    fold = {part: order[start:end].sort().values for part, start, end in zip(_SHARES, ends, ends[1:], strict=False)}
    return RawDataset(store.replace(meta=meta), {"random": [fold]})


def random_regular_graphs(graphs: int, nodes: int, degree: int, generator: torch.Generator) -> Tensor:
    """[graphs, 2, nodes * degree / 2] edges of random regular graphs without loops and duplicates.

    From the graph in which every node is joined with those near it on a ring, by exchanging ends: two edges (a, b),
    (c, d) become (a, d), (c, b) unless that makes a loop or a duplicate. All graphs take a step at once.

    Args:
        graphs: How many.
        nodes: Nodes of every graph.
        degree: Of all nodes, below ``nodes``; ``nodes * degree`` is even.
        generator: Source of the exchanges.
    """
    node = torch.arange(nodes)
    steps = torch.arange(1, degree // 2 + 1)
    ring = torch.stack([node.repeat_interleave(steps.numel()), (node[:, None] + steps).flatten() % nodes])
    half = node[: nodes // 2]
    across = torch.stack([half, half + nodes // 2]) if degree % 2 else ring[:, :0]
    ends = torch.cat([ring, across], 1).expand(graphs, -1, -1).clone()
    row = torch.arange(graphs)
    joined = torch.zeros(graphs, nodes, nodes, dtype=torch.bool)
    joined[row[:, None], ends[:, 0], ends[:, 1]] = True
    joined |= joined.mT.clone()
    count = ends.size(2)
    for _ in range(_SWAPS * count):
        first, second, turned = torch.randint(2 * count, (3, graphs), generator=generator)
        first, second, turned = first % count, second % count, turned % 2
        a, b = ends[row, 0, first], ends[row, 1, first]
        c, d = ends[row, turned, second], ends[row, 1 - turned, second]
        # With an end in common the exchange makes a loop, or changes nothing.
        fine = (a != d) & (c != b) & (a != c) & (b != d) & ~joined[row, a, d] & ~joined[row, c, b]
        at, a, b, c, d = (each[fine] for each in (row, a, b, c, d))
        for tail, tip, there in ((a, b, False), (c, d, False), (a, d, True), (c, b, True)):
            joined[at, tail, tip] = there
            joined[at, tip, tail] = there
        ends[at, 1, first[fine]] = d
        ends[at, 0, second[fine]], ends[at, 1, second[fine]] = c, b
    return ends


def _random(graphs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    pairs = torch.combinations(torch.arange(_NODES))
    graph, pair = (torch.rand(graphs, len(pairs), generator=generator) < _CHANCE).nonzero().unbind(1)
    return torch.full((graphs,), _NODES), pairs[pair].t() + _NODES * graph


def _regular(graphs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    edges, sizes, offset = [], [], 0
    for share, (nodes, degree) in enumerate(_SHAPES):
        count = (graphs * (share + 1)) // len(_SHAPES) - (graphs * share) // len(_SHAPES)
        ends = random_regular_graphs(count, nodes, degree, generator)
        kept = torch.rand(count, ends.size(2), generator=generator).argsort(1)[:, nodes:]
        ends = ends.gather(2, kept[:, None].expand(-1, 2, -1))
        first = offset + nodes * torch.arange(count)
        edges.append((ends + first[:, None, None]).transpose(0, 1).flatten(1))
        sizes.append(torch.full((count,), nodes))
        offset += nodes * count
    return torch.cat(sizes), torch.cat(edges, 1)


FAMILIES: dict[str, Callable[[int, torch.Generator], tuple[Tensor, Tensor]]] = {"random": _random, "regular": _regular}
"""Name -> function of the number of graphs and a generator that gives nodes [G] and edges [2, E] of the union."""
