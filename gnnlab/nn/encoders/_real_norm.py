"""Batch normalisation of padded rows."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.nn.norm import BatchNorm

__all__ = ["RealBatchNorm"]


class RealBatchNorm(BatchNorm):
    """:class:`gnnlab.nn.BatchNorm` of [..., F] whose statistics are those of the rows marked as real.

    No device is asked how many there are; fewer than two leave the running statistics as they are.

    Shapes:
        * **x:** [..., F]
        * **real:** [...] bool
        * **output:** [..., F]
    """

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        rows = x.reshape(-1, x.size(-1))
        # On the CPU, where looking costs no synchronisation, batches without padding go the fused way.
        if not self.training or (self._real is None and real.device.type == "cpu" and bool(real.all())):
            return super().forward(rows).view_as(x)
        count = real.sum()
        share = real.reshape(-1, 1) / count.clamp(min=1)
        return self._padded(rows, count, share.to(torch.promote_types(x.dtype, torch.float32))).view_as(x)
