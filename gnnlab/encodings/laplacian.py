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
from gnnlab.graph import laplacian_eigh
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
        name: Prefix of the attributes.

    Shapes:
        writes ``pe_<name>`` [N, k] float32, ``pe_<name>_values`` [N, k] float32 (the eigenvalues of the
        graph, repeated for its nodes) and ``pe_<name>_mask`` [N, k] bool (False at padding).

    Example:
        >>> edge = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> encoded = LaplacianPE(k=3)(edge)
        >>> encoded.pe_lap_values[0].tolist(), encoded.pe_lap_mask[0].tolist()
        ([0.0, 2.0, 0.0], [True, True, False])
    """

    k: int
    normalization: str | None = None
    include_trivial: bool = True
    eigenvector_norm: str = "l2"
    name: str = "lap"

    version: ClassVar[int] = 1
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

    def forward(self, data: Data) -> Data:
        ptr = graph_ptr(data)
        spectrum = laplacian_eigh(
            data.edge_index, ptr, self.k, self.normalization, data.get("edge_weight"), trivial=self.include_trivial
        )
        batch = expand_ptr(ptr, spectrum.vectors.size(0))
        values = spectrum.values[batch]
        vectors = _NORMS[self.eigenvector_norm](spectrum.vectors, values, batch, ptr)
        data[f"pe_{self.name}"] = vectors.float()
        data[f"pe_{self.name}_values"] = values.float()
        data[f"pe_{self.name}_mask"] = spectrum.mask[batch]
        return data


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
