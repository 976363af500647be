"""What a rewiring, an encoding and a lifting have in common."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

__all__ = ["Compose", "Transform", "graph_ptr"]


@dataclass(frozen=True)
class Transform(BaseTransform):
    """A pure function from a graph (``Data``) or a disjoint union (``Batch``) to another one.

    A subclass is a frozen dataclass whose fields are its whole configuration, and implements
    :meth:`forward` on the union (a single graph is the special case; see :func:`graph_ptr`). It replaces
    attributes of the shallow copy it is given and never writes into a tensor it was handed, never
    touches the global random state (fields named ``seed`` feed a private generator), and gives the same
    bytes for the same input. Raise ``version`` when the result changes: it is part of :meth:`key`.

    Example:
        >>> @dataclass(frozen=True)
        ... class InDegree(Transform):
        ...     def forward(self, data):
        ...         ones = torch.ones(data.num_edges)
        ...         data.pe_degree = torch.zeros(data.num_nodes).index_add_(0, data.edge_index[1], ones)[:, None]
        ...         return data
        >>> InDegree()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)).pe_degree.tolist()
        [[0.0], [1.0]]
    """

    version: ClassVar[int] = 1

    def forward(self, data: Data) -> Data:
        raise NotImplementedError(f"{type(self).__name__} does not implement forward(data)")

    def check_budget(self, nodes: Tensor) -> None:
        """Raise a ``BudgetError`` where the result for graphs of ``nodes`` [G] nodes would be too large.

        A store asks before it transforms a whole dataset, chunk by chunk; most results are as large as the graph.
        """

    def key(self) -> str:
        """Content address: class, version and fields, as sixteen hexadecimal digits."""
        spec = json.dumps(self.spec(), sort_keys=True, default=repr)
        return hashlib.sha256(spec.encode()).hexdigest()[:16]

    def spec(self) -> dict[str, Any]:
        """Class, version and fields, for records and cache keys."""
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        cls = type(self)
        return {"class": f"{cls.__module__}.{cls.__qualname__}", "version": cls.version, "fields": fields}

    def __repr__(self) -> str:
        fields = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self))
        return f"{type(self).__name__}({fields})"


@dataclass(frozen=True, repr=False)
class Compose(Transform):
    """Apply transforms one after the other.

    Args:
        transforms: The steps, first one first.
    """

    transforms: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "transforms", tuple(self.transforms))

    def check_budget(self, nodes: Tensor) -> None:
        for transform in self.transforms:
            transform.check_budget(nodes)

    def forward(self, data: Data) -> Data:
        for transform in self.transforms:
            data = transform(data)
        return data


def graph_ptr(data: Data) -> Tensor:
    """[G + 1] long, first node of every graph; a ``Data`` without ``ptr`` is one graph."""
    ptr = data.get("ptr")
    if ptr is not None:
        return ptr
    device = None if data.edge_index is None else data.edge_index.device
    return torch.tensor([0, data.num_nodes], device=device)


def _plain(value: Any) -> Any:
    if isinstance(value, Transform):
        return value.spec()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value
