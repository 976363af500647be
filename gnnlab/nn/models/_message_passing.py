"""Calling any convolution: gnnlab's take a CSR, PyG's an edge_index, and each only the edge data it knows."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from torch import Tensor, nn

from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import CSR

__all__ = ["Edges", "accepted_arguments", "propagate"]


@dataclass(frozen=True)
class Edges:
    """The edges a layer works on.

    Args:
        adj: The edges as CSR.
        edge_index: [2, E], the same edges in the order of the edge data.
        attr: [E, D] edge features or states, their table, or ``None``.
        weight: [E] edge weights, or ``None``.
    """

    adj: CSR
    edge_index: Tensor
    attr: Tensor | EdgeTable | None = None
    weight: Tensor | None = None


def accepted_arguments(conv: nn.Module) -> frozenset[str]:
    """Names of ``forward`` that concern edges.

    A PyG layer built without ``edge_dim`` has no weights for edge features although its ``forward`` takes
    them, so it gets none.
    """
    names = set(inspect.signature(conv.forward).parameters)
    if getattr(conv, "edge_dim", 0) is None:
        names.discard("edge_attr")
    return frozenset(names & {"adj", "edge_attr", "edge_weight"})


def propagate(
    conv: nn.Module, accepted: frozenset[str], x: Tensor, edges: Edges
) -> tuple[Tensor, Tensor | EdgeTable | None]:
    """Node states after the convolution, and edge states (the former ones unless it returns new ones)."""
    data = {"edge_attr": edges.attr, "edge_weight": edges.weight}
    known = {name: value for name, value in data.items() if name in accepted and value is not None}
    out = conv(x, edges.adj if "adj" in accepted else edges.edge_index, **known)
    return out if isinstance(out, tuple) else (out, edges.attr)
