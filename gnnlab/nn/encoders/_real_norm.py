"""Batch normalisation of padded rows."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.nn.norm import BatchNorm

__all__ = ["RealBatchNorm"]


class RealBatchNorm(BatchNorm):
    """:class:`gnnlab.nn.BatchNorm` of [..., F] whose statistics are those of the rows marked as real.

    Nothing depends on how many there are, so no device has to be asked; fewer than two leave the running statistics
    as they are.

    Shapes:
        * **x:** [..., F]
        * **real:** [...] bool
        * **output:** [..., F]
    """

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        rows = x.reshape(-1, x.size(-1))
        if not self.training:
            return self._normalised(rows).view_as(x)
        count = real.sum()
        share = real.reshape(-1, 1) / count.clamp(min=1)
        return self._padded(rows, count, share.to(torch.promote_types(x.dtype, torch.float32))).view_as(x)
