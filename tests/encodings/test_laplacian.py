"""LaplacianPE against PyG's transform and the formulas of its norms."""

from __future__ import annotations

import csv
import gzip
import math
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE
from torch_geometric.utils import erdos_renyi_graph

from gnnlab.encodings import LaplacianPE, RandomWalkPE
from gnnlab.errors import ConfigError


def _connected(num_nodes: int, density: float) -> Data:
    ring = torch.stack([torch.arange(num_nodes), (torch.arange(num_nodes) + 1) % num_nodes])
    edge_index = torch.cat([ring, ring.flip(0), erdos_renyi_graph(num_nodes, density)], 1).unique(dim=1)
    return Data(edge_index=edge_index, num_nodes=num_nodes)


@pytest.mark.parametrize("num_nodes", [12, 60, 130])
def test_equals_pyg_up_to_sign(num_nodes: int) -> None:
    data = _connected(num_nodes, 0.1)
    ours = LaplacianPE(k=5, normalization="sym", include_trivial=False)(data).pe_lap
    theirs = AddLaplacianEigenvectorPE(5, is_undirected=True)(data).laplacian_eigenvector_pe.float()
    assert torch.allclose(ours.abs(), theirs.abs(), atol=1e-3)  # theirs: float32, from a random start
    agreement = (ours * theirs).sum(0).abs()
    assert torch.allclose(agreement, torch.ones(5), atol=1e-5)


def test_the_lrgb_recipe() -> None:
    small, large = _connected(6, 0.2), _connected(40, 0.1)
    batch = LaplacianPE(k=10)(Batch.from_data_list([small, large]))
    assert batch.pe_lap.shape == batch.pe_lap_values.shape == batch.pe_lap_mask.shape == (46, 10)
    assert batch.pe_lap.dtype == batch.pe_lap_values.dtype == torch.float32
    assert batch.pe_lap_mask.dtype == torch.bool
    assert batch.pe_lap_mask.sum(1).tolist() == [6] * 6 + [10] * 40
    assert not batch.pe_lap[:6, 6:].any()
    assert torch.allclose(batch.pe_lap[6:, 0], torch.full((40,), 40**-0.5))
    adjacency = torch.zeros(40, 40).index_put_(tuple(large.edge_index), torch.ones(large.num_edges))
    exact = torch.linalg.eigvalsh((adjacency.sum(1).diag() - adjacency).double())[:10]
    assert torch.allclose(batch.pe_lap_values[6:].double(), exact.expand(40, 10), atol=1e-6)


def test_no_padding_value_is_ever_nan() -> None:
    encoded = LaplacianPE(k=4, eigenvector_norm="wavelength")(Data(edge_index=torch.empty(2, 0).long(), num_nodes=2))
    assert encoded.pe_lap.isfinite().all()
    assert encoded.pe_lap_mask.tolist() == [[True, True, False, False]] * 2


def test_norms_match_their_formulas() -> None:
    parts = [_connected(9, 0.2), _connected(15, 0.1)]
    batch = Batch.from_data_list(parts)
    plain = LaplacianPE(k=4)(batch)
    results = {
        norm: LaplacianPE(k=4, eigenvector_norm=norm)(batch).pe_lap.double()
        for norm in ("l1", "l2", "abs-max", "wavelength", "wavelength-asin", "wavelength-soft")
    }
    for begin, end in ((0, 9), (9, 24)):
        v, values = plain.pe_lap[begin:end].double(), plain.pe_lap_values[begin].double()
        root = torch.where(values < 1e-12, 1.0, values).sqrt()
        largest = v.abs().amax(0)
        soft = (v.abs().softmax(0) * v.abs()).sum(0)
        expected = {
            "l1": v / v.abs().sum(0),
            "l2": v,
            "abs-max": v / largest,
            "wavelength": v * math.pi / (2 * largest * root),
            "wavelength-asin": (v / largest).clamp(-1, 1).asin() / root,
            "wavelength-soft": v / (soft * root),
        }
        for norm, value in expected.items():
            # arcsine has infinite slope at one: compare it where float32 can.
            atol = 2e-3 if norm == "wavelength-asin" else 1e-5
            assert torch.allclose(results[norm][begin:end], value, rtol=1e-4, atol=atol), norm


def test_unit_vectors_of_the_random_walk_laplacian() -> None:
    data = _connected(20, 0.1)
    encoded = LaplacianPE(k=6, normalization="rw")(data)
    v, values = encoded.pe_lap.double(), encoded.pe_lap_values[0].double()
    adjacency = torch.zeros(20, 20).index_put_(tuple(data.edge_index), torch.ones(data.num_edges)).double()
    walk = torch.eye(20) - adjacency / adjacency.sum(1, keepdim=True)
    assert torch.allclose(walk @ v, v * values, atol=1e-5)
    assert torch.allclose(v.norm(dim=0), torch.ones(6).double(), atol=1e-6)


def test_refuses_unknown_options() -> None:
    with pytest.raises(ConfigError, match="did you mean 'wavelength"):
        LaplacianPE(k=3, eigenvector_norm="wavelenght")
    with pytest.raises(ConfigError, match="normalization"):
        LaplacianPE(k=3, normalization="left")
    with pytest.raises(ConfigError, match="at least 1"):
        LaplacianPE(k=0)


@pytest.mark.mirror
def test_real_peptides_equal_pyg(mirror: Path) -> None:
    molecules = pytest.importorskip("rdkit.Chem")
    path = mirror / "lrgb/peptides-functional/raw/peptide_multi_class_dataset.csv.gz"
    graphs = []
    with gzip.open(path, "rt") as file:
        for row in islice(csv.DictReader(file), 24):
            molecule = molecules.MolFromSmiles(row["smiles"])
            bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
            edges = torch.tensor(bonds, dtype=torch.long).reshape(-1, 2).t()
            edges = torch.cat([edges, edges.flip(0)], 1)
            graphs.append(Data(edge_index=edges, num_nodes=molecule.GetNumAtoms()))
    batch = Batch.from_data_list(graphs)
    walks = torch.cat([AddRandomWalkPE(20)(graph).random_walk_pe for graph in graphs])
    assert torch.allclose(RandomWalkPE(walk_length=20)(batch).pe_rwse, walks, atol=1e-6)
    encoded = LaplacianPE(k=10)(batch)
    for graph, begin in zip(graphs, batch.ptr, strict=False):
        n = graph.num_nodes
        adjacency = torch.zeros(n, n).double().index_put_(tuple(graph.edge_index), torch.ones(1).double())
        exact = torch.linalg.eigvalsh(adjacency.sum(1).diag() - adjacency)[:10]
        assert torch.allclose(encoded.pe_lap_values[begin, : min(n, 10)].double(), exact, atol=1e-6)
        v = encoded.pe_lap[begin : begin + n].double()
        residual = (adjacency.sum(1).diag() - adjacency) @ v - v * encoded.pe_lap_values[begin].double()
        assert residual.abs().max() < 1e-5
