"""Batches of few static shapes: unions to which dummy graphs were added, so that a recorded step can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch

from gnnlab.data._columns import Column
from gnnlab.data.batching import assemble
from gnnlab.data.store import GraphStore
from gnnlab.errors import ConfigError
from gnnlab.ops import CSR
from gnnlab.typing import Level

__all__ = ["Buckets", "assemble_padded"]

_STEP, _ALIGNED, _CROWD = 0.04, 8, 4


@dataclass(frozen=True)
class Buckets:
    """The lengths batches are padded to: every level the same multiple of its own unit, so that few shapes occur.

    Nodes and edges of a batch grow together, so one multiple serves all levels. A unit is 4 % of the mean full
    batch, or its standard deviation where that is more: batches then fall into six or seven shapes, and half a
    unit is wasted on average. The number of graphs is always the same.

    Args:
        graphs: Graphs of a padded batch, at least one of them a dummy.
        units: Level to the rows its lengths are multiples of, before they are rounded up to multiples of 8.

    Example:
        >>> Buckets(graphs=8, units={"node": 38.5, "edge": 77.0}).lengths({"graph": 4, "node": 70, "edge": 165})
        {'graph': 8, 'node': 120, 'edge': 232}
    """

    graphs: int
    units: dict[Level, float]

    @classmethod
    def plan(cls, store: GraphStore, index: Tensor, batch_size: int) -> Buckets:
        """Buckets for batches of ``batch_size`` graphs drawn from the graphs ``index`` of ``store``."""
        full = min(batch_size, index.numel())
        totals, spread = {}, _STEP
        for level, layout in store.layouts.items():
            sizes = layout.sizes[index].double()
            totals[level] = full * float(sizes.mean())
            if sizes.numel() > 1 and totals[level]:
                spread = max(spread, full**0.5 * float(sizes.std()) / totals[level])
        units = {level: max(1.0, spread * total) for level, total in totals.items() if level != "graph"}
        return cls(_aligned(full + 1), units)

    def lengths(self, totals: Mapping[Level, int]) -> dict[Level, int]:
        """Padded length of every level; all of them differ, so a length tells its level.

        Every level gets at least one padding row, and enough nodes that the padding edges make none a hub.
        """
        multiple = max(int(totals[level] // unit) + 1 for level, unit in self.units.items())
        while self._crowded(multiple, totals):
            multiple += 1
        lengths = {"graph": self.graphs}
        for level, unit in self.units.items():
            length = _aligned(multiple * unit)
            while length in lengths.values():
                length += _ALIGNED
            lengths[level] = length
        return lengths

    def _crowded(self, multiple: int, totals: Mapping[Level, int]) -> bool:
        """Whether padding rows of some level outnumber padding nodes far more than real rows do real nodes."""
        nodes = (multiple * self.units["node"] - totals["node"]) / self.units["node"]
        return any(multiple * unit - totals[level] > _CROWD * nodes * unit for level, unit in self.units.items())


def assemble_padded(store: GraphStore, index: Tensor, buckets: Buckets) -> Batch:
    """The union of the graphs ``index`` [B] and of dummy graphs that fill it up to lengths of ``buckets``.

    Real rows come first, in the order of the unpadded batch. The dummy graphs share the padding nodes evenly, the
    padding nodes the padding edges, which are loops: nothing reaches a real row. Padded targets ``y`` are
    unlabelled, masks ``False``, everything else is 0. ``batch.padding`` says what is real: padded length of a level
    -> 0-d tensor, its number of real rows. Nothing synchronises with the device.

    Raises:
        ConfigError: an attribute that cannot be padded: boolean targets, or one that counts what is no level.
    """
    totals = {level: int(layout.sizes[index].sum()) for level, layout in store.layouts.items()}
    lengths = buckets.lengths(totals)
    extra = {level: lengths[level] - totals[level] for level in totals}
    device = store.device
    batch = assemble(store, index)
    for key, column in store.columns.items():
        values, rows = batch[key], extra[column.level]
        shape = list(values.shape)
        shape[column.cat_dim] = rows
        if column.indexes is not None:
            counted = totals[column.indexes] + _owners(extra[column.indexes], rows, device)
            filler = counted.view([-1 if dim == column.cat_dim else 1 for dim in range(values.dim())]).expand(shape)
        else:
            filler = values.new_full((1,) * values.dim(), _fill_value(key, column)).expand(shape)
        batch[key] = torch.cat([values, filler.to(values.dtype)], column.cat_dim)
    graphs, nodes = extra["graph"], extra["node"]
    batch.ptr = torch.cat([batch.ptr, totals["node"] + _ends(graphs, nodes, device)])
    batch.batch = torch.cat([batch.batch, totals["graph"] + _owners(graphs, nodes, device)])
    if "edge" in totals:
        batch.adj = _padded_adjacency(batch.adj, nodes, extra["edge"])
    counts = torch.tensor([totals[level] for level in lengths]).to(device, non_blocking=True)
    batch.padding = dict(zip(lengths.values(), counts, strict=True))
    batch._num_graphs = lengths["graph"]
    # Dummy graphs are no examples: the batch cannot be taken apart again.
    del batch._slice_dict, batch._inc_dict
    return batch


def _padded_adjacency(adj: CSR, nodes: int, edges: int) -> CSR:
    ends = (adj.num_edges + _ends(nodes, edges, adj.device)).int()
    loops = (adj.num_nodes + _owners(nodes, edges, adj.device)).int()
    slots = torch.arange(adj.num_edges, adj.num_edges + edges, dtype=torch.int32, device=adj.device)
    pairs = ((adj.ptr, ends), (adj.src, loops), (adj.ptr_t, ends), (adj.dst, loops), (adj.eid_t, slots))
    return CSR(*(torch.cat(pair) for pair in pairs))


def _ends(parts: int, rows: int, device: torch.device) -> Tensor:
    """[parts] end of every part where ``rows`` rows are shared evenly."""
    return torch.arange(1, parts + 1, device=device).mul_(rows).div_(parts, rounding_mode="floor")


def _owners(parts: int, rows: int, device: torch.device) -> Tensor:
    """[rows] the part every row belongs to, as in :func:`_ends`."""
    return torch.arange(1, rows + 1, device=device).mul_(parts).sub_(1).div_(rows, rounding_mode="floor")


def _fill_value(key: str, column: Column) -> float | int:
    if column.increment is not None:
        raise ConfigError(f"batches with '{key}' cannot be padded: it counts something that is no level")
    if key != "y":
        return 0
    if column.dtype == torch.bool:
        raise ConfigError("boolean targets 'y' cannot be padded", hint="store them as integers, where -1 is unlabelled")
    return float("nan") if column.dtype.is_floating_point else -1


def _aligned(size: float) -> int:
    """At least ``size``, and a multiple of what matrix products like."""
    return max(1, -int(-size // _ALIGNED)) * _ALIGNED
