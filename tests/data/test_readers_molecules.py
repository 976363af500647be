"""Molecules: our featuriser against OGB's own, ZINC against its published graphs, QM9 against PyG's reader."""

from __future__ import annotations

import builtins
import gzip
import io
import json
import lzma
import pickle
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.datasets import QM9, ZINC

from gnnlab.data.card import card
from gnnlab.data.load import load_dataset, verify_dataset
from gnnlab.data.readers import _molecules
from gnnlab.data.readers._molecules import ZINC_ATOMS, molecule_graphs, molecule_values, ogb_molecule, zinc_molecule
from gnnlab.data.readers.peptides import read_peptides_func
from gnnlab.data.readers.qm9 import read_qm9
from gnnlab.data.readers.qm9_film import read_qm9_film
from gnnlab.data.readers.zinc import penalised_log_p, read_zinc_full, read_zinc_pickles, read_zinc_subset
from gnnlab.errors import BackendError, ConfigError, DataError, IntegrityError

ODD = [
    "C",
    "[Na+].[Cl-]",
    "F/C=C/F",
    "F/C=C\\F",
    "Cl[C@H](/C=C/C)Br",
    "[2H]O[2H]",
    "c1cc[nH]c1",
    "[CH3]",
    "S(F)(F)(F)(F)(F)F",
]


def lines(path: Path) -> list[str]:
    with lzma.open(path, "rt") as file:
        return file.read().split()


def ogb_says(smiles: str) -> dict[str, np.ndarray]:
    from ogb.utils.mol import smiles2graph

    return smiles2graph(smiles)


@pytest.mark.parametrize("smiles", ODD)
def test_features_equal_those_of_ogb(smiles: str) -> None:
    x, edge_index, edge_attr = ogb_molecule(smiles)
    expected = ogb_says(smiles)
    np.testing.assert_array_equal(x, expected["node_feat"])
    np.testing.assert_array_equal(edge_index, expected["edge_index"])
    np.testing.assert_array_equal(edge_attr, expected["edge_feat"])
    assert edge_attr.shape[1] == 3


@pytest.mark.mirror
def test_features_equal_those_of_ogb_on_real_molecules(mirror: Path) -> None:
    hiv = pd.read_csv(mirror / "ogb/ogbg_molhiv/mapping/mol.csv.gz")["smiles"][::200]
    peptides = pd.read_csv(mirror / "lrgb/peptides-functional/raw/peptide_multi_class_dataset.csv.gz")["smiles"][::400]
    smiles = [*hiv, *peptides]
    graphs = molecule_graphs(smiles, ogb_molecule, "")
    expected = [ogb_says(text) for text in smiles]
    np.testing.assert_array_equal(graphs.x, np.concatenate([graph["node_feat"] for graph in expected]))
    np.testing.assert_array_equal(graphs.edge_attr, np.concatenate([graph["edge_feat"] for graph in expected]))
    edges = np.concatenate([graph["edge_index"] for graph in expected], axis=1)
    np.testing.assert_array_equal(graphs.edge_index, edges)
    assert graphs.num_nodes.tolist() == [graph["num_nodes"] for graph in expected]


def test_processes_give_what_one_process_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    smiles = ODD * 150
    alone = molecule_graphs(smiles, ogb_molecule, "")
    monkeypatch.setattr(_molecules, "_FEW", 1)
    monkeypatch.setattr(_molecules.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    shared = molecule_graphs(smiles, ogb_molecule, "")
    for name, value in vars(alone).items():
        assert torch.equal(value, getattr(shared, name)), name
    values = molecule_values(["C", "C1CCCCCCC1"], penalised_log_p, "")
    assert values[:, 2].tolist() == [0.0, -2.0]


def test_a_valence_beyond_the_model_is_read_and_rubbish_is_not() -> None:
    smiles = "O=C1O[Al]23(OC1=O)(OC(=O)C(=O)O2)OC(=O)C(=O)O3"
    x, edge_index, _ = ogb_molecule(smiles)
    assert x[:, 0].tolist().count(12) == 1
    assert edge_index.shape == (2, 42)
    with pytest.raises(DataError, match="not a SMILES that RDKit reads: 'C\\(C'"):
        ogb_molecule("C(C")
    with pytest.raises(DataError, match="not a molecule for RDKit"):
        ogb_molecule("c1cccc1")
    with pytest.raises(DataError, match="no code"):
        zinc_molecule("[Xe]")


def test_without_rdkit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object, **keywords: object) -> object:
        if name.partition(".")[0] == "rdkit":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    _molecules._rdkit.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BackendError, match=r"gnnlab\[mol\]"):
        molecule_graphs(["C"], ogb_molecule, "")


def test_importing_the_readers_imports_no_rdkit_and_no_ogb() -> None:
    code = (
        "import sys, gnnlab.data.load\n"
        "from gnnlab.data.readers import lrgb, ogb_graphs, ogb_molecules, peptides, qm9, zinc\n"
        "print(sorted({'rdkit', 'ogb'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.mirror
def test_rebuilt_zinc_graphs_have_the_published_atoms_and_bonds(mirror: Path) -> None:
    folder = mirror / "zinc/subset12k"
    smiles = lines(folder / "test.smi.xz")
    rebuilt = molecule_graphs(smiles, zinc_molecule, "")
    files = {"train": folder / "test.smi.xz", "train_targets": folder / "derived_targets_test.csv.xz"}
    files |= {"val": folder / "ZINC_Val.networkx.pkl.xz", "test": folder / "ZINC_Test.networkx.pkl.xz"}
    raw = read_zinc_subset(files, card("zinc-12k"))
    assert len(raw.store) == 3000
    with lzma.open(files["test"]) as file:
        published = pickle.load(file)
    same_order = 0
    nodes = edges = 0
    for i, graph in enumerate(published):
        n, e = int(rebuilt.num_nodes[i]), int(rebuilt.num_edges[i])
        labels = [graph.nodes[node]["node_label"] for node in range(n)]
        bonds = sorted(label for _, _, label in graph.edges(data="edge_label") for _ in range(2))
        assert sorted(rebuilt.x[nodes : nodes + n, 0].tolist()) == sorted(labels)
        assert sorted(rebuilt.edge_attr[edges : edges + e, 0].tolist()) == bonds
        same_order += rebuilt.x[nodes : nodes + n, 0].tolist() == labels
        nodes, edges = nodes + n, edges + e
        read = raw.store[2000 + i]
        assert read.x[:, 0].tolist() == labels
        assert set(zip(*read.edge_index.tolist(), read.edge_attr[:, 0].tolist(), strict=True)) == {
            (a, b, label) for u, v, label in graph.edges(data="edge_label") for a, b in ((u, v), (v, u))
        }
        assert float(read.y) == pytest.approx(float(graph.graph["label"][0]))
    assert same_order > 800
    derived, real = raw.store.column("y")[:1000], raw.store.column("y")[2000:]
    assert int(((derived - real).abs() > 1e-5).sum()) <= 2


@pytest.mark.mirror
def test_zinc_targets_follow_the_derived_table(mirror: Path, tmp_path: Path) -> None:
    folder = mirror / "zinc/subset12k"
    smiles = lines(folder / "val.smi.xz")[:60]
    table = pd.read_csv(folder / "derived_targets_val.csv.xz").iloc[:60]
    terms = molecule_values(smiles, penalised_log_p, "").numpy()
    np.testing.assert_allclose(terms, table[["logp", "neg_sa", "neg_cycle"]].to_numpy(), atol=1e-7)
    for i, part in enumerate(("train", "val", "test")):
        with lzma.open(tmp_path / f"{part}.xz", "wt") as file:
            file.write("\n".join(smiles[20 * i : 20 * i + 20]) + "\n")
    raw = read_zinc_full({part: tmp_path / f"{part}.xz" for part in ("train", "val", "test")}, card("zinc-full"))
    np.testing.assert_allclose(raw.store.column("y")[:, 0], table["y"], atol=1e-5)
    assert raw.splits["official"][0]["val"].tolist() == list(range(20, 40))


def zinc_molecules(count: int) -> list[dict]:
    molecules = []
    for i in range(count):
        n = 3 + i
        bonds = torch.zeros(n, n, dtype=torch.int32)
        for u in range(n - 1):
            bonds[u, u + 1] = bonds[u + 1, u] = 1 + u % 3
        molecules.append(
            {
                "num_atom": n,
                "atom_type": torch.arange(n) % len(ZINC_ATOMS),
                "bond_type": bonds,
                "logP_SA_cycle_normalized": torch.tensor([float(i)]),
            }
        )
    return molecules


@pytest.mark.parametrize("subset", [True, False])
def test_upstream_zinc_equals_pyg(tmp_path: Path, subset: bool) -> None:
    raw_dir = tmp_path / "raw"
    raw_dir.mkdir()
    files = {}
    for part, count in (("train", 6), ("val", 4), ("test", 3)):
        files[part], files[f"{part}_index"] = raw_dir / f"{part}.pickle", raw_dir / f"{part}.index"
        files[part].write_bytes(pickle.dumps(zinc_molecules(count)))
        files[f"{part}_index"].write_text("2,0\n")
    raw = read_zinc_pickles(files, card("zinc-12k-upstream"), subset=subset)
    expected = [data for part in ("train", "val", "test") for data in ZINC(str(tmp_path), subset=subset, split=part)]
    assert len(raw.store) == len(expected) == (6 if subset else 13)
    for read, data in zip(raw.store, expected, strict=True):
        assert torch.equal(read.x, data.x)
        assert torch.equal(read.y.view(-1), data.y)
        assert edge_set(read.edge_index, read.edge_attr.view(-1)) == edge_set(data.edge_index, data.edge_attr)
    assert [len(raw.splits["official"][0][part]) for part in ("train", "val", "test")] == (
        [2, 2, 2] if subset else [6, 4, 3]
    )


def edge_set(edge_index: torch.Tensor, attr: torch.Tensor) -> set[tuple]:
    return {
        (u, v, tuple(np.atleast_1d(a).tolist()))
        for (u, v), a in zip(edge_index.t().tolist(), attr.numpy(), strict=True)
    }


@pytest.fixture
def qm9_files(tmp_path: Path) -> dict[str, Path]:
    """Three molecules with coordinates and 19 targets, the second one uncharacterised, as upstream writes them."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    raw_dir = tmp_path / "raw"
    raw_dir.mkdir()
    with Chem.SDWriter(str(raw_dir / "gdb9.sdf")) as writer:
        for i, smiles in enumerate(("C", "C#N", "c1ccncc1")):
            molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
            AllChem.EmbedMolecule(molecule, randomSeed=7)
            molecule.SetProp("_Name", f"gdb_{i + 1}")
            writer.write(molecule)
    energies = ["u0", "u298", "h298", "g298"]
    names = ["A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", *energies, "cv"]
    names += [f"{name}_atom" for name in energies]
    rows = np.random.default_rng(0).normal(size=(3, len(names)))
    table = pd.DataFrame(rows, columns=names)
    table.insert(0, "mol_id", [f"gdb_{i + 1}" for i in range(3)])
    table.to_csv(raw_dir / "gdb9.sdf.csv", index=False)
    heading = "\n".join(f"heading {i}" for i in range(9))
    (raw_dir / "uncharacterized.txt").write_text(f"{heading}\n     2  C#N  C#N\n1 compound\n")
    return {
        "molecules": raw_dir / "gdb9.sdf",
        "targets": raw_dir / "gdb9.sdf.csv",
        "uncharacterised": raw_dir / "uncharacterized.txt",
    }


def test_qm9_equals_pyg(qm9_files: dict[str, Path], tmp_path: Path) -> None:
    options = card("qm9").options
    raw = read_qm9(qm9_files, card("qm9"), **options)
    shutil.copytree(tmp_path / "raw", tmp_path / "pyg/raw")
    expected = QM9(str(tmp_path / "pyg"))
    assert len(raw.store) == len(expected) == 2
    columns = [*range(7), 12, 13, 14, 15, 11]
    for read, data in zip(raw.store, expected, strict=True):
        torch.testing.assert_close(read.x, data.x)
        torch.testing.assert_close(read.pos, data.pos)
        assert torch.equal(read.z, data.z)
        torch.testing.assert_close(read.y, data.y[:, columns])
        assert edge_set(read.edge_index, read.edge_attr) == edge_set(data.edge_index, data.edge_attr)


def test_qm9_refuses_what_does_not_fit(qm9_files: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"unknown target 'u0_atm'[\s\S]*did you mean 'u0_atom'"):
        read_qm9(qm9_files, card("qm9"), targets=["u0_atm"])
    table = pd.read_csv(qm9_files["targets"])
    table.iloc[:2].to_csv(qm9_files["targets"], index=False)
    with pytest.raises(DataError, match="3 molecules, but 2 rows"):
        read_qm9(qm9_files, card("qm9"), targets=["mu"])


def write_frequencies(path: Path, lines: list[str], sizes: tuple[int, ...] = (5, 3, 11)) -> Path:
    """The archive of XYZ files as upstream has it: numbered members, frequencies on the line after the atoms."""
    with tarfile.open(path, "w:bz2") as archive:
        for i, (line, atoms) in enumerate(zip(lines, sizes, strict=True)):
            rows = [
                str(atoms),
                f"gdb {i + 1}\t157.7118",
                *["C\t0.1\t0.2\t1.5*^-6\t-0.4"] * atoms,
                line,
                "C\tC",
                "InChI",
            ]
            content = "\n".join(rows).encode()
            member = tarfile.TarInfo(f"dsgdb9nsd_{i + 1:06d}.xyz")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_the_thirteenth_target_of_qm9_is_the_highest_frequency(qm9_files: dict[str, Path], tmp_path: Path) -> None:
    lines = ["1341.3\t3151.7\t1592.4", "99.0\t1.0", "5.1*^2\t3.2*^3\t12.0"]
    files = qm9_files | {"frequencies": write_frequencies(tmp_path / "xyz.tar.bz2", lines)}
    of = card("qm9-13")
    raw = read_qm9(files, of, **of.options)
    assert raw.store.column("y").shape == (2, 13)
    assert raw.store.column("y")[:, 12].tolist() == pytest.approx([3151.7, 3200.0])
    twelve = read_qm9(qm9_files, card("qm9"), **card("qm9").options)
    assert torch.equal(raw.store.column("y")[:, :12], twelve.store.column("y"))
    with pytest.raises(ConfigError, match="unknown target 'omega1'"):
        read_qm9(qm9_files, of, **of.options)
    write_frequencies(tmp_path / "xyz.tar.bz2", lines[:2], (5, 3))
    with pytest.raises(DataError, match="2 molecules, but 3 rows of targets"):
        read_qm9(files, of, **of.options)
    (tmp_path / "xyz.tar.bz2").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="not the archive of XYZ files"):
        read_qm9(files, of, **of.options)


def test_implicit_hydrogens_leave_the_rest_as_it_was(qm9_files: dict[str, Path]) -> None:
    explicit = read_qm9(qm9_files, card("qm9"), targets=["mu"])
    implicit = read_qm9(qm9_files, card("qm9"), targets=["mu"], hydrogens="implicit")
    assert implicit.store.sizes("node").tolist() == [1, 6]
    for whole, part in zip(explicit.store, implicit.store, strict=True):
        heavy = (whole.z != 1).nonzero().view(-1)
        for key in ("x", "pos", "z"):
            assert torch.equal(part[key], whole[key][heavy])
        inside = torch.isin(whole.edge_index, heavy).all(0)
        expected = edge_set(whole.edge_index[:, inside], whole.edge_attr[inside])
        assert edge_set(heavy[part.edge_index], part.edge_attr) == expected
    assert implicit.store[0].x[0, -1] == 4  # methane
    with pytest.raises(ConfigError, match="did you mean 'implicit'"):
        read_qm9(qm9_files, card("qm9"), targets=["mu"], hydrogens="implict")


def test_every_target_of_qm9_has_a_card_of_its_own() -> None:
    for target in card("qm9-13").options["targets"]:
        of = card(f"qm9-{target.replace('_', '-')}")
        assert of.options["targets"] == [target]
        assert of.task.metric == f"error_ratio@{target}"
        assert ("frequencies" in of.files) == (target == "omega1")
        assert of.published == card("qm9").published


def film_molecule(n: int, targets: float) -> str:
    features = [[float(10 * atom + column) for column in range(15)] for atom in range(n)]
    graph = [[u, 1 + u % 4, u + 1] for u in range(n - 1)]
    return json.dumps({"targets": [[targets + t] for t in range(13)], "graph": graph, "node_features": features})


def test_qm9_of_gnn_film_from_a_few_lines(tmp_path: Path) -> None:
    files = {}
    for part, sizes in (("valid", (3, 1, 4)), ("test", (2, 5))):
        files[part] = tmp_path / f"{part}.jsonl.gz"
        text = "\n".join(film_molecule(n, 10.0 * n) for n in sizes)
        files[part].write_bytes(gzip.compress(text.encode()))
    raw = read_qm9_film(files, card("qm9-film"), held_out=1)
    assert raw.store.sizes("node").tolist() == [3, 1, 4, 2, 5]
    assert {part: index.tolist() for part, index in raw.splits["partial"][0].items()} == {
        "train": [0, 1],
        "val": [2],
        "test": [3, 4],
    }
    first = raw.store[0]
    assert first.x.tolist()[1] == [10.0 + column for column in range(15) if column != 6]
    bonds = zip(first.edge_index.t().tolist(), first.edge_attr.argmax(1).tolist(), strict=True)
    assert {(u, v, kind) for (u, v), kind in bonds} == {(0, 1, 0), (1, 0, 0), (1, 2, 1), (2, 1, 1)}
    assert first.y.tolist() == [[30.0 + t for t in range(13)]]
    assert read_qm9_film(files, card("qm9-film"), held_out=1, charges=True).store[0].x.size(1) == 15
    whole = read_qm9_film(files | {"train": files["test"]}, card("qm9-film"))
    assert [len(index) for index in whole.splits["official"][0].values()] == [2, 3, 2]
    with pytest.raises(DataError, match="3 of 3 molecules cannot be held out"):
        read_qm9_film(files, card("qm9-film"), held_out=3)
    files["test"].write_bytes(b"rubbish")
    with pytest.raises(IntegrityError, match="not gzipped JSON lines"):
        read_qm9_film(files, card("qm9-film"))


@pytest.mark.mirror
def test_the_molecules_of_gnn_film(mirror: Path) -> None:
    store = load_dataset("qm9-film", progress=False)
    assert len(store) == 20000
    assert store.num_nodes == 180560 + 180945
    assert store.num_edges == 2 * (186733 + 187237)
    assert torch.equal(store.column("x")[:, :5].sum(1), torch.ones(store.num_nodes))
    assert bool((store.column("y").mean(0).abs() < 0.05).all())
    assert bool(((store.column("y").std(0) - 1).abs() < 0.1).all())


def test_peptides_from_a_few_lines(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "m.csv.gz", "wt") as file:
        file.write(
            ',smiles,peptide_seq,labels,identifier\n0,CC(=O)N,x,"[0, 1]",4\n1,NCC(=O)O,y,"[1, 0]",5\n2,C,z,"[1, 1]",6\n'
        )
    (tmp_path / "split.pickle").write_bytes(
        pickle.dumps({p: np.array([i]) for i, p in enumerate(("train", "val", "test"))})
    )
    files = {"molecules": tmp_path / "m.csv.gz", "split": tmp_path / "split.pickle"}
    raw = read_peptides_func(files, card("peptides-func"))
    assert raw.store.column("y").tolist() == [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    assert raw.store.sizes("node").tolist() == [4, 5, 1]
    assert raw.splits["official"][0]["test"].tolist() == [2]
    (tmp_path / "m.csv.gz").write_bytes((tmp_path / "m.csv.gz").read_bytes()[:-15])
    with pytest.raises(IntegrityError, match=r"m\.csv\.gz: not a readable table"):
        read_peptides_func(files, card("peptides-func"))


@pytest.mark.mirror
@pytest.mark.slow
def test_the_whole_of_peptides_func(mirror: Path) -> None:
    findings = {finding.fact: finding.verdict for finding in verify_dataset("peptides-func", progress=False)}
    assert set(findings.values()) == {"ok"}
    assert {"nodes", "edges", "splits"} <= set(findings)
    store = load_dataset("peptides-func", progress=False)
    parts = torch.cat([store.splits[part] for part in ("train", "val", "test")])
    assert torch.equal(parts.sort().values, torch.arange(len(store)))
    assert store.column("y").shape == (15535, 10)
