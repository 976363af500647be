"""Equivariant networks on stacks of square matrices of different sizes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn.linear import Linear

__all__ = ["MatrixToNode"]


class MatrixToNode(nn.Module):
    r"""2-IGN: equivariant linear layers on matrices with ReLU between, the last one gives a vector per row.

    "Invariant and Equivariant Graph Networks" (Maron et al., ICLR 2019, arXiv 1812.09902). A layer from matrices to
    matrices mixes all 15 equivariant linear maps (and two biases), the last one all 5 from matrices to rows. Sums
    over rows, columns and diagonals are means, as in the released code, so that values do not grow with the size.

    Args:
        in_channels: Channels of an entry.
        hidden_channels: Width of the hidden matrices.
        out_channels: Width of the output.
        num_layers: Number of layers, at least 1.

    Shapes:
        * **x:** [B, n, n, in_channels], zero at padding
        * **real:** [B, n] bool, False at padding
        * **output:** [B, n, out_channels]; nonsense at padding
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int, num_layers: int) -> None:
        super().__init__()
        if num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, got {num_layers}")
        widths = [in_channels] + [hidden_channels] * (num_layers - 1)
        self.hidden = nn.ModuleList(_MatrixLayer(width, hidden_channels) for width in widths[:-1])
        self.rows = Linear(3 * widths[-1], out_channels, bias=False)
        self.whole = Linear(2 * widths[-1], out_channels)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        size = real.sum(1).to(x.dtype)[:, None, None]
        entries = (real[:, :, None] & real[:, None, :]).unsqueeze(-1)
        for layer in self.hidden:
            x = layer(x, size).relu() * entries
        rows, whole = _means(x, size)
        return self.rows(rows) + self.whole(whole).unsqueeze(1)


class _MatrixLayer(nn.Module):
    """15 maps: 2 of entries, 9 from (diagonal, rows, columns) to the same, 4 from (trace, sum) to (diagonal, all)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.entries = Linear(in_channels, 2 * out_channels, bias=False)
        self.rows = Linear(3 * in_channels, 3 * out_channels, bias=False)
        self.whole = Linear(2 * in_channels, 2 * out_channels)

    def forward(self, x: Tensor, size: Tensor) -> Tensor:
        rows, whole = _means(x, size)
        straight, turned = self.entries(x).chunk(2, dim=-1)
        diagonal, row, column = self.rows(rows).chunk(3, dim=-1)
        on_diagonal, everywhere = self.whole(whole).unsqueeze(1).chunk(2, dim=-1)
        out = straight + turned.transpose(1, 2) + row.unsqueeze(2) + (column + everywhere).unsqueeze(1)
        return out + torch.diag_embed((diagonal + on_diagonal).transpose(1, 2), dim1=1, dim2=2)


def _means(x: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """[B, n, 3c] diagonal, means of rows and of columns; [B, 2c] mean of the diagonal and of everything."""
    diagonal = x.diagonal(dim1=1, dim2=2).transpose(1, 2)
    rows = torch.cat([diagonal, x.sum(2) / size, x.sum(1) / size], dim=-1)
    channels = 2 * x.size(-1)
    return rows, rows[..., :channels].sum(1) / size.squeeze(1)
