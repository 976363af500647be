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
from gnnlab.errors import ConfigError, GnnlabError
from gnnlab.graph import _eigensolvers, laplacian_eigh


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


def _ring(n: int) -> Data:
    ends = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
    return Data(edge_index=torch.cat([ends, ends.flip(0)], 1), num_nodes=n)


def test_says_which_eigenspace_is_cut() -> None:
    # C6: 0, 1, 1, 3, 3, 4; P2: 0, 2.
    path = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    batch = LaplacianPE(k=4)(Batch.from_data_list([_ring(6), path]))
    assert batch.pe_lap_group.dtype == torch.long
    assert batch.pe_lap_group.tolist() == [[0, 1, 1, 2]] * 6 + [[0, 1, -1, -1]] * 2
    assert batch.pe_lap_whole.tolist() == [[True, True, True, False]] * 6 + [[True, True, False, False]] * 2
    assert batch.pe_lap_gap.shape == (8, 1)
    assert batch.pe_lap_gap.flatten().tolist() == [0.0] * 6 + [-1.0] * 2
    assert batch.pe_lap[:6, 3].any()
    alone = LaplacianPE(k=3)(_ring(6))
    assert alone.pe_lap_whole.all()
    assert torch.allclose(alone.pe_lap_gap, torch.full((6, 1), 2.0))
    everything = LaplacianPE(k=6)(_ring(6))
    assert everything.pe_lap_mask.all()
    assert everything.pe_lap_whole.all()
    assert everything.pe_lap_gap.unique().tolist() == [-1.0]


def test_a_cut_eigenspace_can_be_dropped() -> None:
    keep, drop = (LaplacianPE(k=4, cut=cut)(_ring(6)) for cut in ("keep", "drop"))
    assert torch.equal(drop.pe_lap[:, :3], keep.pe_lap[:, :3])
    assert not drop.pe_lap[:, 3].any()
    assert not drop.pe_lap_values[:, 3].any()
    assert drop.pe_lap_mask.tolist() == drop.pe_lap_whole.tolist() == [[True, True, True, False]] * 6
    assert drop.pe_lap_group.tolist() == [[0, 1, 1, -1]] * 6
    assert torch.allclose(drop.pe_lap_gap, torch.full((6, 1), 2.0))
    nothing = LaplacianPE(k=1, include_trivial=False, cut="drop")(_ring(6))
    assert not nothing.pe_lap.any()
    assert not nothing.pe_lap_mask.any()
    assert torch.allclose(nothing.pe_lap_gap, torch.ones(6, 1))


@pytest.mark.parametrize("norm", ["l2", "abs-max", "wavelength-soft"])
def test_what_is_left_after_a_cut_is_the_same_up_to_a_rotation(norm: str) -> None:
    """Projectors on eigenspaces do not depend on the numbering; with a part of an eigenspace they would."""
    graph = _ring(6)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    moved = Data(edge_index=order.argsort()[graph.edge_index], num_nodes=6)

    def projector(data: Data, cut: str) -> torch.Tensor:
        vectors = LaplacianPE(k=4, cut=cut)(data).pe_lap
        return vectors @ vectors.T

    assert torch.allclose(projector(moved, "drop"), projector(graph, "drop")[order][:, order], atol=1e-6)
    assert LaplacianPE(k=4, eigenvector_norm=norm, cut="drop")(graph).pe_lap.isfinite().all()


def test_a_failing_eigensolver_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 1200  # too large for a dense matrix at once, small enough for one after a failure
    path = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    data = Data(edge_index=torch.cat([path, path.flip(0)], 1), num_nodes=n)
    expected = LaplacianPE(k=4)(data)
    monkeypatch.setattr(_eigensolvers, "lobpcg", lambda matrix, start, **_: (start[0], start))
    with pytest.warns(UserWarning, match=r"residual of .* on a component of 1200 nodes; solving it as a dense matrix"):
        got = LaplacianPE(k=4)(data)
    assert torch.allclose(got.pe_lap_values, expected.pe_lap_values, atol=1e-8)
    assert torch.allclose(got.pe_lap, expected.pe_lap, atol=1e-5)


@pytest.mark.parametrize("error", [1e-6, 1e-2])
def test_above_the_fallback_a_small_residual_is_a_warning(error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 200
    path = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    edge_index, ptr = torch.cat([path, path.flip(0)], 1), torch.tensor([0, n])
    exact = laplacian_eigh(edge_index, ptr, 4, dense_limit=10)
    solve = _eigensolvers.lobpcg

    def stops_early(*args, **options):
        values, vectors = solve(*args, **options)
        vectors[0] += error
        return values, vectors

    monkeypatch.setattr(_eigensolvers, "lobpcg", stops_early)
    if error > 1e-4:
        with pytest.raises(GnnlabError, match="dense_limit=200"):
            laplacian_eigh(edge_index, ptr, 4, dense_limit=10)
        return
    with pytest.warns(UserWarning, match="eigenvalues are as far off"):
        got = laplacian_eigh(edge_index, ptr, 4, dense_limit=10)
    assert torch.allclose(got.values, exact.values, atol=1e-5)


def test_defaults_and_options_of_cuts() -> None:
    assert LaplacianPE().k == 8
    with pytest.raises(ConfigError, match="unknown cut"):
        LaplacianPE(cut="shorten")
