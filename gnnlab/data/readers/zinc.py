"""ZINC: the benchmark's own graphs where they could be had, graphs rebuilt from SMILES elsewhere."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from gnnlab.data._unpickle import Record, load_pickle
from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._molecules import MoleculeGraphs, molecule_graphs, molecule_values, zinc_molecule
from gnnlab.data.readers._tables import read_frame
from gnnlab.data.store import GraphStore

__all__ = ["penalised_log_p", "read_zinc_full", "read_zinc_pickles", "read_zinc_subset"]

_PARTS = ("train", "val", "test")

# y = a log P - b SA - c max(longest cycle - 6, 0) + d, fitted on the benchmark's 2,000 validation and test targets.
_COEFFICIENTS = (0.6976317999, 1.1981675997, 3.4751391674)
_OFFSET = 2.1118299751


def read_zinc_subset(files: dict[str, Path], card: Card) -> RawDataset:
    """ZINC-12k: validation and test graphs as published, training graphs rebuilt.

    Reads ``train`` (SMILES), ``train_targets`` (CSV), ``val`` and ``test`` (pickled lists of networkx graphs).
    """
    train = molecule_graphs(_lines(files["train"]), zinc_molecule, "ZINC from SMILES")
    derived = torch.tensor(read_frame(files["train_targets"], usecols=["y"])["y"].to_numpy()).float()
    val, test = (_networkx_graphs(files[part]) for part in ("val", "test"))
    graphs = [train, val[0], test[0]]
    store = GraphStore.from_tensors(
        **_joined(graphs).tensors(), graph={"y": torch.cat([derived, val[1], test[1]]).view(-1, 1)}, name=card.name
    )
    return RawDataset(store, _official([part.num_nodes.numel() for part in graphs]))


def read_zinc_full(files: dict[str, Path], card: Card) -> RawDataset:
    """ZINC: ``train``, ``val``, ``test`` as SMILES; targets computed by :func:`penalised_log_p`."""
    parts = [_lines(files[part]) for part in _PARTS]
    smiles = [line for part in parts for line in part]
    graphs = molecule_graphs(smiles, zinc_molecule, "ZINC from SMILES")
    terms = molecule_values(smiles, penalised_log_p, "ZINC targets")
    y = terms @ torch.tensor(_COEFFICIENTS, dtype=torch.float64) + _OFFSET
    store = GraphStore.from_tensors(**graphs.tensors(), graph={"y": y.float().view(-1, 1)}, name=card.name)
    return RawDataset(store, _official([len(part) for part in parts]))


def read_zinc_pickles(files: dict[str, Path], card: Card, *, subset: bool) -> RawDataset:
    """The upstream pickles ``train``, ``val``, ``test``, whole or at the positions in ``train_index``, ...

    A molecule is a dictionary of tensors: ``atom_type`` [n], ``bond_type`` [n, n] (0 = no bond) and
    ``logP_SA_cycle_normalized``.
    """
    parts = [load_pickle(files[part]) for part in _PARTS]
    if subset:
        chosen = [[int(i) for i in files[f"{part}_index"].read_text().split(",")] for part in _PARTS]
        parts = [[part[i] for i in index] for part, index in zip(parts, chosen, strict=True)]
    molecules = [molecule for part in parts for molecule in part]
    edges = [molecule["bond_type"].nonzero().t() for molecule in molecules]
    bonds = [molecule["bond_type"][tuple(ends)] for molecule, ends in zip(molecules, edges, strict=True)]
    graphs = MoleculeGraphs(
        torch.tensor([molecule["atom_type"].numel() for molecule in molecules]),
        torch.tensor([ends.size(1) for ends in edges]),
        torch.cat([molecule["atom_type"].view(-1, 1) for molecule in molecules]).long(),
        torch.cat(edges, dim=1),
        torch.cat(bonds).long().view(-1, 1),
    )
    y = torch.cat([molecule["logP_SA_cycle_normalized"].view(1, 1) for molecule in molecules]).float()
    store = GraphStore.from_tensors(**graphs.tensors(), graph={"y": y}, name=card.name)
    return RawDataset(store, _official([len(part) for part in parts]))


def penalised_log_p(smiles: str) -> tuple[float, float, float]:
    """The three terms of the target: log P, minus the synthetic accessibility, minus the excess of the longest cycle.

    Example:
        >>> log_p, neg_sa, neg_cycle = penalised_log_p("C1CCCCCCC1")
        >>> neg_cycle
        -2.0
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import Descriptors
    from rdkit.Contrib.SA_Score import sascorer

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    cycles = nx.cycle_basis(nx.Graph(Chem.GetAdjacencyMatrix(molecule)))
    longest = max(map(len, cycles), default=0)
    return Descriptors.MolLogP(molecule), -sascorer.calculateScore(molecule), -float(max(longest - 6, 0))


def _lines(path: Path) -> list[str]:
    with lzma.open(path, "rt", encoding="ascii") as file:
        return file.read().split()


def _official(sizes: Sequence[int]) -> dict[str, list[dict[str, Tensor]]]:
    return {"official": [dict(zip(_PARTS, torch.arange(sum(sizes)).split(list(sizes)), strict=True))]}


def _networkx_graphs(path: Path) -> tuple[MoleculeGraphs, Tensor]:
    """Molecules and targets of a pickled list of undirected networkx graphs; nodes are numbered from 0."""
    with lzma.open(path) as file:
        records = load_pickle(file)
    molecules = [_networkx_graph(record) for record in records]
    x, edge_index, edge_attr = zip(*molecules, strict=True)
    graphs = MoleculeGraphs(
        torch.tensor([len(part) for part in x]),
        torch.tensor([part.shape[1] for part in edge_index]),
        torch.from_numpy(np.concatenate(x)),
        torch.from_numpy(np.concatenate(edge_index, axis=1)),
        torch.from_numpy(np.concatenate(edge_attr)),
    )
    return graphs, torch.tensor(np.concatenate([record.graph["label"] for record in records])).float()


def _networkx_graph(record: Record) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    nodes: dict[int, dict[str, Any]] = record._node
    edges = [(u, v, data["edge_label"]) for u in sorted(nodes) for v, data in sorted(record._adj[u].items())]
    source, target, kind = np.array(edges, dtype=np.int64).reshape(-1, 3).T
    labels = np.array([nodes[node]["node_label"] for node in sorted(nodes)], dtype=np.uint8)
    return labels[:, None], np.stack([source, target]), kind[:, None].astype(np.uint8)


def _joined(parts: Sequence[MoleculeGraphs]) -> MoleculeGraphs:
    columns = {name: [getattr(part, name) for part in parts] for name in vars(parts[0])}
    dims = {name: 1 if name == "edge_index" else 0 for name in columns}
    return MoleculeGraphs(**{name: torch.cat(values, dim=dims[name]) for name, values in columns.items()})
