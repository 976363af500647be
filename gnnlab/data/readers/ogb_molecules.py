"""The ogbg-mol* datasets: from OGB's raw tables, or from the SMILES that come with them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._molecules import molecule_graphs, ogb_molecule
from gnnlab.data.readers._tables import read_column, read_frame, read_table, split_of
from gnnlab.data.store import GraphStore
from gnnlab.errors import DataError

__all__ = ["both_directions", "read_ogb_molecules", "read_ogb_smiles"]


def read_ogb_molecules(files: dict[str, Path], card: Card) -> RawDataset:
    """Read the tables ``edge``, ``edge_features``, ``node_features``, ``num_nodes``, ``num_edges``, ``labels``.

    OGB lists a bond once; both directions are stored, one after the other.
    """
    edge_index, edge_attr = both_directions(read_table(files["edge"]), read_table(files["edge_features"]))
    store = GraphStore.from_tensors(
        num_nodes=read_column(files["num_nodes"]),
        num_edges=2 * read_column(files["num_edges"]),
        edge_index=edge_index,
        node={"x": read_table(files["node_features"])},
        edge={"edge_attr": edge_attr},
        graph={"y": read_table(files["labels"]).float()},
        name=card.name,
    )
    return RawDataset(store, {"scaffold": [split_of(files)]})


def read_ogb_smiles(files: dict[str, Path], card: Card) -> RawDataset:
    """Build the graphs from ``molecules`` (OGB's mapping table), and hold them against OGB's own sizes.

    Raises:
        DataError: a molecule has not the number of atoms or bonds that OGB lists.
    """
    smiles = read_frame(files["molecules"], usecols=["smiles"])["smiles"].tolist()
    graphs = molecule_graphs(smiles, ogb_molecule, f"{card.name} from SMILES")
    _check_sizes("atoms", graphs.num_nodes, read_column(files["num_nodes"]), smiles, card)
    _check_sizes("bonds", graphs.num_edges // 2, read_column(files["num_edges"]), smiles, card)
    labels = read_table(files["labels"]).float()
    store = GraphStore.from_tensors(**graphs.tensors(), graph={"y": labels}, name=card.name)
    return RawDataset(store, {"scaffold": [split_of(files)]})


def both_directions(edges: Tensor, features: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Edges listed once [E, 2] as an ``edge_index`` [2, 2 E]: every edge, then at once its reverse."""
    edge_index = torch.stack([edges, edges.flip(1)], dim=1).view(-1, 2).t()
    return edge_index, None if features is None else features.repeat_interleave(2, dim=0)


def _check_sizes(what: str, built: Tensor, listed: Tensor, smiles: list[str], card: Card) -> None:
    if torch.equal(built, listed):
        return
    if built.numel() != listed.numel():
        raise DataError(f"{built.numel()} molecules, but OGB lists {listed.numel()}", where=f"dataset {card.name}")
    first = int((built != listed).nonzero()[0])
    raise DataError(
        f"molecule {first} has {int(built[first])} {what}, but OGB lists {int(listed[first])}",
        where=f"dataset {card.name}, SMILES {smiles[first]}",
        hint="RDKit reads this molecule differently from the version OGB used",
    )
