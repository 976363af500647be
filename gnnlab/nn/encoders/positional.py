"""Encoders of positional encodings: from the attribute a transform wrote to a few more channels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.nn.linear import Linear
from gnnlab.nn.norm import BatchNorm

__all__ = ["DeepSetPEEncoder", "LinearPEEncoder"]


class LinearPEEncoder(nn.Module):
    r"""Linear map of a node encoding, after a BatchNorm of the raw values.

    The defaults are those of random-walk encodings in the tuned LRGB runs: return probabilities at steps
    1 to 20, BatchNorm, Linear to 28 channels.

    Args:
        attribute: Name of the encoding in the batch.
        in_channels: Its width.
        out_channels: Width of the output.
        raw_norm: ``batch`` for BatchNorm of the raw values, ``None`` for none.

    Shapes:
        * **batch.<attribute>:** [N, in_channels]
        * **output:** [N, out_channels]

    Raises:
        GraphError: the batch lacks the attribute.

    Example:
        >>> LinearPEEncoder()(Data(pe_rwse=torch.rand(3, 20))).shape
        torch.Size([3, 28])
    """

    def __init__(
        self,
        attribute: str = "pe_rwse",
        in_channels: int = 20,
        out_channels: int = 28,
        raw_norm: Literal["batch"] | None = "batch",
    ) -> None:
        super().__init__()
        self.attribute, self.out_channels = attribute, out_channels
        self.norm = nn.Identity() if raw_norm is None else BatchNorm(in_channels)
        self.lin = Linear(in_channels, out_channels)

    def forward(self, batch: Data) -> Tensor:
        return self.lin(self.norm(_encoding(batch, self.attribute)))


class DeepSetPEEncoder(nn.Module):
    r"""Deep set over the eigenpairs of the Laplacian (LapPE of GraphGPS, Rampášek et al., NeurIPS 2022).

    .. math::
        h_v = \sum_{i \text{ not padded}} \phi(s_i u_{iv}, \lambda_i),

    with :math:`\phi` two Linear layers, :math:`2 \to 2d \to d`, each followed by ReLU. Eigenvectors have no
    sign: in training :math:`s_i = \pm 1` is drawn once per index i and batch, else :math:`s_i = 1`.

    Args:
        attribute: Name of the eigenvector entries; the eigenvalues are ``<attribute>_values`` and
            ``<attribute>_mask`` tells real pairs from padding.
        out_channels: d, width of the output.

    Shapes:
        * **batch.<attribute>:** [N, k]
        * **batch.<attribute>_values:** [N, k]
        * **batch.<attribute>_mask:** [N, k] bool
        * **output:** [N, d]

    Raises:
        GraphError: the batch lacks one of the attributes.

    Example:
        >>> data = Data(pe_lap=torch.rand(3, 2), pe_lap_values=torch.rand(3, 2), pe_lap_mask=torch.ones(3, 2) > 0)
        >>> DeepSetPEEncoder()(data).shape
        torch.Size([3, 16])
    """

    def __init__(self, attribute: str = "pe_lap", out_channels: int = 16) -> None:
        super().__init__()
        self.attribute, self.out_channels = attribute, out_channels
        self.phi = nn.Sequential(
            Linear(2, 2 * out_channels), nn.ReLU(), Linear(2 * out_channels, out_channels), nn.ReLU()
        )

    def forward(self, batch: Data) -> Tensor:
        vectors = _encoding(batch, self.attribute)
        values = _encoding(batch, f"{self.attribute}_values")
        mask = _encoding(batch, f"{self.attribute}_mask")
        if self.training:
            vectors = vectors * (1 - 2 * torch.randint(2, (vectors.size(1),), device=vectors.device))
        pairs = self.phi(torch.stack([vectors, values], dim=-1))
        return (pairs * mask.unsqueeze(-1)).sum(dim=1)


def _encoding(batch: Data, attribute: str) -> Tensor:
    value = batch.get(attribute)
    if value is None:
        raise GraphError(
            f"the batch has no '{attribute}'",
            hint="add the encoding that writes it to data.transforms (see gnnlab.encodings)",
        )
    return value
