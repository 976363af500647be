"""Peptides-func from its SMILES, as the Long Range Graph Benchmark publishes it."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from gnnlab.data._unpickle import load_pickle
from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._molecules import molecule_graphs, ogb_molecule
from gnnlab.data.readers._tables import read_frame
from gnnlab.data.store import GraphStore

__all__ = ["read_peptides_func"]


def read_peptides_func(files: dict[str, Path], card: Card) -> RawDataset:
    """Read ``molecules`` (CSV with ``smiles`` and ``labels``) and ``split`` (pickled index arrays)."""
    table = read_frame(files["molecules"], usecols=["smiles", "labels"])
    labels = torch.tensor([json.loads(row) for row in table["labels"]], dtype=torch.float)
    graphs = molecule_graphs(table["smiles"].tolist(), ogb_molecule, "peptides from SMILES")
    store = GraphStore.from_tensors(**graphs.tensors(), graph={"y": labels}, name=card.name)
    split = load_pickle(files["split"])
    fold = {part: torch.from_numpy(split[part]).long() for part in ("train", "val", "test")}
    return RawDataset(store, {"official": [fold]})
