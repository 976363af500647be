"""New nodes for the graphs of a union, and how everything that counts nodes follows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.ops import expand_ptr
from gnnlab.transform import graph_ptr

__all__ = ["add_nodes"]

_STRUCTURE = ("batch", "ptr", "adj", "num_nodes", "node_type")


def add_nodes(data: Data, counts: Tensor) -> tuple[Data, Tensor]:
    """``data`` with ``counts`` [G] more nodes, and their ids [sum of counts] in the new union.

    They come at the end of their graph, so graphs stay contiguous and the nodes there were keep the numbers they
    have within it. They are told apart by ``node_type`` (0 = original, 1 = new, written even where none is
    added), have no edges, are unlabelled in a ``y`` of nodes, in no split, and zero in every other attribute: the
    first category, the origin, no encoding. Attributes of nodes and of the structure are replaced in ``data``,
    their tensors are not written to.

    A ``y`` that could be one of nodes or of graphs, because every graph has a single node, is taken for one of graphs.

    Raises:
        GraphError: a ``y`` of nodes whose dtype has no value for unlabelled.
    """
    ptr = graph_ptr(data)
    graph = expand_ptr(ptr)
    begins = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    new_ptr, place = ptr + begins, torch.arange(graph.numel(), device=ptr.device) + begins[graph]
    total = int(new_ptr[-1])
    owner = expand_ptr(begins)
    added = ptr[1:][owner] + torch.arange(owner.numel(), device=ptr.device)
    replaced = {key: _spread(key, data[key], place, total) for key in _node_attributes(data, ptr)}
    replaced |= {key: place[data[key]] for key in data.to_dict() if _indexes_nodes(key)}
    kind = data.get("node_type")
    replaced["node_type"] = _spread("node_type", torch.zeros_like(graph) if kind is None else kind, place, total)
    replaced["node_type"][added] = 1
    if "ptr" in data:
        replaced |= {"ptr": new_ptr, "batch": expand_ptr(new_ptr, total)}
    if "num_nodes" in data:
        replaced["num_nodes"] = total
    if "adj" in data:
        del data["adj"]  # it has a row per node
    for key, value in replaced.items():
        data[key] = value
    _recount(data, replaced, new_ptr)
    return data, added


def _node_attributes(data: Data, ptr: Tensor) -> list[str]:
    """Attributes with a row per node: by name (the contract), then by the rows of every graph, then by length."""
    nodes, graphs = int(ptr[-1]), ptr.numel() - 1
    slices = getattr(data, "_slice_dict", None) or {}
    found = []
    for key, value in data.to_dict().items():
        if key in _STRUCTURE or key.startswith("edge_") or _indexes_nodes(key):
            continue
        if not isinstance(value, Tensor) or value.dim() == 0 or value.size(0) != nodes:
            continue
        named = key in ("x", "pos") or key.startswith("pe_") or key.endswith("_mask")
        fitting = key not in slices or torch.equal(slices[key].to(ptr), ptr)
        if named or (fitting and (key != "y" or nodes != graphs)):
            found.append(key)
    return found


def _indexes_nodes(key: str) -> bool:
    return key.endswith("index") or key.startswith("path_")


def _spread(key: str, value: Tensor, place: Tensor, total: int) -> Tensor:
    """Rows at their new places, the rest filled."""
    return value.new_full((total, *value.shape[1:]), _fill(key, value)).index_copy_(0, place, value)


def _fill(key: str, value: Tensor) -> float | int:
    if key != "y":
        return 0
    if value.is_floating_point():
        return float("nan")
    if value.dtype == torch.bool or not torch.iinfo(value.dtype).min:
        raise GraphError(f"'y' of nodes is {value.dtype}, where nothing means unlabelled", hint="use a signed integer")
    return -1


def _recount(data: Data, keys: dict[str, object], ptr: Tensor) -> None:
    """PyG's own bookkeeping of a Batch, so that ``to_data_list`` finds the new nodes."""
    slices = getattr(data, "_slice_dict", None)
    if slices is None:
        return
    bounds, nothing = ptr.cpu(), torch.zeros(ptr.numel() - 1, dtype=torch.long)
    rows = {key for key in keys if key not in ("ptr", "batch", "num_nodes") and not _indexes_nodes(key)}
    indices = {key for key in keys if _indexes_nodes(key)}
    data._slice_dict = {**slices, **dict.fromkeys(rows, bounds)}
    data._inc_dict = {**data._inc_dict, **dict.fromkeys(rows, nothing), **dict.fromkeys(indices, bounds[:-1])}
    if "num_nodes" in keys:
        data._num_nodes = bounds.diff().tolist()
