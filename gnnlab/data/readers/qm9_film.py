"""QM9 in the JSON lines of GNN-FiLM: normalised targets, no coordinates."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.store import GraphStore
from gnnlab.errors import DataError, IntegrityError

__all__ = ["read_qm9_film"]

_CHARGE = 6
"""Column of the partial charge."""

_PARTS = ("train", "valid", "test")


def read_qm9_film(files: dict[str, Path], card: Card, *, held_out: int = 1000, charges: bool = False) -> RawDataset:
    """Read ``valid`` and ``test``, and ``train`` where there is one: gzipped JSON lines, a molecule each.

    ``x`` is, per atom, the element (one-hot over H, C, N, O, F), the atomic number and, after the partial charge, eight
    chemical features; ``edge_attr`` the bond one-hot (single, double, triple, aromatic), both ways; ``y`` the 13
    targets, normalised by whoever made the files.

    The split ``official`` is that of the files. Without ``train`` there is ``partial`` instead, ours: training on the
    molecules of ``valid`` but the last ``held_out``, which are for validation; the test part is the official one.

    Args:
        files: Roles above.
        card: The dataset.
        held_out: Molecules of ``valid`` that remain for validation.
        charges: Keep the partial charges, which are results of the calculation that gave the targets.

    Raises:
        IntegrityError: a file that is not gzipped JSON lines.
        DataError: fewer molecules than are held out.
    """
    found = {part: _lines(files[part]) for part in _PARTS if part in files}
    counts = [len(molecules) for molecules in found.values()]
    index = dict(zip(found, torch.arange(sum(counts)).split(counts), strict=True))
    molecules = [molecule for part in found.values() for molecule in part]
    x = torch.tensor([row for molecule in molecules for row in molecule["node_features"]], dtype=torch.float)
    kept = [column for column in range(x.size(1)) if charges or column != _CHARGE]
    edges = [_bonds(molecule["graph"]) for molecule in molecules]
    bonds = torch.cat(edges)
    store = GraphStore.from_tensors(
        num_nodes=torch.tensor([len(molecule["node_features"]) for molecule in molecules]),
        num_edges=torch.tensor([len(part) for part in edges]),
        edge_index=bonds[:, :2].t().contiguous(),
        node={"x": x[:, kept]},
        edge={"edge_attr": torch.nn.functional.one_hot(bonds[:, 2] - 1, 4).float()},
        graph={"y": torch.tensor([molecule["targets"] for molecule in molecules], dtype=torch.float).flatten(1)},
        name=card.name,
    )
    if "train" in index:
        fold = {"train": index["train"], "val": index["valid"], "test": index["test"]}
        return RawDataset(store, {"official": [fold]})
    rest = len(index["valid"]) - held_out
    if rest < 1:
        raise DataError(f"{held_out} of {len(index['valid'])} molecules cannot be held out", where=str(files["valid"]))
    train, val = index["valid"].split([rest, held_out])
    return RawDataset(store, {"partial": [{"train": train, "val": val, "test": index["test"]}]})


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise IntegrityError(f"not gzipped JSON lines: {error}", where=str(path)) from error


def _bonds(rows: list[list[int]]) -> Tensor:
    """[2 b, 3] source, target and type (from 1) of every bond both ways, from rows (atom, type, atom)."""
    one_way = torch.tensor(rows, dtype=torch.long).view(-1, 3)[:, [0, 2, 1]]
    both = torch.cat([one_way, one_way[:, [1, 0, 2]]])
    return both[torch.argsort(both[:, 0], stable=True)]
