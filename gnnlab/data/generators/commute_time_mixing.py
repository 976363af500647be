"""Mixing of two nodes of a molecule, the farther apart by commute time the harder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.card import card as card_of
from gnnlab.data.generators._common import check_range, check_version, recipe
from gnnlab.data.generators._molecule_like import molecule_like_graphs
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._union import undirected
from gnnlab.data.store import GraphStore
from gnnlab.errors import ConfigError
from gnnlab.graph import commute_time
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["generate_commute_time_mixing", "pairs_at_quantile", "scheme_of"]

_VERSION = 1
_SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def generate_commute_time_mixing(
    files: dict[str, Path],
    card: Card,
    *,
    molecules: str | None = None,
    quantiles: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    num_graphs: int = 2400,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    r"""The mixing task of Di Giovanni et al. ("How does over-squashing affect the power of GNNs?", arXiv 2306.03589).

    .. math:: y = \tanh(x_u + x_v), \qquad x_u, x_v \sim U(0, 1), \qquad x_w = 0 \text{ elsewhere}

    The pair (u, v) stands at a given quantile of the commute times of all pairs of its graph: at 0 two nodes that meet
    soonest, at 1 two that meet latest. A network has to mix the features of the pair in one node, which takes a readout
    that cannot do it itself: pool by the maximum. (Under a sum the head sees :math:`x_u + x_v` without any message.)

    The dataset holds every graph once per quantile, with the same features, and a split scheme per quantile
    (``q0``, ``q25``, ..., :func:`scheme_of`), so that schemes differ in where the pair is and in nothing else.

    Args:
        files: What the reader of ``molecules`` reads; unused without.
        card: The dataset's card; its schemes are those of ``quantiles``.
        molecules: Card whose graphs are taken, in the parts of its default split; ``None`` draws graphs that look like
            molecules (:func:`gnnlab.data.generators._molecule_like.molecule_like_graphs`), split 80/10/10.
        quantiles: Of the commute time, each between 0 and 1 and in whole per cent.
        num_graphs: Graphs per quantile, drawn in equal shares from all parts; at least 10. Graphs without a connected
            pair are left out.
        seed: Of the draws.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, schemes that do not fit the quantiles, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "num_graphs", num_graphs, 10)
    schemes = [scheme_of(card, quantile) for quantile in quantiles]
    if set(schemes) != set(card.split.schemes):
        raise ConfigError(
            f"the quantiles make the schemes {schemes}, the card has {sorted(card.split.schemes)}",
            where=f"card {card.name}, key split.schemes",
        )
    generator = torch.Generator().manual_seed(seed)
    edges, sizes, parts = _graphs(files, molecules, num_graphs, generator)
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    keys = torch.rand(2, int(ptr[-1]), generator=generator, dtype=torch.float64)
    values = torch.rand(2, sizes.numel(), generator=generator)
    chosen = pairs_at_quantile(edges, ptr, torch.tensor(quantiles, dtype=torch.float64), keys)
    x = torch.zeros(len(schemes), int(ptr[-1]))
    for row, pair in zip(x, chosen, strict=True):
        row[pair] = values
    count, local = sizes.numel(), edges - ptr[expand_ptr(ptr)[edges[0]]]
    options = {"molecules": molecules, "quantiles": list(quantiles), "num_graphs": num_graphs}
    store = GraphStore.from_tensors(
        num_nodes=sizes.repeat(len(schemes)),
        num_edges=torch.bincount(expand_ptr(ptr)[edges[0]], minlength=count).repeat(len(schemes)),
        edge_index=local.repeat(1, len(schemes)),
        node={"x": x.flatten()[:, None]},
        graph={"y": torch.tanh(values.sum(0)).repeat(len(schemes))[:, None]},
        name=card.name,
        task=card.task,
        meta=recipe("commute_time_mixing", _VERSION, **options, seed=seed),
    )
    splits = {scheme: [{part: index + i * count for part, index in parts.items()}] for i, scheme in enumerate(schemes)}
    return RawDataset(store, splits)


def scheme_of(card: Card, quantile: float) -> str:
    """Name of the split scheme of a quantile: ``q`` and per cent.

    Raises:
        ConfigError: not between 0 and 1, or not in whole per cent.
    """
    percent = round(100 * quantile)
    if not 0 <= quantile <= 1 or abs(percent - 100 * quantile) > 1e-9:
        raise ConfigError(
            f"a quantile is between 0 and 1 in whole per cent, got {quantile}",
            where=f"card {card.name}, key options.quantiles",
        )
    return f"q{percent}"


def pairs_at_quantile(edge_index: Tensor, ptr: Tensor, quantiles: Tensor, keys: Tensor) -> Tensor:
    """[Q, 2, G] one pair of nodes of every graph at every quantile of the commute times of its pairs.

    Unordered pairs of two connected nodes in the order of their commute time; the pair at quantile q of P is the one
    nearest to place q (P - 1). Equal commute times are ordered by the ``keys`` of the nodes.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph; every graph has a connected pair.
        quantiles: [Q] float64.
        keys: [2, N] float64, numbers that settle ties.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> keys = torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]])
        >>> pairs_at_quantile(path, torch.tensor([0, 3]), torch.tensor([0.0, 1.0]), keys).squeeze(2).tolist()
        [[0, 1], [0, 2]]
    """
    graph = expand_ptr(ptr)
    later = ptr[graph + 1] - torch.arange(graph.numel()) - 1
    first = torch.arange(graph.numel()).repeat_interleave(later)
    pairs = torch.stack([first, first + 1 + ragged_arange(later)])
    time = commute_time(edge_index, ptr, pairs)
    pairs, time = pairs[:, time.isfinite()], time[time.isfinite()]
    owner = graph[pairs[0]]
    # Commute times that differ in their last bits are ties.
    time = (time / time.max()).round(decimals=9)
    order = (keys[0, pairs[0]] + keys[1, pairs[1]]).argsort(stable=True)
    order = order[time[order].argsort(stable=True)]
    order = order[owner[order].argsort(stable=True)]
    count = torch.bincount(owner, minlength=ptr.numel() - 1)
    place = (quantiles[:, None] * (count - 1)).round().long() + count.cumsum(0) - count
    return pairs[:, order[place]].transpose(0, 1)


def _graphs(
    files: dict[str, Path], molecules: str | None, num_graphs: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Edges [2, E] of the union, nodes [G], and the graphs of every part."""
    if molecules is None:
        edges, sizes = molecule_like_graphs(num_graphs, 23, generator)
        ends = (torch.tensor([0.0, *_SHARES.values()]).double().cumsum(0) * num_graphs).round().long().tolist()
        return edges, sizes, {part: torch.arange(a, b) for part, a, b in zip(_SHARES, ends, ends[1:], strict=False)}
    source = card_of(molecules)
    raw = source.read()(files, source, **source.options)
    connected = raw.store.sizes("edge") > 0
    parts = {part: index[connected[index]] for part, index in raw.splits[source.split.default][0].items()}
    total = sum(index.numel() for index in parts.values())
    chosen, kept, first = [], {}, 0
    for part, index in parts.items():
        count = min(index.numel(), round(num_graphs * index.numel() / total))
        chosen.append(index[torch.randperm(index.numel(), generator=generator)[:count]].sort().values)
        kept[part] = torch.arange(first, first + count)
        first += count
    batch = raw.store[torch.cat(chosen)]
    return undirected(batch.edge_index, batch.num_nodes), batch.ptr.diff(), kept
