"""Encodings that are entries of a function of the Laplacian: the diagonal for nodes, the rest for pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._pairs import PairEncoding
from gnnlab.errors import ConfigError
from gnnlab.graph import laplacian_kernel
from gnnlab.transform import graph_ptr

__all__ = ["LaplacianFunctionPE"]


@dataclass(frozen=True, repr=False)
class LaplacianFunctionPE(PairEncoding):
    """Writes entries of f(L); subclasses say which function by calling :meth:`write`.

    Args:
        probes: Random sign vectors for components above ``dense_limit``, which are refused without.
        seed: Of the signs.
        dense_limit: Largest component that is decomposed.
        pairs: None by default; see :class:`PairEncoding`.
    """

    probes: int | None = field(default=None, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    dense_limit: int = field(default=3000, kw_only=True)
    pairs: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probes is not None and self.probes < 1:
            raise ConfigError(f"probes must be at least 1, got {self.probes}", where=type(self).__name__)

    @property
    def equivariance(self) -> str:
        """Signs are hashed from the numbers of the nodes."""
        return "exact" if self.probes is None else "up to ties"

    def write(
        self, data: Data, name: str, kernel: Callable[[Tensor], Tensor], scale: Tensor | float = 1.0, **options: Any
    ) -> None:
        """Write ``pe_<name>`` and the features of the chosen pairs.

        Args:
            data: Written to.
            name: Of the encoding.
            kernel: Eigenvalues [...] -> values of the functions [..., ``pair_channels``].
            scale: [``pair_channels``], multiplies them.
            options: Of :func:`gnnlab.graph.laplacian_kernel`.
        """
        ptr = graph_ptr(data)
        nodes = torch.arange(data.num_nodes, device=ptr.device).expand(2, -1)

        def encode(pairs: Tensor) -> Tensor:
            # Nodes come along with the pairs, so that every graph is decomposed once. A pair is a message from its
            # first node to its second one, whose row of a matrix that is not symmetric it is.
            values = scale * laplacian_kernel(
                data.edge_index,
                ptr,
                kernel,
                torch.cat([nodes, pairs.flip(0)], 1),
                edge_weight=data.get("edge_weight"),
                probes=self.probes,
                seed=self.seed,
                dense_limit=self.dense_limit,
                **options,
            )
            data[f"pe_{name}"] = values[: nodes.size(1)].float()
            return values[nodes.size(1) :]

        if self.pairs is None:
            encode(nodes[:, :0])
        self.write_pairs(data, name, encode)
