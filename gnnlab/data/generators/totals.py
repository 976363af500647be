"""Count and Sum: every node has to know a total of its whole graph."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe, stratified_split
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._union import undirected
from gnnlab.data.store import GraphStore
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["generate_count", "generate_sum"]

_VERSION = 1


def generate_count(
    files: dict[str, Path],
    card: Card,
    *,
    min_nodes: int = 5,
    max_nodes: int = 20,
    extra_edges: float = 0.2,
    share: float = 0.5,
    num_graphs: int = 1000,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    """How many nodes of the graph are marked, asked of every node.

    Connected graphs: random recursive trees (node i joins a uniform earlier one) with ``extra_edges`` n more edges
    drawn uniformly, those that are there already or lead nowhere left out. Nodes are marked independently; ``x`` is
    (1, marked), ``y`` the number of marked nodes. Our own definition of the task the hogwild paper (arXiv 2407.00494)
    calls Count, whose generator is not public.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card. The scheme ``random`` is one 80/10/10 split of the graphs.
        min_nodes: Smallest graph, at least 1.
        max_nodes: Largest graph; sizes are uniform.
        extra_edges: Edges beyond the tree, per node.
        share: Probability of a node to be marked.
        num_graphs: Graphs.
        seed: Of graphs, marks and split.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "share", share, 0, 1)
    generator = torch.Generator().manual_seed(seed)
    shape = {"min_nodes": min_nodes, "max_nodes": max_nodes, "extra_edges": extra_edges, "num_graphs": num_graphs}
    graphs = _Graphs(card, **shape, generator=generator)
    marked = (torch.rand(graphs.total, generator=generator) < share).float()
    x = torch.stack([torch.ones(graphs.total), marked], 1)
    return graphs.dataset(x, marked, recipe("count", _VERSION, **shape, share=share, seed=seed), generator)


def generate_sum(
    files: dict[str, Path],
    card: Card,
    *,
    min_nodes: int = 5,
    max_nodes: int = 20,
    extra_edges: float = 0.2,
    num_graphs: int = 1000,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    """The sum of the values of all nodes of the graph, asked of every node.

    Graphs, options and split as in :func:`generate_count`; values are uniform in [0, 1), ``x`` is (1, value). Our own
    definition of the task the hogwild paper (arXiv 2407.00494) calls Sum, whose generator is not public.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card.
        min_nodes: Smallest graph, at least 1.
        max_nodes: Largest graph.
        extra_edges: Edges beyond the tree, per node.
        num_graphs: Graphs.
        seed: Of graphs, values and split.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    generator = torch.Generator().manual_seed(seed)
    shape = {"min_nodes": min_nodes, "max_nodes": max_nodes, "extra_edges": extra_edges, "num_graphs": num_graphs}
    graphs = _Graphs(card, **shape, generator=generator)
    value = torch.rand(graphs.total, generator=generator)
    x = torch.stack([torch.ones(graphs.total), value], 1)
    return graphs.dataset(x, value, recipe("sum", _VERSION, **shape, seed=seed), generator)


class _Graphs:
    """Connected random graphs of various sizes."""

    def __init__(
        self,
        card: Card,
        min_nodes: int,
        max_nodes: int,
        extra_edges: float,
        num_graphs: int,
        generator: torch.Generator,
    ) -> None:
        check_range(card, "min_nodes", min_nodes, 1)
        check_range(card, "max_nodes", max_nodes, min_nodes)
        check_range(card, "extra_edges", extra_edges, 0)
        check_range(card, "num_graphs", num_graphs, 1)
        self.card = card
        self.num_nodes = torch.randint(min_nodes, max_nodes + 1, (num_graphs,), generator=generator)
        self.ptr = torch.cat([self.num_nodes.new_zeros(1), self.num_nodes.cumsum(0)])
        self.total = int(self.ptr[-1])
        child = ragged_arange(self.num_nodes - 1) + 1
        tree = torch.stack([(_uniform(child.numel(), generator) * child).long(), child])
        owner = torch.arange(num_graphs).repeat_interleave(self.num_nodes - 1)
        extra = (extra_edges * self.num_nodes).long()
        late = torch.arange(num_graphs).repeat_interleave(extra)
        ends = (torch.stack([_uniform(late.numel(), generator) for _ in range(2)]) * self.num_nodes[late]).long()
        edges = torch.cat([tree + self.ptr[owner], ends + self.ptr[late]], 1)
        self.edge_index = undirected(edges[:, edges[0] != edges[1]], self.total)

    def dataset(self, x: Tensor, value: Tensor, meta: dict, generator: torch.Generator) -> RawDataset:
        """Every node is asked for the sum of ``value`` [N] over its graph."""
        graph = expand_ptr(self.ptr)
        total = torch.zeros(self.num_nodes.numel(), dtype=torch.float64).index_add_(0, graph, value.double())
        owner = graph[self.edge_index[0]]
        store = GraphStore.from_tensors(
            num_nodes=self.num_nodes,
            num_edges=torch.bincount(owner, minlength=self.num_nodes.numel()),
            edge_index=self.edge_index - self.ptr[owner],
            node={"x": x, "y": total.float()[graph].unsqueeze(1)},
            name=self.card.name,
            task=self.card.task,
            meta=meta,
        )
        shares = {"train": 0.8, "val": 0.1, "test": 0.1}
        one_class = torch.zeros(self.num_nodes.numel(), dtype=torch.long)
        return RawDataset(store, {"random": [stratified_split(one_class, shares, generator)]})


def _uniform(size: int, generator: torch.Generator) -> Tensor:
    # In double precision, so that a number below 1 times n stays below n.
    return torch.rand(size, generator=generator, dtype=torch.float64)
