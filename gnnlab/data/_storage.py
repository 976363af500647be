"""Stores on disk: one safetensors file of columns, one JSON manifest written last. No pickle."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pooch
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.data._adjacency import LocalCSR
from gnnlab.data._columns import Column, Layout
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError, IntegrityError

if TYPE_CHECKING:
    from gnnlab.data.store import GraphStore

__all__ = ["load", "save"]

FORMAT = 1
_TENSORS, _MANIFEST = "columns.safetensors", "store.json"


def save(store: GraphStore, path: Path) -> None:
    """Write beside the target, flush to disk, then rename: a reader sees the whole store or none."""
    if store.data_class is not Data:
        raise DataError(
            f"a store of {store.data_class.__name__} cannot be saved: its joining rules are code",
            where=store.name or None,
            hint="keep it in memory, or convert the graphs to torch_geometric.data.Data",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        save_file({k: v.cpu().contiguous() for k, v in _tensors(store).items()}, scratch / _TENSORS)
        manifest = _manifest(store) | {"sha256": _digest(scratch / _TENSORS)}
        (scratch / _MANIFEST).write_text(json.dumps(manifest, indent=1))
        for name in (_TENSORS, _MANIFEST):
            _flush(scratch / name)
        scratch.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def load(cls: type[GraphStore], path: Path) -> GraphStore:
    """Read and verify; the tensors stay mapped to the file."""
    manifest_path, tensors_path = path / _MANIFEST, path / _TENSORS
    if not manifest_path.is_file():
        raise IntegrityError("no saved store here", where=str(path), hint=f"a store is a directory with {_MANIFEST}")
    try:
        manifest = json.loads(manifest_path.read_text())
    except json.JSONDecodeError as error:
        raise IntegrityError("the manifest is not JSON", where=str(manifest_path), hint=_REBUILD) from error
    if manifest.get("format") != FORMAT:
        found = manifest.get("format")
        raise IntegrityError(f"store format {found}, this version reads {FORMAT}", where=str(path), hint=_REBUILD)
    if not tensors_path.is_file() or _digest(tensors_path) != manifest["sha256"]:
        raise IntegrityError("the columns are not the ones that were saved", where=str(tensors_path), hint=_REBUILD)
    return _restore(cls, manifest, load_file(tensors_path))


_REBUILD = "delete the directory; it is rebuilt from the source on the next use"


def _tensors(store: GraphStore) -> dict[str, Tensor]:
    tensors = {f"column/{key}": column.data for key, column in store.columns.items()}
    tensors |= {f"increment/{k}": c.increment for k, c in store.columns.items() if c.increment is not None}
    tensors |= {f"sizes/{level}": layout.sizes for level, layout in store.layouts.items() if level != "graph"}
    # Copies: folds often share an index, and the format refuses tensors that share memory.
    tensors |= {f"split/{key}": index.clone() for key, index in store.splits.items()}
    for scheme, folds in store.folds.items():
        for i, fold in enumerate(folds):
            tensors |= {f"fold/{scheme}/{i}/{key}": index.clone() for key, index in fold.items()}
    if store.adjacency is not None:
        tensors["adjacency/row_starts"] = store.adjacency.row_starts
        tensors["adjacency/transposed"] = store.adjacency.transposed
    return tensors


def _manifest(store: GraphStore) -> dict[str, Any]:
    columns = {
        key: {
            "level": column.level,
            "dtype": str(column.dtype).removeprefix("torch."),
            "indexes": column.indexes,
            "cat_dim": column.cat_dim,
        }
        for key, column in store.columns.items()
    }
    manifest = {
        "format": FORMAT,
        "name": store.name,
        "graphs": len(store),
        "task": store.task and store.task.to_dict(),
        "columns": columns,
        "folds": {scheme: len(folds) for scheme, folds in store.folds.items()},
        "extras": store.extras,
        "meta": store.meta,
    }
    try:
        json.dumps(manifest)
    except TypeError as error:
        raise ConfigError(f"extras and meta must be JSON values: {error}", where=store.name or None) from error
    return manifest


def _restore(cls: type[GraphStore], manifest: dict[str, Any], tensors: dict[str, Tensor]) -> GraphStore:
    columns = {
        key: Column(
            tensors[f"column/{key}"],
            spec["level"],
            getattr(torch, spec["dtype"]),
            spec["indexes"],
            tensors.get(f"increment/{key}"),
            spec["cat_dim"],
        )
        for key, spec in manifest["columns"].items()
    }
    layouts = {k.removeprefix("sizes/"): Layout.from_sizes(v) for k, v in tensors.items() if k.startswith("sizes/")}
    layouts["graph"] = Layout.from_sizes(torch.ones(manifest["graphs"], dtype=torch.long))
    splits = {k.removeprefix("split/"): v for k, v in tensors.items() if k.startswith("split/")}
    folds: dict[str, list[dict[str, Tensor]]] = {s: [{} for _ in range(n)] for s, n in manifest["folds"].items()}
    for key, index in tensors.items():
        if key.startswith("fold/"):
            scheme, number, part = key.removeprefix("fold/").rsplit("/", 2)
            folds[scheme][int(number)][part] = index
    adjacency = None
    if "adjacency/row_starts" in tensors:
        adjacency = LocalCSR(tensors["adjacency/row_starts"], tensors["adjacency/transposed"])
    return cls(
        columns,
        layouts,
        name=manifest["name"],
        task=TaskSpec(**manifest["task"]) if manifest["task"] else None,
        splits=splits,
        folds=folds,
        extras=manifest["extras"],
        meta=manifest["meta"],
        adjacency=adjacency,
    )


def _digest(path: Path) -> str:
    return pooch.file_hash(str(path), alg="sha256")


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
