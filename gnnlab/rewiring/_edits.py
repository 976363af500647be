"""What a rewiring does to the edges of a union, as tensors, and how the attributes of the edges follow."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import expand_ptr
from gnnlab.transform import graph_ptr

__all__ = ["EdgeFill", "Edits", "apply_edits", "both_ways"]

EdgeFill: TypeAlias = float | Literal["mean"]
"""``edge_attr`` of an added edge: a constant, or the mean over the edges its graph had."""


class Edits(NamedTuple):
    """Edges that go and edges that come.

    Args:
        added: [2, A] long, new directed edges, node ids of the union.
        relation: [A] long, 0 for the first relation of the rewiring, 1 for the next, ...; all 0 by default.
        order: [A] long, from 1 in every graph, when an edge was added; by default all came first.
        removed: [E] bool, edges that are dropped; none by default.
        weight: [kept + A] float, ``edge_weight`` of the result, kept edges first; by default edges keep theirs
            and new ones weigh 1 (and without weights nothing is written).
    """

    added: Tensor
    relation: Tensor | None = None
    order: Tensor | None = None
    removed: Tensor | None = None
    weight: Tensor | None = None


def both_ways(pairs: Tensor, order: Tensor | None = None, relation: Tensor | None = None) -> Edits:
    """Edits that add undirected pairs [2, A] in both directions, ``order`` and ``relation`` [A] alike."""
    twice = [None if value is None else torch.cat([value, value]) for value in (relation, order)]
    return Edits(torch.cat([pairs, pairs.flip(0)], 1), *twice)


def apply_edits(data: Data, edits: Edits, fill: EdgeFill, relation: int) -> Data:
    """``data`` with its edges and everything that goes with an edge replaced; node and graph attributes stay.

    Edges of a graph come together: those kept in their old order, then the new ones. Written are
    ``edge_index``, ``edge_type`` (new edges ``relation`` and up), ``edge_order`` (0 for edges that were
    there, then the order of addition), ``edge_attr`` and ``edge_weight`` if there are any.
    """
    ptr = graph_ptr(data)
    before, device = data.edge_index, data.edge_index.device
    kept = torch.ones(before.size(1), dtype=torch.bool, device=device) if edits.removed is None else ~edits.removed
    edge_index = torch.cat([before[:, kept], edits.added], 1)
    owner = expand_ptr(ptr)[edge_index[0]]
    place = _grouped(owner)
    zeros = edits.added.new_zeros(edits.added.size(1))
    new = {
        "edge_type": relation + (zeros if edits.relation is None else edits.relation),
        "edge_order": zeros + 1 if edits.order is None else edits.order,
    }
    old = {key: data[key] for key in _edge_attributes(data, ptr.numel() - 1)}
    old = {key: before.new_zeros(before.size(1)) for key in new if key not in old} | old
    if edits.weight is not None:
        old.pop("edge_weight", None)
        data.edge_weight = edits.weight[place]
    for key, value in old.items():
        rows = new.get(key)
        if rows is None:
            rows = _filled(key, value, 1.0 if key == "edge_weight" else fill, before, owner[kept.sum() :], ptr)
        data[key] = torch.cat([value[kept], rows.to(value.dtype)])[place]
    data.edge_index = edge_index[:, place]
    if "adj" in data:
        del data["adj"]  # it described the edges there were
    if data.get("x") is None and "num_nodes" not in data:
        data.num_nodes = int(ptr[-1])  # no longer to be guessed from the largest endpoint
    _recount(data, {"edge_index", "edge_weight", *old}, torch.bincount(owner, minlength=ptr.numel() - 1), ptr)
    return data


def _edge_attributes(data: Data, num_graphs: int) -> list[str]:
    """Attributes with a row per edge: by name (the contract), by length where no other level has that length."""
    edges = data.edge_index.size(1)
    others = {data.num_nodes, num_graphs}
    return [
        key
        for key, value in data.to_dict().items()
        if isinstance(value, Tensor)
        and key not in ("edge_index", "y", "batch", "ptr")
        and not key.endswith("_index")
        and not key.startswith(("pe_", "path_", "pair_"))
        and value.dim()
        and value.size(0) == edges
        and (key.startswith("edge_") or edges not in others)
    ]


def _grouped(owner: Tensor) -> Tensor:
    """Stable order by owner."""
    if owner.is_cuda:
        return torch.argsort(owner, stable=True)
    # A few ascending runs, which NumPy's merge sort takes as they are: ten times as fast as sorting.
    return torch.from_numpy(np.argsort(owner.numpy(), kind="stable"))


def _filled(key: str, value: Tensor, fill: EdgeFill, edge_index: Tensor, owner: Tensor, ptr: Tensor) -> Tensor:
    """Rows of an attribute for the edges added to the graphs ``owner``."""
    categorical = not value.is_floating_point()
    if fill == "mean":
        if categorical:
            raise GraphError(
                f"the mean of '{key}' is no category (it is {value.dtype})", hint="give fill= a category, such as 0"
            )
        home = expand_ptr(ptr)[edge_index[0]]
        total = value.new_zeros(ptr.numel() - 1, *value.shape[1:]).index_add_(0, home, value)
        count = torch.bincount(home, minlength=ptr.numel() - 1).clamp(min=1)
        return (total / count.view(-1, *[1] * (value.dim() - 1)))[owner]
    if categorical and fill != int(fill):
        raise GraphError(f"'{key}' holds categories, which {fill} is not", hint="give fill= an integer")
    return value.new_full((owner.numel(), *value.shape[1:]), fill)


def _recount(data: Data, keys: set[str], counts: Tensor, ptr: Tensor) -> None:
    """PyG's own bookkeeping of a Batch, so that ``to_data_list`` finds the new edges."""
    slices = getattr(data, "_slice_dict", None)
    if slices is None:
        return
    bounds = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).cpu()
    nothing = torch.zeros(counts.numel(), dtype=torch.long)
    increments = {"edge_index": ptr[:-1].cpu()}
    keys = {key for key in keys if key in data}
    data._slice_dict = {**slices, **dict.fromkeys(keys, bounds)}
    data._inc_dict = {**data._inc_dict, **{key: increments.get(key, nothing) for key in keys}}


def check_fill(fill: EdgeFill, where: str) -> None:
    """Refuse what is neither a number nor ``"mean"``."""
    if not (fill == "mean" or isinstance(fill, (int, float))):
        raise ConfigError(f"fill must be a number or 'mean', got {fill!r}", where=where)
