"""From SMILES to graphs with RDKit: the features of the OGB convention, and those of the ZINC benchmark."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_all_start_methods, get_context
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnlab.data._progress import tracked
from gnnlab.errors import BackendError, DataError

__all__ = ["ZINC_ATOMS", "MoleculeGraphs", "molecule_graphs", "molecule_values", "ogb_molecule", "zinc_molecule"]

Molecule = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Atom features [n, F], edge_index [2, 2 b], edge features [2 b, D] of b bonds, both directions in turn."""

ZINC_ATOMS = tuple("C O N F CH S Cl O- NH+ Br NH3+ NH2+ N+ N- S- I P OH+ NH- O+ S+ PH PH2 CH2- P+ SH+ CH- PH+".split())  # noqa: SIM905
"""Atom types of the ZINC benchmark in the order of its codes, 0 to 27."""

_CHUNK = 512
_FEW = 2048


@dataclass(frozen=True)
class MoleculeGraphs:
    """Molecules laid end to end, in the form :meth:`GraphStore.from_tensors` takes.

    Shapes:
        ``num_nodes``, ``num_edges`` [G]; ``x`` [N, F]; ``edge_index`` [2, E], local ids; ``edge_attr`` [E, D].
    """

    num_nodes: Tensor
    num_edges: Tensor
    x: Tensor
    edge_index: Tensor
    edge_attr: Tensor

    def tensors(self) -> dict[str, Any]:
        """As keyword arguments of :meth:`GraphStore.from_tensors`."""
        return {
            "num_nodes": self.num_nodes,
            "num_edges": self.num_edges,
            "edge_index": self.edge_index,
            "node": {"x": self.x},
            "edge": {"edge_attr": self.edge_attr},
        }


def molecule_graphs(smiles: Sequence[str], featurise: Callable[[str], Molecule], description: str) -> MoleculeGraphs:
    """Featurise molecules, on all cores where there are many, in the order given.

    Args:
        smiles: One string per molecule.
        featurise: :func:`ogb_molecule` or :func:`zinc_molecule`.
        description: What the progress bar says.

    Raises:
        BackendError: RDKit is not installed.
        DataError: a SMILES that RDKit cannot read.
    """
    parts = _in_chunks(partial(_chunk, featurise=featurise), smiles, description)
    nodes, edges, x, edge_index, edge_attr = (list(column) for column in zip(*parts, strict=True))
    return MoleculeGraphs(
        *(torch.from_numpy(np.concatenate(column)).long() for column in (nodes, edges)),
        torch.from_numpy(np.concatenate(x)),
        torch.from_numpy(np.concatenate(edge_index, axis=1)),
        torch.from_numpy(np.concatenate(edge_attr)),
    )


def molecule_values(smiles: Sequence[str], function: Callable[[str], Sequence[float]], description: str) -> Tensor:
    """[G, k] float64: ``k`` numbers per molecule, on all cores where there are many.

    Args:
        smiles: One string per molecule.
        function: From a SMILES to its numbers.
        description: What the progress bar says.

    Raises:
        BackendError: RDKit is not installed.
    """
    rows = _in_chunks(partial(_values, function=function), smiles, description)
    return torch.from_numpy(np.concatenate(rows))


def ogb_molecule(smiles: str) -> Molecule:
    """Nine atom and three bond features, as published with OGB (Hu et al., arXiv 2005.00687).

    Atom: atomic number - 1, chirality, degree, formal charge + 5, hydrogens, radical electrons, hybridisation,
    aromatic, in a ring. Bond: type, stereo, conjugated. A value outside its list takes the last code.

    Example:
        >>> x, edge_index, edge_attr = ogb_molecule("CO")
        >>> x.tolist(), edge_index.tolist(), edge_attr.tolist()
        ([[5, 0, 4, 5, 3, 0, 2, 0, 0], [7, 0, 2, 5, 1, 0, 2, 0, 0]], [[0, 1], [1, 0]], [[0, 0, 0], [0, 0, 0]])
    """
    molecule = _parsed(smiles)
    chirality, hybridisation, bond_type, stereo = _ogb_codes()
    atoms = [
        (
            number - 1 if 1 <= (number := atom.GetAtomicNum()) <= 118 else 118,
            chirality.get(atom.GetChiralTag(), 4),
            min(atom.GetTotalDegree(), 11),
            charge + 5 if -5 <= (charge := atom.GetFormalCharge()) <= 5 else 11,
            min(atom.GetTotalNumHs(), 9),
            min(atom.GetNumRadicalElectrons(), 5),
            hybridisation.get(atom.GetHybridization(), 5),
            atom.GetIsAromatic(),
            atom.IsInRing(),
        )
        for atom in molecule.GetAtoms()
    ]
    bonds = [
        (bond_type.get(bond.GetBondType(), 4), stereo[bond.GetStereo()], bond.GetIsConjugated())
        for bond in molecule.GetBonds()
    ]
    return _assembled(molecule, atoms, bonds, width=3)


def zinc_molecule(smiles: str) -> Molecule:
    """One atom code (:data:`ZINC_ATOMS`) and one bond order (1, 2, 3), taken from a Kekule structure.

    Example:
        >>> x, edge_index, edge_attr = zinc_molecule("C[NH3+]")
        >>> x.tolist(), edge_attr.tolist()
        ([[0], [10]], [[1], [1]])
    """
    molecule = _parsed(smiles)
    _rdkit().Kekulize(molecule, clearAromaticFlags=True)
    # The code is the bracket symbol without its stereo marks: hydrogens count only where brackets state them.
    names = [re.sub(r"[\[\]@]", "", atom.GetSmarts()) for atom in molecule.GetAtoms()]
    unknown = set(names) - set(ZINC_ATOMS)
    if unknown:
        raise DataError(f"'{smiles}' holds an atom '{min(unknown)}' that the ZINC benchmark has no code for")
    bonds = [(int(bond.GetBondTypeAsDouble()),) for bond in molecule.GetBonds()]
    return _assembled(molecule, [(_zinc_code(name),) for name in names], bonds, width=1)


def _assembled(molecule: Any, atoms: list[tuple], bonds: list[tuple], width: int) -> Molecule:
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    begin_end = np.array(ends, dtype=np.int16).reshape(-1, 2)
    both_ways = np.stack([begin_end, begin_end[:, ::-1]], axis=1).reshape(-1, 2)
    features = np.repeat(np.array(bonds, dtype=np.uint8).reshape(-1, width), 2, axis=0)
    return np.array(atoms, dtype=np.uint8), both_ways.T, features


def _parsed(smiles: str) -> Any:
    """The molecule; where only the valence is beyond RDKit's model, without that one check."""
    chem = _rdkit()
    molecule = chem.MolFromSmiles(smiles)
    if molecule is not None:
        return molecule
    molecule = chem.MolFromSmiles(smiles, sanitize=False)
    if molecule is None:
        raise DataError(f"not a SMILES that RDKit reads: '{smiles}'")
    molecule.UpdatePropertyCache(strict=False)
    steps = chem.SanitizeFlags
    try:
        chem.SanitizeMol(molecule, steps.SANITIZE_ALL ^ steps.SANITIZE_PROPERTIES)
    except chem.MolSanitizeException as error:
        raise DataError(f"not a molecule for RDKit: '{smiles}' ({error})") from error
    chem.AssignStereochemistry(molecule, cleanIt=True)
    return molecule


def _in_chunks(work: Callable[[Sequence[str]], Any], smiles: Sequence[str], description: str) -> list[Any]:
    _rdkit()
    chunks = [smiles[start : start + _CHUNK] for start in range(0, len(smiles), _CHUNK)]
    with _mapper(len(smiles)) as run:
        return list(tracked(run(work, chunks), description, len(chunks)))


def _values(smiles: Sequence[str], function: Callable[[str], Sequence[float]]) -> np.ndarray:
    return np.array([function(text) for text in smiles], dtype=np.float64)


def _chunk(smiles: Sequence[str], featurise: Callable[[str], Molecule]) -> tuple[np.ndarray, ...]:
    from rdkit import rdBase

    with rdBase.BlockLogs():
        molecules = [featurise(text) for text in smiles]
    x, edge_index, edge_attr = zip(*molecules, strict=True)
    return (
        np.array([len(part) for part in x]),
        np.array([part.shape[1] for part in edge_index]),
        np.concatenate(x),
        np.concatenate(edge_index, axis=1),
        np.concatenate(edge_attr),
    )


@cache
def _zinc_code(name: str) -> int:
    return ZINC_ATOMS.index(name)


@cache
def _ogb_codes() -> tuple[dict[Any, int], ...]:
    """RDKit's enumerations -> code, for chirality, hybridisation, bond type and bond stereo."""
    chem = _rdkit()
    lists = (
        (chem.ChiralType, "CHI_UNSPECIFIED CHI_TETRAHEDRAL_CW CHI_TETRAHEDRAL_CCW CHI_OTHER"),
        (chem.HybridizationType, "SP SP2 SP3 SP3D SP3D2"),
        (chem.BondType, "SINGLE DOUBLE TRIPLE AROMATIC"),
        (chem.BondStereo, "STEREONONE STEREOZ STEREOE STEREOCIS STEREOTRANS STEREOANY"),
    )
    return tuple({kind.names[name]: code for code, name in enumerate(names.split())} for kind, names in lists)


@cache
def _rdkit() -> ModuleType:
    try:
        from rdkit import Chem
    except ImportError as error:
        raise BackendError(
            "this dataset is built from SMILES, which needs RDKit", hint="pip install 'gnnlab[mol]'"
        ) from error
    return Chem


@contextmanager
def _mapper(molecules: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """``map``, over forked workers where it pays; they run RDKit and numpy only.

    A process that holds a GPU, or a system that cannot fork, works alone.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if molecules < _FEW or cores < 2 or "fork" not in get_all_start_methods() or torch.cuda.is_initialized():
        yield map
        return
    with ProcessPoolExecutor(cores, mp_context=get_context("fork")) as pool:
        yield pool.map
