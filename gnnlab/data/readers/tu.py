"""The TU collection: one zip of text files per dataset (Morris et al., TUDataset, 2020)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils import coalesce, remove_self_loops

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import errica_folds, gin_folds, random_folds, stratified_folds
from gnnlab.data.readers._text import Archive, table
from gnnlab.data.readers._union import degree, one_hot, store_from_union
from gnnlab.errors import ConfigError, DataError, nearest

__all__ = ["FEATURES", "read_tu"]


def read_tu(
    files: dict[str, Path],
    card: Card,
    *,
    prefix: str,
    features: str = "labels",
    stratified: bool = False,
    random: int = 0,
) -> RawDataset:
    """Read one dataset of the TU collection with PyG's semantics.

    Labels are one-hot, self-loops are dropped, repeated edges merged, edges sorted by source; graph labels
    are numbered from 0 in their own order.

    Args:
        files: ``archive``, the zip; ``errica``, ``errica_constant``, ``gin`` (the zip in GIN's format, for
            its folds) where the card has those schemes.
        card: The dataset's card.
        prefix: What upstream calls the dataset: files are ``<prefix>_A.txt``, ...
        features: ``labels`` (one-hot node labels), ``attributes_and_labels``, or, for graphs without either,
            ``degree_one_hot`` (over the degrees that occur; the GIN paper), ``degree`` (one column; Errica et
            al.) or ``constant`` (one column of ones).
        stratified: Also compute ten stratified folds with a validation part.
        random: Also draw this many independent random splits, 80/10/10.

    Raises:
        DataError: a file that is missing or does not fit the others.
    """
    if features not in FEATURES:
        raise ConfigError(f"unknown features '{features}'", where=card.name, hint=nearest(features, FEATURES))
    source = _Source(Archive(files["archive"]), prefix)
    num_nodes = _graph_sizes(source)
    total = int(num_nodes.sum())
    edge_index = source.tensor("A").t() - 1
    if edge_index.size(0) != 2:
        raise DataError(f"an edge is two nodes, got {edge_index.size(0)} numbers", where=source.where("A"))
    edge_attr = source.described("edge", edge_index.size(1), attributes=True)
    edge_index, edge_attr = remove_self_loops(edge_index, edge_attr)
    edge_index, edge_attr = coalesce(edge_index, edge_attr, num_nodes=total)
    y = source.graph_targets(num_nodes.numel())
    store = store_from_union(
        card,
        edge_index,
        num_nodes,
        node={"x": FEATURES[features](source, edge_index, total)},
        edge={} if edge_attr is None else {"edge_attr": edge_attr},
        graph={"y": y},
    )
    splits = {role.replace("_", "-"): errica_folds(path) for role, path in files.items() if role.startswith("errica")}
    if "gin" in files:
        splits["gin"] = gin_folds(Archive(files["gin"]))
    if stratified:
        splits["stratified"] = stratified_folds(y)
    if random:
        splits["random"] = random_folds(num_nodes.numel(), random)
    return RawDataset(store, splits)


class _Source:
    """The text files of one dataset."""

    def __init__(self, archive: Archive, prefix: str) -> None:
        self.archive, self.prefix = archive, prefix

    def name(self, kind: str) -> str:
        return f"{self.prefix}_{kind}.txt"

    def where(self, kind: str) -> str:
        return self.archive.where(self.name(kind))

    def has(self, kind: str) -> bool:
        return self.name(kind) in self.archive

    def tensor(self, kind: str, dtype: type = np.int64, rows: int | None = None) -> Tensor:
        values = torch.from_numpy(table(self.archive[self.name(kind)], self.where(kind), dtype))
        if rows is not None and values.size(0) != rows:
            raise DataError(f"has {values.size(0)} rows where {rows} are expected", where=self.where(kind))
        return values

    def described(self, level: str, rows: int, *, attributes: bool) -> Tensor | None:
        """[rows, F] attributes, then one-hot labels, of nodes or edges; ``None`` if there are neither."""
        parts = []
        if attributes and self.has(f"{level}_attributes"):
            parts.append(self.tensor(f"{level}_attributes", np.float64, rows).float())
        if self.has(f"{level}_labels"):
            labels = self.tensor(f"{level}_labels", rows=rows)
            parts += [one_hot(column - column.min()) for column in labels.unbind(1)]
        return torch.cat(parts, 1) if parts else None

    def graph_targets(self, rows: int) -> Tensor:
        """[G] class numbers, or [G, T] float attributes where the task is a regression."""
        if self.has("graph_attributes"):
            return self.tensor("graph_attributes", np.float64, rows).float()
        return self.tensor("graph_labels", rows=rows)[:, 0].unique(return_inverse=True)[1]


def _graph_sizes(source: _Source) -> Tensor:
    owner = source.tensor("graph_indicator")[:, 0]
    steps = owner.diff(prepend=torch.zeros(1, dtype=torch.long))
    if ((steps != 0) & (steps != 1)).any():
        node = int(((steps != 0) & (steps != 1)).nonzero()[0])
        raise DataError(
            f"node {node + 1} belongs to graph {int(owner[node])}; graphs are numbered 1, 2, ... in order",
            where=source.where("graph_indicator"),
        )
    return torch.bincount(owner - 1)


def _described_nodes(attributes: bool) -> Callable[[_Source, Tensor, int], Tensor]:
    def features(source: _Source, edge_index: Tensor, total: int) -> Tensor:
        x = source.described("node", total, attributes=attributes)
        if x is None:
            raise DataError(
                "the nodes have neither labels nor attributes",
                where=str(source.archive.path),
                hint="choose features: degree_one_hot, degree or constant",
            )
        return x

    return features


def _degree_one_hot(source: _Source, edge_index: Tensor, total: int) -> Tensor:
    return one_hot(degree(edge_index, total).unique(return_inverse=True)[1])


def _degree(source: _Source, edge_index: Tensor, total: int) -> Tensor:
    return degree(edge_index, total).float().unsqueeze(1)


def _constant(source: _Source, edge_index: Tensor, total: int) -> Tensor:
    return torch.ones(total, 1)


FEATURES: dict[str, Callable[[_Source, Tensor, int], Tensor]] = {
    "labels": _described_nodes(attributes=False),
    "attributes_and_labels": _described_nodes(attributes=True),
    "degree_one_hot": _degree_one_hot,
    "degree": _degree,
    "constant": _constant,
}
"""How ``x`` is made: name on the card -> function of the files, the edges and the number of nodes."""
