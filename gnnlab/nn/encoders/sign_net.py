"""Sign-invariant encoder of eigenvectors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.nn._batch import adjacency
from gnnlab.nn.encoders._column_gin import ColumnGIN, Norm
from gnnlab.nn.encoders._read import eigenpairs
from gnnlab.nn.mlp import MLP

__all__ = ["SignNet"]


class SignNet(nn.Module):
    r"""Encoder of eigenvectors that does not see their signs.

    "Sign and Basis Invariant Networks for Spectral Graph Representation Learning" (Lim et al., ICLR 2023,
    arXiv 2202.13013).

    .. math::
        h = \rho\big([\phi(v_i) + \phi(-v_i)]_{i=1..k}\big)

    :math:`\phi` is a GIN on the graph with each eigenvector as a signal of one channel; all of them, and their
    negatives, go through it in one sparse product of 2k columns. :math:`\rho` is an MLP of the concatenation,
    or of the sum over the real pairs (``deepset``). The graph's edges are taken without weights.

    A sign is all it is blind to: the basis of an eigenspace of more than one dimension still matters (on a cycle
    of six, two eigenvalues are double). Use :class:`BasisNet` or :class:`SPE` where such spaces occur.

    Cost: time O(k (E + N d) d L), memory O(k N d L) for L layers of width d; no graph is too large.

    Args:
        attribute: Name of the eigenvector entries; ``<attribute>_values`` and ``<attribute>_mask`` beside it.
        out_channels: Width of the output.
        hidden_channels: d, width of :math:`\phi` and :math:`\rho`.
        phi_channels: Width of :math:`\phi(v_i)`.
        num_layers: Layers of the GIN.
        rho: ``deepset`` (any k), or ``mlp`` (needs ``k``).
        rho_layers: Linear layers of :math:`\rho`.
        k: Number of eigenpairs the encoding has; read only by ``mlp``.
        values: Whether the eigenvalue is a second channel of its eigenvector.
        norm: ``batch`` for BatchNorm in the GIN over the real entries, ``None`` for none.

    Shapes:
        * **batch.<attribute>:** [N, k], and [N, k] of ``_values`` and bool [N, k] of ``_mask``
        * **output:** [N, out_channels]

    Raises:
        ConfigError: an unknown ``rho``, or ``mlp`` without ``k``.
        GraphError: a missing attribute, or other than ``k`` eigenpairs.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), pe_lap=torch.rand(2, 3))
        >>> data.pe_lap_values, data.pe_lap_mask = torch.rand(2, 3), torch.ones(2, 3, dtype=torch.bool)
        >>> SignNet()(data).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        attribute: str = "pe_lap",
        out_channels: int = 16,
        hidden_channels: int = 64,
        phi_channels: int = 4,
        num_layers: int = 8,
        rho: Literal["deepset", "mlp"] = "deepset",
        rho_layers: int = 2,
        k: int | None = None,
        values: bool = False,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if rho not in ("deepset", "mlp"):
            raise ConfigError(f"unknown rho {rho!r}", where="SignNet", hint=nearest(str(rho), ("deepset", "mlp")))
        if rho == "mlp" and k is None:
            raise ConfigError("an MLP of all eigenvectors needs their number k", where="SignNet", hint="set k=")
        self.attribute, self.out_channels = attribute, out_channels
        self.k, self.values = k if rho == "mlp" else None, values
        self.phi = ColumnGIN(1 + values, hidden_channels, phi_channels, num_layers, norm)
        width = phi_channels * (self.k or 1)
        self.rho = MLP(width, out_channels, rho_layers, expansion=hidden_channels / out_channels)

    def forward(self, batch: Data) -> Tensor:
        vectors, values, mask = eigenpairs(batch, self.attribute, "SignNet")
        k = vectors.size(1)
        if self.k is not None and k != self.k:
            raise GraphError(
                f"'{self.attribute}' has {k} eigenpairs, but k={self.k}", where="SignNet", hint=f"set k={k}"
            )
        signals = torch.cat([vectors, -vectors], dim=1).unsqueeze(-1)
        if self.values:
            signals = torch.cat([signals, values.repeat(1, 2).unsqueeze(-1)], dim=-1)
        states = self.phi(signals, mask.repeat(1, 2), adjacency(batch, vectors.size(0)))
        states = (states[:, :k] + states[:, k:]).masked_fill(~mask.unsqueeze(-1), 0)
        return self.rho(states.sum(1) if self.k is None else states.flatten(1))
