"""What ``gnnlab bench train`` trains: networks of the shipped experiments, their peers, and the graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.benchmark.experiment import find_experiment
from gnnlab.benchmark.speed import _pyg_models as pyg
from gnnlab.data import GraphStore, load_dataset
from gnnlab.data.card import card
from gnnlab.data.task import TaskSpec
from gnnlab.errors import SourceError
from gnnlab.nn import ATOM_CATEGORIES, BOND_CATEGORIES
from gnnlab.training.task import OptimizerFactory
from gnnlab.transform import Compose, Transform

__all__ = ["WORKLOADS", "Graphs", "Setup", "Workload", "graphs_of", "plain", "setup_of"]


@dataclass(frozen=True)
class Workload:
    """One network on one dataset.

    Args:
        experiment: The shipped experiment that says everything ``changes`` does not.
        width: Hidden channels.
        num_layers: Layers.
        peer: (width, num_layers) -> the same network of PyG's layers.
        changes: Further arguments of the experiment's network that differ.
    """

    experiment: str
    width: int
    num_layers: int
    peer: Callable[[int, int], nn.Module]
    changes: Mapping[str, Any] = field(default_factory=dict)


class Setup(NamedTuple):
    """A workload as it is trained: ``network()`` makes a new one, ``clip`` is the largest norm of the gradients."""

    dataset: str
    task: TaskSpec
    network: Callable[[], nn.Module]
    optimizer: OptimizerFactory
    transforms: tuple[Transform, ...]
    batch_size: int
    clip: float | None


class Graphs(NamedTuple):
    """Training graphs: ``index`` of a store, and where they come from."""

    store: GraphStore
    index: Tensor
    note: str


_GAT = {"class_path": "gnnlab.nn.GATConv", "init_args": {"heads": 4}}

WORKLOADS: dict[str, Workload] = {
    "gcn-235": Workload("lrgb/peptides-func/gcn", 235, 6, pyg.peptides_gcn),
    "gine-160": Workload("lrgb/peptides-func/gine", 160, 8, pyg.peptides_gine),
    "gatedgcn-95": Workload("lrgb/peptides-func/gatedgcn", 95, 10, pyg.peptides_gated_gcn),
    "zinc-gcn-64": Workload("zinc/zinc-12k/gine", 64, 4, pyg.zinc_gcn, {"conv": "gnnlab.nn.GCNConv", "residual": True}),
    "zinc-gine-64": Workload("zinc/zinc-12k/gine", 64, 4, pyg.zinc_gine),
    "zinc-gat-64": Workload("zinc/zinc-12k/gine", 64, 4, pyg.zinc_gat, {"conv": _GAT, "residual": True}),
}
"""Name on the command line -> workload."""


def setup_of(workload: Workload) -> Setup:
    """Read the experiment, with the dataset's facts from its card, as the command line does."""
    config = yaml.safe_load(find_experiment(workload.experiment).read_text(encoding="utf-8"))
    task = card(config["data"]["dataset"]).task
    network = dict(config["model"]["model"])
    size = {"hidden_channels": workload.width, "num_layers": workload.num_layers}
    facts = {"out_channels": task.out_channels, "level": task.level}
    network["init_args"] = {**network["init_args"], **workload.changes, **size, **facts}
    return Setup(
        dataset=config["data"]["dataset"],
        task=task,
        network=lambda: _built(nn.Module, network),
        optimizer=_built(OptimizerFactory, config["model"]["optimizer"]),
        transforms=tuple(_built(Transform, step) for step in config["data"].get("transforms", ())),
        batch_size=config["data"]["batch_size"],
        clip=config.get("trainer", {}).get("gradient_clip_val"),
    )


def graphs_of(setup: Setup, limit: int = 0, seed: int = 0, generated: bool = False) -> Graphs:
    """The training split or its first ``limit`` graphs; generated ones of its statistics without its files."""
    transform = Compose(setup.transforms) if setup.transforms else None
    if not generated:
        try:
            store = load_dataset(setup.dataset, transform=transform, progress=False)
            index = store.splits["train"][: limit or None]
            return Graphs(store, index, f"{index.numel()} graphs of {setup.dataset}")
        except SourceError:
            pass
    store = _molecules(_STATISTICS[setup.dataset], limit, seed)
    store = store if transform is None else store.map(transform)
    return Graphs(store, torch.arange(len(store)), f"{len(store)} generated graphs like those of {setup.dataset}")


def plain(store: GraphStore, index: Tensor) -> list[Data]:
    """The graphs as PyG's own loader takes them."""
    return [Data(**{k: v for k, v in store[i].to_dict().items() if k != "adj"}) for i in index.tolist()]


class _Statistics(NamedTuple):
    count: int
    mean: float
    std: float
    least: int
    most: int
    density: float  # bonds per atom
    node: tuple[int, ...]
    edge: tuple[int, ...]
    targets: int


_STATISTICS = {
    "peptides-func": _Statistics(10_873, 150.9, 84.2, 8, 444, 1.018, ATOM_CATEGORIES, BOND_CATEGORIES, 10),
    "zinc-12k": _Statistics(10_000, 23.15, 4.5, 9, 38, 1.076, (28,), (4,), 1),
}


def _molecules(like: _Statistics, limit: int, seed: int) -> GraphStore:
    """Chains with branches, rings to the density of bonds, and features without meaning."""
    generator = torch.Generator().manual_seed(seed)
    count = min(limit, like.count) if limit else like.count
    sizes = like.mean + like.std * torch.randn(count, generator=generator)
    sizes = sizes.round().clamp(like.least, like.most).long()
    owner = torch.repeat_interleave(sizes)
    place = torch.arange(owner.numel()) - (sizes.cumsum(0) - sizes)[owner]
    branch = torch.rand(place.shape, generator=generator) < 0.28
    back = torch.where(branch, torch.randint(2, 5, place.shape, generator=generator), 1)
    bonded = place > 0
    chains = torch.stack([(place - back).clamp(min=0), place])[:, bonded]

    rings = (sizes * like.density).round().long().sub(sizes - 1).clamp(min=0)
    closed = torch.repeat_interleave(rings)
    start = (torch.rand(closed.shape, generator=generator) * (sizes[closed] - 5).clamp(min=1)).long()
    ends = torch.stack([start, torch.minimum(start + 5, sizes[closed] - 1)])

    # Grouped by graph, both directions of a bond side by side.
    whose = torch.cat([owner[bonded], closed])
    order = torch.sort(whose, stable=True).indices
    bonds = torch.cat([chains, ends], dim=1)[:, order]
    edge_index = torch.stack([bonds, bonds.flip(0)], dim=2).flatten(1)

    def columns(rows: int, categories: tuple[int, ...]) -> Tensor:
        return torch.stack([torch.randint(n, (rows,), generator=generator) for n in categories], dim=1)

    features = columns(bonds.size(1), like.edge).repeat_interleave(2, dim=0)
    return GraphStore.from_tensors(
        num_nodes=sizes,
        num_edges=2 * torch.bincount(whose, minlength=count),
        edge_index=edge_index,
        node={"x": columns(owner.numel(), like.node)},
        edge={"edge_attr": features},
        graph={"y": torch.randint(2, (count, like.targets), generator=generator).float()},
        name="generated molecules",
    )


def _built(kind: Any, config: Any) -> Any:
    """What a piece of a configuration stands for."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--it", type=kind)
    # Recent versions of jsonargparse have given the method another name.
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    return instantiate(parser.parse_object({"it": config})).it
