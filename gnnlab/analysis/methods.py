"""The encodings of the package that depend on the graph alone, ready to be compared."""

from __future__ import annotations

import dataclasses

from gnnlab import encodings
from gnnlab.encodings import ElenePE, EncodingTargets, LaplacianPE, RowNormalize
from gnnlab.encodings._pairs import PairEncoding
from gnnlab.transform import Transform

__all__ = ["deterministic_encodings"]

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
