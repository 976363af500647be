"""Read pickles without ever running what is in them: an allow-list, and inert records for everything else.

Numbers, containers, numpy arrays and torch tensors are rebuilt. Instances of the few classes that
benchmark files hold (networkx graphs, scipy matrices, PyG data) become :class:`Record` objects: their
attributes, none of their code. Any other name in the file is refused.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from gnnlab.errors import IntegrityError

__all__ = ["Record", "load_pickle", "load_torch"]


class Record:
    """The attributes of a pickled instance; ``kind`` is the dotted name of the class it came from."""

    kind: str = ""


def load_pickle(source: Path | BinaryIO, *, encoding: str = "ASCII") -> Any:
    """Unpickle data, and nothing but data.

    Args:
        source: A path or an open binary file.
        encoding: How byte strings of Python 2 are decoded (``latin1`` for arrays pickled there).

    Raises:
        IntegrityError: the pickle is truncated, or names anything outside the allow-list.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return load_pickle(file, encoding=encoding)
    where = str(getattr(source, "name", "pickle"))
    try:
        return _DataUnpickler(source, encoding=encoding).load()
    except _Refused as error:
        raise IntegrityError(
            f"the pickle asks for '{error}', which is no data",
            where=where,
            hint="it is refused unread: a pickle can run any code; get the file from its original source",
        ) from None
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        message = f"not a complete pickle: {error or type(error).__name__}"
        raise IntegrityError(message, where=where, hint="delete the file and fetch it again") from error


def load_torch(source: Path | BinaryIO) -> Any:
    """``torch.load`` of tensors, numpy arrays and containers only, on the CPU.

    Raises:
        IntegrityError: the file is truncated, or holds anything else.
    """
    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            return torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise IntegrityError(
            f"not a complete file of tensors: {str(error).splitlines()[0]}",
            where=str(source),
            hint="delete the file and fetch it again; code inside such a file is never run",
        ) from error


class _Refused(Exception):
    """A name outside the allow-list."""


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = _RENAMED.get(module, module)
        dotted = f"{module}.{name}"
        if dotted in _RECORDS:
            return type(name, (Record,), {"kind": dotted})
        try:
            return _DATA[dotted]()
        except KeyError:
            raise _Refused(dotted) from None

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused(f"persistent id {pid!r}")


def _storage(content: bytes) -> Any:
    """The storage of a tensor that was pickled with plain ``pickle``; its own loader would run code."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _numpy_globals() -> list[Any]:
    """What numpy arrays are rebuilt from, under the module names of numpy 1 and 2."""
    functions = [("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer")]
    renamed = [
        (getattr(import_module(f"{_NUMPY}.{module}"), name), f"{package}.{module}.{name}")
        for module, name in functions
        for package in ("numpy.core", "numpy._core")
    ]
    return [*renamed, np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in "?bBhHiIlLqQfd")]


def _encode(text: str, encoding: str) -> bytes:
    """How old protocols spell bytes; the general function would look up any codec by name."""
    if encoding != "latin1":
        raise _Refused(f"_codecs.encode with {encoding}")
    return text.encode("latin1")


def _attribute(module: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(import_module(module), name)


def _value(value: Any) -> Callable[[], Any]:
    return lambda: value


_RENAMED = {
    "__builtin__": "builtins",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "scipy.sparse.csr": "scipy.sparse._csr",
    "scipy.sparse.csc": "scipy.sparse._csc",
    "scipy.sparse.coo": "scipy.sparse._coo",
}

_NUMPY = "numpy._core" if hasattr(np, "_core") else "numpy.core"

_CONTAINERS = (dict, list, tuple, set, frozenset, bytes, bytearray, complex, slice, range)

_DATA: dict[str, Callable[[], Any]] = {
    **{f"builtins.{cls.__name__}": _value(cls) for cls in _CONTAINERS},
    "collections.OrderedDict": _value(OrderedDict),
    "collections.defaultdict": _value(defaultdict),
    "_codecs.encode": _value(_encode),
    "numpy.ndarray": _value(np.ndarray),
    "numpy.dtype": _value(np.dtype),
    "numpy._core.multiarray._reconstruct": _attribute(f"{_NUMPY}.multiarray", "_reconstruct"),
    "numpy._core.multiarray.scalar": _attribute(f"{_NUMPY}.multiarray", "scalar"),
    "numpy._core.numeric._frombuffer": _attribute(f"{_NUMPY}.numeric", "_frombuffer"),
    "torch._utils._rebuild_tensor_v2": _attribute("torch._utils", "_rebuild_tensor_v2"),
    "torch.storage._load_from_bytes": _value(_storage),
    "torch.Size": _value(torch.Size),
}

_RECORDS = {
    "networkx.classes.graph.Graph",
    "networkx.classes.digraph.DiGraph",
    "scipy.sparse._csr.csr_matrix",
    "scipy.sparse._csc.csc_matrix",
    "scipy.sparse._coo.coo_matrix",
    "torch_geometric.data.data.Data",
}
