"""Laplacian eigenvectors as node encodings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph import LaplacianSpectrum, laplacian_eigh
from gnnlab.ops import expand_ptr, segment_reduce
from gnnlab.transform import Transform, graph_ptr

__all__ = ["LaplacianPE"]


@dataclass(frozen=True, repr=False)
class LaplacianPE(Transform):
    r"""Eigenvectors of the k smallest eigenvalues of the graph Laplacian, and the eigenvalues.

    "Benchmarking Graph Neural Networks" (Dwivedi et al., JMLR 2023, arXiv 2003.00982). The defaults are
    the recipe of the tuned LRGB baselines with ``k=10``: :math:`L = D - A`, the constant vector included,
    unit vectors. ``edge_weight`` is used if the graph has one; directions and self-loops are ignored.

    Signs are canonical and reproducible (see :func:`gnnlab.graph.laplacian_eigh`), which is not the same
    as meaningful: eigenvectors of one eigenvalue are a basis up to rotation, so train with random signs
    or a sign-invariant encoder. Disconnected graphs have one zero eigenvalue, and one vector, for each
    component. Graphs with fewer than ``k`` pairs are padded with zeros, marked in the mask.

    What of a rotation-invariant quantity can be trusted is written down too: which vectors span the same eigenspace,
    which belong to an eigenspace that is not whole because k ends inside it, and how far the next eigenvalue is
    (the subspace turns by at most the norm of a perturbation divided by that gap).

    Cost: time :math:`O(n^3)` per connected component of up to 1000 nodes, memory :math:`O(N k + n^2)`; larger
    components (:math:`10^5` nodes and more) by preconditioned LOBPCG, about :math:`O(k E + k^2 N)` per iteration and
    :math:`O(N k + E)` memory. Where that does not converge, a warning says what is done about it
    (see :func:`gnnlab.graph.laplacian_eigh`).

    Args:
        k: Number of eigenpairs.
        normalization: ``None`` for :math:`D - A`, ``"sym"`` for :math:`D^{-1/2} (D - A) D^{-1/2}`, ``"rw"``
            for :math:`D^{-1} (D - A)`.
        include_trivial: Whether the zero eigenpairs are among the k.
        eigenvector_norm: Scale of every vector v with eigenvalue :math:`\lambda` in a graph: ``"l2"``; ``"l1"``;
            ``"abs-max"``; ``"wavelength"`` :math:`v \pi / (2 \sqrt\lambda \max|v|)`; ``"wavelength-asin"``
            :math:`\arcsin(v / \max|v|) / \sqrt\lambda`; ``"wavelength-soft"`` :math:`v / (s \sqrt\lambda)`
            with s the mean of :math:`|v|` under softmax weights. :math:`\sqrt\lambda` is 1 where
            :math:`\lambda < 10^{-12}`.
        cut: What becomes of an eigenspace that k ends inside: ``"keep"`` writes the part of a basis that there is
            room for, ``"drop"`` makes padding of it, so that what remains is the same up to rotations.
        name: Prefix of the attributes.

    Shapes:
        writes ``pe_<name>`` [N, k] float32 and, repeated for the nodes of a graph,

        * ``pe_<name>_values`` [N, k] float32, the eigenvalues
        * ``pe_<name>_mask`` [N, k] bool, False at padding
        * ``pe_<name>_group`` [N, k] long, the number of the distinct eigenvalue, -1 at padding
        * ``pe_<name>_whole`` [N, k] bool, False at padding and for vectors of an eigenspace that k cuts
        * ``pe_<name>_gap`` [N, 1] float32, distance from the last pair (from 0 if there is none) to the next
          eigenvalue: 0 where an eigenspace is cut, -1 where no eigenvalue is left

    Example:
        >>> edge = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> encoded = LaplacianPE(k=3)(edge)
        >>> encoded.pe_lap_values[0].tolist(), encoded.pe_lap_mask[0].tolist()
        ([0.0, 2.0, 0.0], [True, True, False])
        >>> square = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]]), num_nodes=4)
        >>> LaplacianPE(k=2)(square).pe_lap_whole[0].tolist()  # eigenvalues 0, 2, 2, 4
        [True, False]
    """

    k: int = 8
    normalization: str | None = None
    include_trivial: bool = True
    eigenvector_norm: str = "l2"
    name: str = "lap"
    cut: str = "keep"

    version: ClassVar[int] = 2
    equivariance: ClassVar[str] = "up to basis"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be at least 1, got {self.k}", where="LaplacianPE")
        if self.normalization not in (None, "sym", "rw"):
            raise ConfigError(
                f"unknown normalization {self.normalization!r}", where="LaplacianPE", hint="known: None, 'sym', 'rw'"
            )
        if self.eigenvector_norm not in _NORMS:
            raise ConfigError(
                f"unknown eigenvector_norm {self.eigenvector_norm!r}",
                where="LaplacianPE",
                hint=nearest(self.eigenvector_norm, _NORMS),
            )
        if self.cut not in ("keep", "drop"):
            raise ConfigError(f"unknown cut {self.cut!r}", where="LaplacianPE", hint="known: 'keep', 'drop'")

    def forward(self, data: Data) -> Data:
        ptr = graph_ptr(data)
        spectrum = laplacian_eigh(
            data.edge_index, ptr, self.k, self.normalization, data.get("edge_weight"), trivial=self.include_trivial
        )
        whole, gap = spectrum.whole, _finite_gap(spectrum)
        mask, group = spectrum.mask, spectrum.group
        if self.cut == "drop":
            gap = torch.where((mask & ~whole).any(1), _gap_below_the_cut(spectrum), gap)
            mask, group = whole, group.where(whole, -1)
        batch = expand_ptr(ptr, spectrum.vectors.size(0))
        values, mask = (spectrum.values * mask)[batch], mask[batch]
        vectors = _NORMS[self.eigenvector_norm](spectrum.vectors * mask, values, batch, ptr)
        data[f"pe_{self.name}"] = vectors.float()
        data[f"pe_{self.name}_values"] = values.float()
        data[f"pe_{self.name}_mask"] = mask
        data[f"pe_{self.name}_group"] = group[batch]
        data[f"pe_{self.name}_whole"] = whole[batch]
        data[f"pe_{self.name}_gap"] = gap[batch, None].float()
        return data


def _finite_gap(spectrum: LaplacianSpectrum) -> Tensor:
    """[G] gap after the last pair: exactly 0 where an eigenspace is cut, -1 where there is no next eigenvalue."""
    cut = (spectrum.mask & ~spectrum.whole).any(1)
    return torch.where(spectrum.gap.isfinite(), spectrum.gap, -1).masked_fill(cut, 0)


def _gap_below_the_cut(spectrum: LaplacianSpectrum) -> Tensor:
    """[G] distance from the last whole eigenspace (from 0 if there is none) to the one that is cut."""
    last = (spectrum.values * spectrum.whole).amax(1)
    return spectrum.values.where(spectrum.mask & ~spectrum.whole, torch.inf).amin(1) - last


def _l2(vectors: Tensor, values: Tensor, batch: Tensor, ptr: Tensor) -> Tensor:
    return vectors  # the solver's own scale


def _l1(vectors: Tensor, values: Tensor, batch: Tensor, ptr: Tensor) -> Tensor:
    return vectors / _positive(segment_reduce(vectors.abs(), ptr, "sum"))[batch]


def _abs_max(vectors: Tensor, values: Tensor, batch: Tensor, ptr: Tensor) -> Tensor:
    return vectors / _positive(segment_reduce(vectors.abs(), ptr, "max"))[batch]


def _wavelength(vectors: Tensor, values: Tensor, batch: Tensor, ptr: Tensor) -> Tensor:
    return _abs_max(vectors, values, batch, ptr) * (math.pi / 2) / _frequency(values)


def _wavelength_asin(vectors: Tensor, values: Tensor, batch: Tensor, ptr: Tensor) -> Tensor:
    return _abs_max(vectors, values, batch, ptr).clamp(-1, 1).asin() / _frequency(values)


def _wavelength_soft(vectors: Tensor, values: Tensor, batch: Tensor, ptr: Tensor) -> Tensor:
    size = vectors.abs()
    weight = size.exp()  # unit vectors: no overflow
    mean = segment_reduce(weight * size, ptr, "sum") / _positive(segment_reduce(weight, ptr, "sum"))
    return vectors / _positive(mean)[batch] / _frequency(values)


def _positive(scale: Tensor) -> Tensor:
    """Zero columns (padding) are divided by one."""
    return torch.where(scale > 0, scale, 1.0)


def _frequency(values: Tensor) -> Tensor:
    return torch.where(values < 1e-12, 1.0, values).sqrt()


_NORMS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "l1": _l1,
    "l2": _l2,
    "abs-max": _abs_max,
    "wavelength": _wavelength,
    "wavelength-asin": _wavelength_asin,
    "wavelength-soft": _wavelength_soft,
}
