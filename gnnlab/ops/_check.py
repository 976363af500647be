"""What every operation checks before a kernel runs: dtypes, devices, lengths."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from gnnlab.errors import BackendError, ConfigError, GraphError, nearest
from gnnlab.ops._debug import free_to_look
from gnnlab.ops._layout import Layout, layout_of
from gnnlab.ops.csr import CSR, as_csr

__all__ = ["check_index", "check_name", "check_ptr", "edge_layout", "node_layout", "same_kind"]

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def same_kind(**tensors: Tensor) -> list[Tensor]:
    """The tensors, checked to be of one floating dtype on one device.

    Under autocast they are cast to the widest of their dtypes, as torch's own promoting operators do.
    Custom operators have no forward-mode derivative, and torch would take it for zero: refused here.
    """
    first_name, first = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise GraphError(f"{name} must be a floating tensor, got {tensor.dtype}", hint=f"pass {name}.float()")
        if tensor.dim() == 0:
            raise GraphError(f"{name} must have one row per node or edge, got a scalar")
        if tensor.device != first.device:
            raise GraphError(f"{name} is on {tensor.device}, {first_name} on {first.device}")
        if not torch.compiler.is_compiling() and unpack_dual(tensor).tangent is not None:
            raise BackendError(
                f"{name} carries a forward-mode tangent, which no kernel propagates",
                hint="torch.autograd.functional.jvp computes the same product in reverse mode",
            )
    if _autocasts(first.device.type):
        widest = first.dtype
        for tensor in tensors.values():
            widest = torch.promote_types(widest, tensor.dtype)
        return [tensor.to(widest) for tensor in tensors.values()]
    for name, tensor in tensors.items():
        if tensor.dtype != first.dtype:
            raise GraphError(
                f"{name} is {tensor.dtype}, {first_name} is {first.dtype}", hint="cast one of them, or use autocast"
            )
    return list(tensors.values())


def node_layout(adj: CSR | Tensor, **nodes: Tensor) -> Layout:
    """The layout of ``adj``, checked to have one node per row of each tensor."""
    name, first = next(iter(nodes.items()))
    graph = as_csr(adj, first.size(0))
    for name, tensor in nodes.items():
        if tensor.size(0) != graph.num_nodes:
            raise GraphError(f"{name} has {tensor.size(0)} rows, but the graph has {graph.num_nodes} nodes")
    if graph.device != first.device:
        raise GraphError(f"the graph is on {graph.device}, {name} on {first.device}", hint="move one of them")
    return layout_of(graph)


def edge_layout(layout: Layout, **edges: Tensor) -> Layout:
    """The layout itself, checked to have one edge per row of each tensor."""
    for name, tensor in edges.items():
        if tensor.size(0) != layout.num_edges:
            raise GraphError(f"{name} has {tensor.size(0)} rows, but the graph has {layout.num_edges} edges")
        if tensor.device != layout.ptr.device:
            raise GraphError(f"the graph is on {layout.ptr.device}, {name} on {tensor.device}")
    return layout


def check_index(index: Tensor, num_rows: int, like: Tensor, name: str = "index") -> None:
    """``index`` is a vector of integers in ``[0, num_rows)`` (looked at where :func:`free_to_look`) beside ``like``."""
    _check_vector(name, index, like)
    if index.numel() and free_to_look(index):
        low, high = (int(bound) for bound in torch.aminmax(index))
        if low < 0 or high >= num_rows:
            raise GraphError(f"{name} holds {low if low < 0 else high}, outside 0 to {num_rows - 1}")


def check_ptr(ptr: Tensor, total: int, like: Tensor) -> None:
    """``ptr`` runs from 0 to ``total`` without descending (looked at where :func:`free_to_look`)."""
    _check_vector("ptr", ptr, like)
    if ptr.numel() == 0:
        raise GraphError("ptr must hold at least one element")
    if free_to_look(ptr) and (int(ptr[0]) != 0 or int(ptr[-1]) != total or bool((ptr.diff() < 0).any())):
        raise GraphError(f"ptr must run from 0 to {total} without descending, got {_shorten(ptr)}")


def check_name(kind: str, name: str, known: dict[str, object]) -> None:
    if name not in known:
        raise ConfigError(f"unknown {kind} '{name}'", hint=nearest(str(name), known))


def _check_vector(name: str, vector: Tensor, like: Tensor) -> None:
    if vector.dim() != 1 or vector.dtype not in (torch.int32, torch.int64):
        raise GraphError(f"{name} must be a vector of integers, got {list(vector.shape)} of {vector.dtype}")
    if vector.device != like.device:
        raise GraphError(f"{name} is on {vector.device}, the rows on {like.device}")


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _shorten(vector: Tensor) -> str:
    return str(vector.tolist()) if vector.numel() <= 8 else f"{vector[:4].tolist()} ... {vector[-4:].tolist()}"
