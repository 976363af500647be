"""QM9 with coordinates: molecules from the SDF file, targets from the CSV file and the original archive."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gnnlab.data._progress import tracked
from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._tables import read_frame
from gnnlab.data.store import GraphStore
from gnnlab.errors import BackendError, ConfigError, DataError, nearest

__all__ = ["read_qm9"]

_EV_PER_HARTREE = 27.211386246
_EV_PER_KCAL_MOL = 0.04336414

_UNITS = {
    **dict.fromkeys(("homo", "lumo", "gap", "zpve", "u0", "u298", "h298", "g298"), _EV_PER_HARTREE),
    **dict.fromkeys(("u0_atom", "u298_atom", "h298_atom", "g298_atom"), _EV_PER_KCAL_MOL),
    **dict.fromkeys(("mu", "alpha", "r2", "cv", "A", "B", "C", "omega1"), 1.0),
}
"""Target -> factor to the unit delivered: energies in eV, everything else as in the file."""

_HIGHEST_FREQUENCY = "omega1"
_HYDROGENS = ("explicit", "implicit")

_ELEMENTS = (1, 6, 7, 8, 9)


def read_qm9(
    files: dict[str, Path],
    card: Card,
    *,
    targets: Sequence[str],
    hydrogens: Literal["explicit", "implicit"] = "explicit",
    seed: int = 0,
) -> RawDataset:
    """Read ``molecules`` (SDF), ``targets`` (CSV) and ``uncharacterised`` (molecules to leave out).

    ``x`` is, per atom, the element (one-hot over H, C, N, O, F), the atomic number, aromatic, sp, sp2, sp3 (0 where
    the file states none) and the number of hydrogens bonded to it; ``edge_attr`` the bond order one-hot (single,
    double, triple, aromatic); ``pos`` the coordinates in angstrom; ``z`` the atomic number. Partial charges, which are
    results of the calculation that gave the targets, are not read.

    Args:
        files: Roles above; for the target ``omega1`` also ``frequencies``, the archive of XYZ files.
        card: The dataset.
        targets: Columns of the CSV file that become ``y``, in this order, energies in eV; ``omega1`` is the highest
            vibrational frequency in 1/cm, which is in no CSV file.
        hydrogens: ``explicit``, or ``implicit``: atoms other than hydrogen only, whose number of hydrogens is a
            feature.
        seed: Of the shuffle behind the split: 10,000 molecules each for validation and test, the rest for training.

    Raises:
        ConfigError: a target that is in no file, or another value of ``hydrogens``.
        DataError: files that are not of the same molecules.
    """
    if hydrogens not in _HYDROGENS:
        hint = nearest(str(hydrogens), _HYDROGENS)
        raise ConfigError(f"unknown hydrogens {hydrogens!r}", where=f"dataset {card.name}", hint=hint)
    table = read_frame(files["targets"])
    if _HIGHEST_FREQUENCY in targets and "frequencies" in files:
        table[_HIGHEST_FREQUENCY] = _highest_frequencies(files["frequencies"], len(table))
    for target in targets:
        if target not in _UNITS or target not in table.columns:
            raise ConfigError(f"unknown target '{target}'", where=f"dataset {card.name}", hint=nearest(target, _UNITS))
    skipped = _skipped(files["uncharacterised"])
    molecules = _molecules(files["molecules"], skipped, len(table))
    if hydrogens == "implicit":
        molecules = [_heavy(*molecule) for molecule in molecules]
    x, pos, z, edge_index, edge_attr = zip(*molecules, strict=True)
    kept = torch.tensor([i for i in range(len(table)) if i not in skipped])
    y = torch.stack([torch.tensor(table[t].to_numpy()) * _UNITS[t] for t in targets], dim=1)[kept]
    store = GraphStore.from_tensors(
        num_nodes=torch.tensor([len(part) for part in z]),
        num_edges=torch.tensor([part.size(1) for part in edge_index]),
        edge_index=torch.cat(edge_index, dim=1),
        node={"x": torch.cat(x), "pos": torch.cat(pos), "z": torch.cat(z)},
        edge={"edge_attr": torch.cat(edge_attr)},
        graph={"y": y.float()},
        name=card.name,
    )
    return RawDataset(store, {"random": [_random_split(len(store), seed)]})


def _skipped(path: Path) -> set[int]:
    """Rows (from 0) that failed the consistency check: 9 lines of heading, 'number ...' lines, 1 line of footing."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[9:-2]
    return {int(line.split()[0]) - 1 for line in lines}


def _highest_frequencies(path: Path, count: int) -> list[float]:
    """Largest number on the line of frequencies, the one after the atoms, of every file of the archive.

    Files are called ``dsgdb9nsd_<number>.xyz``, from 1; numbers may be written with ``*^`` for the exponent.
    """
    found: dict[int, float] = {}
    try:
        with tarfile.open(path) as archive:
            for member in tracked(archive, "frequencies of QM9", count):
                if not member.name.endswith(".xyz"):
                    continue
                lines = archive.extractfile(member).read().decode().splitlines()
                line = lines[2 + int(lines[0])].replace("*^", "e")
                number = int(member.name.removesuffix(".xyz").rpartition("_")[2])
                found[number] = max(map(float, line.split()))
    except (tarfile.TarError, ValueError, IndexError, EOFError, OSError) as error:
        raise DataError(f"not the archive of XYZ files: {error}", where=str(path)) from error
    if sorted(found) != list(range(1, count + 1)):
        raise DataError(f"{len(found)} molecules, but {count} rows of targets", where=str(path))
    return [found[number] for number in range(1, count + 1)]


def _heavy(x: Tensor, pos: Tensor, z: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, ...]:
    """The molecule without its hydrogens."""
    kept = z != 1
    place = kept.cumsum(0) - 1
    bonds = kept[edge_index].all(0)
    return x[kept], pos[kept], z[kept], place[edge_index[:, bonds]], edge_attr[bonds]


def _molecules(path: Path, skipped: set[int], count: int) -> list[tuple[Tensor, ...]]:
    try:
        from rdkit import Chem, rdBase
    except ImportError as error:
        raise BackendError("QM9 is read with RDKit", hint="pip install 'gnnlab[mol]'") from error
    with rdBase.BlockLogs():
        supplier = Chem.SDMolSupplier(str(path), removeHs=False, sanitize=False)
        if len(supplier) != count:
            raise DataError(f"{len(supplier)} molecules, but {count} rows of targets", where=str(path))
        chosen = (supplier[i] for i in range(count) if i not in skipped)
        return [_molecule(molecule) for molecule in tracked(chosen, "QM9", count - len(skipped))]


def _molecule(molecule: Any) -> tuple[Tensor, ...]:
    atoms = list(molecule.GetAtoms())
    z = torch.tensor([atom.GetAtomicNum() for atom in atoms])
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), _BONDS[str(b.GetBondType())]) for b in molecule.GetBonds()]
    both = torch.tensor([*bonds, *((v, u, kind) for u, v, kind in bonds)], dtype=torch.long).view(-1, 3)
    both = both[(both[:, 0] * len(atoms) + both[:, 1]).argsort()]
    source, target, kind = both.unbind(1)
    hydrogens = torch.zeros(len(atoms)).index_add_(0, target, (z[source] == 1).float())
    states = [[atom.GetIsAromatic(), *(str(atom.GetHybridization()) == s for s in _HYBRIDS)] for atom in atoms]
    element = (z[:, None] == torch.tensor(_ELEMENTS)).float()
    x = torch.cat([element, z[:, None].float(), torch.tensor(states).float(), hydrogens[:, None]], dim=1)
    pos = torch.tensor(molecule.GetConformer().GetPositions(), dtype=torch.float)
    return x, pos, z, both[:, :2].t(), one_hot(kind, len(_BONDS)).float()


_BONDS = {"SINGLE": 0, "DOUBLE": 1, "TRIPLE": 2, "AROMATIC": 3}
_HYBRIDS = ("SP", "SP2", "SP3")


def _random_split(count: int, seed: int) -> dict[str, Tensor]:
    held_out = min(10_000, count // 10)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    val, test, train = order.split([held_out, held_out, count - 2 * held_out])
    return {"train": train.sort().values, "val": val.sort().values, "test": test.sort().values}
