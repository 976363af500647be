"""Folds: published ones from their files, and computed ones that depend on nothing but the labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from gnnlab.data.readers._text import Archive, numbers, read_bytes
from gnnlab.errors import DataError

__all__ = [
    "contiguous_folds",
    "errica_folds",
    "everything",
    "gin_folds",
    "mask_folds",
    "npz_folds",
    "random_folds",
    "stratified_folds",
]

Fold = dict[str, Tensor]


def errica_folds(path: Path) -> list[Fold]:
    """The ten folds of Errica et al. (ICLR 2020): a test fold each, and one inner hold-out for selection."""
    try:
        outer = json.loads(read_bytes(path))
        return [_errica_fold(fold) for fold in outer]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"not a file of folds: {error!r}", where=str(path)) from error


def gin_folds(archive: Archive) -> list[Fold]:
    """The ten folds of the GIN release (``10fold_idx``): ``train`` and the held-out ``test``, nothing else.

    The protocol of that paper reports the epoch with the best mean accuracy over the ten held-out folds;
    a validation part that equals the test part would turn this into a selection on the test set.
    """
    folds = []
    for k in range(1, 11):
        names = {"train": f"train_idx-{k}.txt", "test": f"test_idx-{k}.txt"}
        parts = {part: numbers(archive[name], archive.where(name)) for part, name in names.items()}
        folds.append({part: torch.from_numpy(index) for part, index in parts.items()})
    return folds


def npz_folds(files: dict[str, Path], count: int = 10) -> list[Fold]:
    """The geom-gcn splits: one ``.npz`` of three node masks per fold, in the roles ``split_0``, ``split_1``..."""
    folds = []
    for path in (files[f"split_{k}"] for k in range(count)):
        with np.load(path, allow_pickle=False) as content:
            missing = {"train_mask", "val_mask", "test_mask"} - set(content.files)
            if missing:
                raise DataError(f"holds no '{min(missing)}'", where=str(path))
            folds.append({part: _where(content[f"{part}_mask"]) for part in ("train", "val", "test")})
    return folds


def mask_folds(train: np.ndarray, val: np.ndarray, test: np.ndarray) -> list[Fold]:
    """Folds from three [K, N] arrays of masks."""
    rows = zip(train, val, test, strict=True)
    return [dict(zip(("train", "val", "test"), map(_where, masks), strict=True)) for masks in rows]


def contiguous_folds(total: int, count: int = 10) -> list[Fold]:
    """Blocks in file order, as in the release of Abboud et al. (IJCAI 2021), so that pairs stay together.

    Fold k tests on the k-th block of ``total / count`` graphs; of the remaining graphs the k-th block of a
    ``count``-th validates.
    """
    folds = []
    index, block = torch.arange(total), max(total // count, 1)
    for k in range(count):
        tested = index // block == k
        rest = index[~tested]
        inner = max(rest.numel() // count, 1)
        validates = torch.arange(rest.numel()) // inner == k
        folds.append({"train": rest[~validates], "val": rest[validates], "test": index[tested]})
    return folds


def stratified_folds(labels: Tensor, count: int = 10, seed: int = 0) -> list[Fold]:
    """Computed folds with equal class shares: fold k tests, fold k + 1 validates, the others train.

    For datasets without published folds that have a validation part; scikit-learn's ``StratifiedKFold``.
    """
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    blocks = [torch.from_numpy(test) for _, test in splitter.split(np.zeros(labels.numel()), labels.numpy())]
    return [_held_out(blocks, k) for k in range(count)]


def random_folds(total: int, count: int) -> list[Fold]:
    """Independent random splits, 80/10/10 and not stratified, as Karhadkar et al. (ICLR 2023) draw one per run.

    Split k is a permutation drawn with seed k, whatever ``count`` is; a tenth is rounded down, and the test part
    gets what is left.
    """
    folds = []
    for k in range(count):
        order = torch.randperm(total, generator=torch.Generator().manual_seed(k))
        train, val = int(0.8 * total), int(0.1 * total)
        parts = zip(("train", "val", "test"), order.split([train, val, total - train - val]), strict=True)
        folds.append({part: index.sort().values for part, index in parts})
    return folds


def everything(total: int) -> list[Fold]:
    """One fold whose three parts are all graphs: for graphs to be told apart, not to generalise from."""
    return [{part: torch.arange(total) for part in ("train", "val", "test")}]


def _held_out(blocks: Sequence[Tensor], k: int) -> Fold:
    after = (k + 1) % len(blocks)
    rest = [block for i, block in enumerate(blocks) if i not in (k, after)]
    return {"train": torch.cat(rest).sort().values, "val": blocks[after].clone(), "test": blocks[k].clone()}


def _errica_fold(fold: dict) -> Fold:
    inner = fold["model_selection"][0]
    parts = {"train": inner["train"], "val": inner["validation"], "test": fold["test"]}
    return {part: torch.tensor(index, dtype=torch.long) for part, index in parts.items()}


def _where(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))
