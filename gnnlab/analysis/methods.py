"""The encodings of the package that depend on the graph alone, and refinements, ready to be compared."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch_geometric.data import Data

from gnnlab import encodings
from gnnlab.analysis.evidence import Evidence
from gnnlab.encodings import ElenePE, EncodingTargets, LaplacianPE, RowNormalize
from gnnlab.encodings._pairs import PairEncoding
from gnnlab.graph.graph_classes import REFINEMENTS, graph_classes, refinement_of
from gnnlab.transform import Transform

__all__ = ["Refined", "deterministic_encodings", "refinements"]

_OTHERS = (RowNormalize, EncodingTargets)
"""Transforms of the package that write no encoding of their own."""

_FIXED = ("exact", "up to sign", "up to basis")


def deterministic_encodings() -> dict[str, Transform]:
    """Every encoding the package exports, with its defaults, but those that draw at random.

    Encodings of pairs come as what they say of nodes, of edges and of all pairs.

    Example:
        >>> [name for name in deterministic_encodings() if name.startswith("R")]
        ['RRWP (nodes)', 'RRWP (edges)', 'RRWP (all pairs)', 'RandomWalkPE', ...]
    """
    rows: dict[str, Transform] = {}
    for name in encodings.__all__:
        cls = getattr(encodings, name)
        if not issubclass(cls, Transform) or issubclass(cls, _OTHERS):
            continue
        method = cls()
        if method.equivariance not in _FIXED:
            continue
        if isinstance(method, PairEncoding):
            for label, pairs in _PAIRS.items():
                rows[f"{name} ({label})"] = dataclasses.replace(method, pairs=pairs)
        else:
            rows[name] = method
    rows["ElenePE (edges)"] = ElenePE(level="edge")
    rows["LaplacianPE (k=200)"] = LaplacianPE(k=200, normalization="sym")
    return rows


_PAIRS = {"nodes": None, "edges": "edges", "all pairs": "all"}


@dataclass(frozen=True)
class Refined:
    """The classes of graphs that a refinement tells apart, which is what its networks can without any encoding.

    Node features are not read. What there is to compare are classes, so the colouring to ask for is ``"multiset"``.

    Args:
        name: Of the method in :func:`gnnlab.graph.graph_classes`.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> import torch
        >>> edge_and_node = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), ptr=torch.tensor([0, 2, 3]), num_nodes=3)
        >>> Refined("2-fwl")(edge_and_node).graph.unique().numel()
        2
    """

    name: str

    def __post_init__(self) -> None:
        refinement_of(self.name)

    def __call__(self, data: Data) -> Evidence:
        return Evidence(graph=graph_classes(data.edge_index, data.ptr, self.name)[:, None])


def refinements() -> dict[str, Refined]:
    """Every named refinement of nodes and of pairs; those of triples take minutes on graphs of 200 nodes."""
    return {name: Refined(name) for name, method in REFINEMENTS.items() if method.rows(100) <= 100**2}
