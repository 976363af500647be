"""The adjacency every kernel reads: compressed rows of incoming edges, and the transpose."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._debug import debugging, free_to_look
from gnnlab.ops._ragged import check_size, iota, row_pointers

__all__ = ["CSR", "as_csr"]


class CSR:
    r"""Edges of a graph grouped by destination, together with the same edges grouped by source.

    Row ``v`` holds the edges :math:`u \to v`: their sources are ``src[ptr[v]:ptr[v + 1]]``. The transposed
    pair ``(ptr_t, dst)`` groups the same edges by source and serves the backward pass of every kernel, so
    no kernel ever needs an atomic. Immutable; build it once per batch, or let the store deliver it.

    Edge data (weights, features) always stays in the caller's edge order: ``eid`` maps a slot of the
    destination-sorted layout to the caller's edge, ``eid_t`` a slot of the source-sorted layout.

    Args:
        ptr: [N + 1] int32, first slot of every destination row.
        src: [E] int32, source node of every slot.
        ptr_t: [N + 1] int32, first slot of every source row.
        dst: [E] int32, destination node of every transposed slot.
        eid_t: [E] int32, caller's edge of every transposed slot.
        eid: [E] int32, caller's edge of every slot; ``None`` if the caller's edges are destination-sorted.

    Raises:
        GraphError: tensors of other dtypes, lengths or devices; with ``GNNLAB_DEBUG=1`` also pointers that
            descend, indices out of range, and orders that are no permutation.

    Example:
        >>> adj = CSR.from_edge_index(torch.tensor([[0, 1, 2], [1, 0, 0]]), num_nodes=3)
        >>> adj.ptr.tolist(), adj.src.tolist()
        ([0, 2, 3, 3], [1, 2, 0])
    """

    __slots__ = ("_memo", "dst", "eid", "eid_t", "ptr", "ptr_t", "src")

    def __init__(
        self, ptr: Tensor, src: Tensor, ptr_t: Tensor, dst: Tensor, eid_t: Tensor, eid: Tensor | None = None
    ) -> None:
        _check_fields(ptr, src, ptr_t, dst, eid_t, eid)
        fields = {
            "ptr": ptr,
            "src": src,
            "ptr_t": ptr_t,
            "dst": dst,
            "eid_t": eid_t,
            "eid": eid,
            "_memo": {},
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"CSR is immutable; build a new one instead of setting '{name}'")

    @classmethod
    def from_edge_index(cls, edge_index: Tensor, num_nodes: int) -> CSR:
        """Sort the edges both ways (stable, so equal endpoints keep the caller's order).

        Args:
            edge_index: [2, E] integer; source row 0, target row 1.
            num_nodes: N.

        Raises:
            GraphError: wrong shape or dtype, more than 2^31 - 1 nodes or edges, or (on the CPU, where
                looking costs no synchronisation, or if ``GNNLAB_DEBUG=1``) an endpoint outside
                ``[0, num_nodes)``.
        """
        _check(edge_index, num_nodes)
        src, dst = edge_index[0], edge_index[1]
        by_dst, eid = torch.sort(dst, stable=True)
        by_src, eid_t = torch.sort(src, stable=True)
        ptr, ptr_t = row_pointers(by_dst, num_nodes), row_pointers(by_src, num_nodes)
        return cls(ptr, src[eid].int(), ptr_t, dst[eid_t].int(), eid_t.int(), eid.int())

    @property
    def num_nodes(self) -> int:
        return self.ptr.numel() - 1

    @property
    def num_edges(self) -> int:
        return self.src.numel()

    @property
    def device(self) -> torch.device:
        return self.ptr.device

    @property
    def rows(self) -> Tensor:
        """[E] int32, destination of every slot (computed once, kept)."""
        return self.memo("rows", lambda: _expand(self.ptr, self.num_edges))

    @property
    def degree(self) -> Tensor:
        """[N] int32, number of incoming edges of every node."""
        return self.ptr.diff()

    @property
    def edge_index(self) -> Tensor:
        """[2, E] long, in the caller's edge order."""
        index = torch.stack([self.src, self.rows]).long()
        if self.eid is None:
            return index
        return torch.empty_like(index).index_copy_(1, self.eid.long(), index)

    def memo(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """What ``compute`` returned the first time: facts of the graph alone that every layer asks for again.

        While ``torch.compile`` traces nothing is kept, because a traced value does not outlive the trace.
        """
        if torch.compiler.is_compiling():
            return compute()
        if key not in self._memo:
            # A batch may be seen by inference_mode first, whose tensors no later gradient could use.
            with torch.inference_mode(False), torch.no_grad():
                self._memo[key] = compute()
        return self._memo[key]

    def t(self) -> CSR:
        """The reversed graph; edge data keeps its order."""
        eid = self.eid
        if eid is None:
            eid = torch.arange(self.num_edges, dtype=torch.int32, device=self.device)
        return CSR(self.ptr_t, self.dst, self.ptr, self.src, eid, self.eid_t)

    def to(self, *args: Any, **kwargs: Any) -> CSR:
        """Move every tensor; accepts what ``Tensor.to`` accepts except a dtype."""
        return self._map(lambda t: t.to(*args, **kwargs))

    def pin_memory(self) -> CSR:
        return self._map(Tensor.pin_memory)

    def _map(self, function: Any) -> CSR:
        fields = (self.ptr, self.src, self.ptr_t, self.dst, self.eid_t, self.eid)
        return CSR(*[None if field is None else function(field) for field in fields])

    def __reduce__(self) -> tuple:
        return CSR, (self.ptr, self.src, self.ptr_t, self.dst, self.eid_t, self.eid)

    def __repr__(self) -> str:
        return f"CSR(num_nodes={self.num_nodes}, num_edges={self.num_edges}, device='{self.device}')"


def as_csr(adj: CSR | Tensor, num_nodes: int) -> CSR:
    """``adj`` itself if it is a :class:`CSR`, else one built from the ``edge_index`` [2, E]."""
    return adj if isinstance(adj, CSR) else CSR.from_edge_index(adj, num_nodes)


def _expand(ptr: Tensor, num_edges: int) -> Tensor:
    return torch.repeat_interleave(iota(ptr.numel() - 1, ptr), ptr.diff(), output_size=num_edges)


def _check_fields(ptr: Tensor, src: Tensor, ptr_t: Tensor, dst: Tensor, eid_t: Tensor, eid: Tensor | None) -> None:
    if torch.compiler.is_compiling():
        return
    pointers = {"ptr": ptr, "ptr_t": ptr_t}
    slots = {"src": src, "dst": dst, "eid_t": eid_t} | ({} if eid is None else {"eid": eid})
    for name, tensor in {**pointers, **slots}.items():
        if tensor.dtype != torch.int32 or tensor.dim() != 1:
            raise GraphError(f"{name} of a CSR must be an int32 vector, got {list(tensor.shape)} of {tensor.dtype}")
        if tensor.device != ptr.device:
            raise GraphError(f"{name} of a CSR is on {tensor.device}, ptr on {ptr.device}")
        wanted = ptr.size(0) if name in pointers else src.size(0)
        if tensor.size(0) != wanted or ptr.size(0) == 0:
            raise GraphError(f"{name} of a CSR has {tensor.size(0)} elements, expected {max(wanted, 1)}")
    if debugging():
        _check_values(pointers, slots)


def _check_values(pointers: dict[str, Tensor], slots: dict[str, Tensor]) -> None:
    num_nodes, num_edges = len(pointers["ptr"]) - 1, len(slots["src"])
    for name, ptr in pointers.items():
        if int(ptr[0]) != 0 or int(ptr[-1]) != num_edges or bool((ptr.diff() < 0).any()):
            raise GraphError(f"{name} of a CSR must run from 0 to {num_edges} without descending")
    for name, index in slots.items():
        orders = name.startswith("eid")
        end = num_edges if orders else num_nodes
        if num_edges and not (int(index.min()) >= 0 and int(index.max()) < end):
            raise GraphError(f"{name} of a CSR holds an index outside 0 to {end - 1}")
        if orders and index.unique().numel() != num_edges:
            raise GraphError(f"{name} of a CSR must name every edge once")


def _check(edge_index: Tensor, num_nodes: int) -> None:
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.is_floating_point():
        raise GraphError(
            f"edge_index must be an integer tensor of shape [2, E], got {list(edge_index.shape)} of {edge_index.dtype}"
        )
    check_size(num_nodes, "nodes")
    check_size(edge_index.size(1), "edges")
    if edge_index.numel() and free_to_look(edge_index):
        low, high = (int(bound) for bound in torch.aminmax(edge_index))
        if low < 0 or high >= num_nodes:
            bad = low if low < 0 else high
            raise GraphError(f"edge_index holds node {bad}, but the graph has {num_nodes} nodes (0 to {num_nodes - 1})")
