"""Trees whose root averages only some of its neighbours: the task that motivates choosing whom to hear."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._union import undirected
from gnnlab.data.store import GraphStore

__all__ = ["generate_root_neighbours"]

_VERSION = 1
_HUB_CHILDREN = 5
_MAX_HUBS, _MAX_CHILDREN, _EXTRA_HUBS = 3, 10, 2


def generate_root_neighbours(
    files: dict[str, Path],
    card: Card,
    *,
    num_components: int = 1000,
    one_graph: bool = True,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    """RootNeighbours of Finkelshtein et al. (ICML 2024, Cooperative GNNs).

    A root with 3 to 10 children, of which 1 to 3 are hubs (5 children, hence degree 6) and the others have
    1 or 2 children. Features are uniform in [-2, 2]; the root's target is the mean of the features of its
    hubs, all other ``y`` are NaN. Trees for validation and test have 3 to 5 hubs among 5 to 10 children (as
    the released code draws them; the text of the paper says up to 12).

    Args:
        files: Unused (nothing is read).
        card: The dataset's card; ``out_channels`` is the number of features.
        num_components: Components of three trees each, for training, validation and test.
        one_graph: One graph of all trees, split by root (the scheme ``roots``), as upstream trains;
            otherwise a graph per tree, split by tree, for mini-batches.
        seed: Of trees and features.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "num_components", num_components, 1)
    generator = torch.Generator().manual_seed(seed)
    part = torch.arange(3 * num_components) % 3
    trees = _grow(part > 0, generator)
    total = int(trees.num_nodes.sum())
    x = torch.rand(total, card.task.out_channels, generator=generator) * 4 - 2
    y = torch.full_like(x, float("nan"))
    mean = torch.zeros(part.numel(), x.size(1)).index_add_(0, trees.hub_tree, x[trees.hub])
    y[trees.root] = mean / torch.bincount(trees.hub_tree).unsqueeze(1)
    edge_index = undirected(trees.edges, total)
    num_edges = 2 * (trees.num_nodes - 1)
    local = edge_index - trees.root.repeat_interleave(num_edges)
    store = GraphStore.from_tensors(
        num_nodes=torch.tensor([total]) if one_graph else trees.num_nodes,
        num_edges=torch.tensor([edge_index.size(1)]) if one_graph else num_edges,
        edge_index=edge_index if one_graph else local,
        node={"x": x, "y": y},
        name=card.name,
        task=card.task,
        meta=recipe("root_neighbours", _VERSION, num_components=num_components, one_graph=one_graph, seed=seed),
    )
    rows = trees.root if one_graph else torch.arange(part.numel())
    return RawDataset(store, {"roots": [{name: rows[part == i] for i, name in enumerate(("train", "val", "test"))}]})


@dataclass(frozen=True)
class _Trees:
    """T trees on numbered-through nodes: root, its children, then their children, tree by tree."""

    num_nodes: Tensor  # [T]
    root: Tensor  # [T]
    hub: Tensor  # [H] node
    hub_tree: Tensor  # [H]
    edges: Tensor  # [2, N - T] parent, child


def _grow(evaluation: Tensor, generator: torch.Generator) -> _Trees:
    extra = _EXTRA_HUBS * evaluation.long()
    hubs = torch.randint(1, _MAX_HUBS + 1, extra.shape, generator=generator) + extra
    least = _MAX_HUBS + extra
    # A uniform integer between `least` and 10: one uniform number per tree, scaled to the tree's own range.
    spread = torch.rand(extra.shape, generator=generator, dtype=torch.float64)
    children = least + (spread * (_MAX_CHILDREN + 1 - least)).long()
    tree = torch.arange(extra.numel()).repeat_interleave(children)
    rank = torch.arange(tree.numel()) - (children.cumsum(0) - children)[tree]
    is_hub = rank < hubs[tree]
    few = torch.randint(1, 3, tree.shape, generator=generator)
    grandchildren = torch.where(is_hub, _HUB_CHILDREN, few)
    below = torch.zeros_like(children).index_add_(0, tree, grandchildren)
    num_nodes = 1 + children + below
    root = num_nodes.cumsum(0) - num_nodes
    child = root[tree] + 1 + rank
    leaf_parent = child.repeat_interleave(grandchildren)
    leaf_tree = tree.repeat_interleave(grandchildren)
    leaf_rank = torch.arange(leaf_tree.numel()) - (below.cumsum(0) - below)[leaf_tree]
    leaf = (root + 1 + children)[leaf_tree] + leaf_rank
    edges = torch.cat([torch.stack([root[tree], child]), torch.stack([leaf_parent, leaf])], 1)
    return _Trees(num_nodes, root, child[is_hub], tree[is_hub], edges)
