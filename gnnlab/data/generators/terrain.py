"""Terrain: agents that each see the height under their feet have to agree on which digit they stand on."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe, stratified_split
from gnnlab.data.generators._proximity import proximity_edges
from gnnlab.data.readers import RawDataset
from gnnlab.data.store import GraphStore

__all__ = ["generate_terrain", "terrain_height"]

_VERSION = 1
_DIGITS = 10
# Of a display of seven segments: ends (x, y) of every stroke in the box [-0.5, 0.5] x [-1, 1], and who has it.
_STROKES = (
    ((-0.5, 1.0), (0.5, 1.0), "02356789"),
    ((-0.5, 1.0), (-0.5, 0.0), "045689"),
    ((0.5, 1.0), (0.5, 0.0), "01234789"),
    ((-0.5, 0.0), (0.5, 0.0), "2345689"),
    ((-0.5, 0.0), (-0.5, -1.0), "0268"),
    ((0.5, 0.0), (0.5, -1.0), "013456789"),
    ((-0.5, -1.0), (0.5, -1.0), "0235689"),
)
_WIDTH = 0.2


def generate_terrain(
    files: dict[str, Path],
    card: Card,
    *,
    num_nodes: int = 40,
    neighbours: int = 4,
    noise: float = 0.05,
    num_graphs: int = 1000,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    """Agents at uniform places of the square [-1, 1]^2, on hills in the shape of a digit.

    ``x`` is (height with Gaussian noise, x, y), ``y`` the digit, asked of every agent; agents are joined with their
    nearest ones. The digit is drawn by the strokes of a seven-segment display (:func:`terrain_height`), shifted by up
    to 0.15, scaled by 0.6 to 0.8 and turned by up to 15 degrees. Our own definition: in the hogwild paper (arXiv
    2407.00494) agents stand on images of MNIST, which this generator neither has nor imitates.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card. The scheme ``random`` is one 80/10/10 split of the graphs, stratified by digit.
        num_nodes: Agents per graph, at least 2.
        neighbours: Nearest agents every agent is joined with.
        noise: Standard deviation of the noise of heights between 0 and 1.
        num_graphs: Graphs, spread evenly over the digits.
        seed: Of places, shapes, noise and split.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "num_nodes", num_nodes, 2)
    check_range(card, "neighbours", neighbours, 1, num_nodes - 1)
    check_range(card, "noise", noise, 0)
    check_range(card, "num_graphs", num_graphs, _DIGITS)
    check_range(card, "task.out_channels", card.task.out_channels, _DIGITS, _DIGITS)
    generator = torch.Generator().manual_seed(seed)
    digit = torch.arange(num_graphs) % _DIGITS
    place = 2 * torch.rand(num_graphs, num_nodes, 2, generator=generator) - 1
    shift = 0.3 * torch.rand(num_graphs, 1, 2, generator=generator) - 0.15
    scale = 0.6 + 0.2 * torch.rand(num_graphs, 1, 1, generator=generator)
    angle = (2 * torch.rand(num_graphs, generator=generator) - 1) * math.radians(15)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    height = terrain_height(((place - shift) / scale) @ turn, digit)
    height = height + noise * torch.randn(height.shape, generator=generator)
    edges, _, num_edges = proximity_edges(place, neighbours)
    options = {"num_nodes": num_nodes, "neighbours": neighbours, "noise": noise, "num_graphs": num_graphs}
    store = GraphStore.from_tensors(
        num_nodes=torch.full((num_graphs,), num_nodes),
        num_edges=num_edges,
        edge_index=edges,
        node={
            "x": torch.cat([height.unsqueeze(2), place], 2).flatten(0, 1),
            "y": digit.repeat_interleave(num_nodes),
        },
        name=card.name,
        task=card.task,
        meta=recipe("terrain", _VERSION, **options, seed=seed),
    )
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    return RawDataset(store, {"random": [stratified_split(digit, shares, generator)]})


def terrain_height(place: Tensor, digit: Tensor) -> Tensor:
    r"""[G, n] height :math:`\exp(-(d / 0.2)^2)` at distance d from the nearest stroke of the digit.

    Args:
        place: [G, n, 2] in the frame of the digit, whose box is one wide, two high, and centred at 0.
        digit: [G] long, 0 to 9.

    Example:
        >>> terrain_height(torch.tensor([[[0.0, 0.0], [0.5, 0.5]]] * 2), torch.tensor([8, 0])).tolist()
        [[1.0, 1.0], [0.0019304541638121009, 1.0]]
    """
    first = torch.tensor([start for start, _, _ in _STROKES], device=place.device)
    along = torch.tensor([end for _, end, _ in _STROKES], device=place.device) - first
    away = place.unsqueeze(2) - first
    share = ((away * along).sum(-1) / along.square().sum(-1)).clamp(0, 1)
    distance = (away - share.unsqueeze(-1) * along).norm(dim=-1)
    has = torch.tensor([[str(d) in digits for _, _, digits in _STROKES] for d in range(_DIGITS)], device=place.device)
    nearest = distance.masked_fill(~has[digit].unsqueeze(1), torch.inf).amin(-1)
    return (-(nearest / _WIDTH).square()).exp()
