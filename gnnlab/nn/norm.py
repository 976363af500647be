"""Normalisation over the nodes of a batch that does not fail on a batch of one, nor count padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch_geometric.nn import norm as pyg

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import batch_norm

__all__ = ["BatchNorm", "normalise_and_activate", "real_rows"]

_LARGE = 2**19
"""Numbers from which our own passes beat torch's, on the CPU in single precision."""

_MIXING = (_NormBase, pyg.GraphNorm, pyg.LayerNorm, pyg.PairNorm, pyg.MeanSubtractionNorm, pyg.DiffGroupNorm)
"""What computes statistics of many rows."""


class BatchNorm(nn.BatchNorm1d):
    """``torch.nn.BatchNorm1d`` for the nodes, edges or graphs of a union.

    A training batch with fewer than two rows (a last batch of one graph reaching a virtual node, a graph
    of one node) has no variance: it is normalised by the running statistics and leaves them as they are,
    where ``BatchNorm1d`` raises for one row and spoils its statistics for none. Padding rows do not take
    part in the statistics within :func:`real_rows`.

    Args:
        channels: F.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.

    Shapes:
        * **x:** [N, F]
        * **relu:** whether negative results become 0, in the same pass
        * **output:** [N, F]

    Example:
        >>> BatchNorm(3)(torch.ones(1, 3)).shape
        torch.Size([1, 3])
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self._real: _RealRows | None = None

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        if self.fuses(x):
            out, mean, variance = batch_norm(x, self.weight, self.bias, self.eps, relu)
            self.follow(mean, variance, x.size(0))
            return out
        out = self._normalised(x)
        return out.relu() if relu else out

    def fuses(self, x: Tensor) -> bool:
        """Whether ``x`` is normalised by its own statistics in our passes; others then may do it in theirs."""
        return self.training and self._real is None and _suits(x)

    def follow(self, mean: Tensor, variance: Tensor, rows: int) -> None:
        """Move the running statistics towards those of a batch of so many rows (``variance`` over all of them)."""
        self._track(mean, variance * (rows / (rows - 1)))

    def _normalised(self, x: Tensor) -> Tensor:
        if self._real is not None and self.training:
            return self._padded(x, *self._real.of(x))
        if x.size(0) < 2:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)

    @torch.no_grad()
    def _track(self, mean: Tensor, unbiased: Tensor, batches: Tensor | int = 1) -> None:
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked.add_(batches)

    def _padded(self, x: Tensor, count: Tensor, share: Tensor) -> Tensor:
        """The same from the first ``count`` rows, without waiting for that number: ``share`` is 1 / count, then 0."""
        values = x.to(share.dtype)
        mean = (values * share).sum(0)
        variance = ((values - mean).square() * share).sum(0)
        # Fewer than two rows, again, are left to the running statistics.
        enough = count > 1
        mean = torch.where(enough, mean, self.running_mean)
        variance = torch.where(enough, variance, self.running_var)
        self._track(mean, torch.where(enough, variance * (count / (count - 1)), variance), enough)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return torch.addcmul(self.bias, values - mean, scale).to(x.dtype)


def normalise_and_activate(norm: nn.Module, activation: nn.Module, x: Tensor) -> Tensor:
    """``activation(norm(x))``, in one pass where both are what mostly goes together."""
    if type(norm) is BatchNorm and type(activation) is nn.ReLU:
        return norm(x, relu=True)
    return activation(norm(x))


def _suits(x: Tensor) -> bool:
    large = x.dim() == 2 and x.size(0) > 1 and x.numel() >= _LARGE
    return large and x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class _RealRows:
    """Per padded length: how many rows are real, and their weights in a mean; computed once per batch and dtype."""

    def __init__(self, padding: Mapping[int, Tensor]) -> None:
        self._padding = padding
        self._known: dict[tuple[int, torch.dtype], tuple[Tensor, Tensor]] = {}

    def of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """0-d number of real rows, and [N, 1] its inverse on them and 0 on padding, in float32 at least."""
        if x.size(0) not in self._padding:
            raise GraphError(
                f"x has {x.size(0)} rows, but the levels of the padded batch have {sorted(self._padding)}",
                hint="normalise nodes, edges or graphs, or train without padding",
            )
        dtype = torch.promote_types(x.dtype, torch.float32)
        if (x.size(0), dtype) not in self._known:
            count = self._padding[x.size(0)]
            real = torch.arange(x.size(0), device=x.device) < count
            count = count.to(dtype)
            self._known[x.size(0), dtype] = count, (real / count.clamp(min=1)).to(dtype).unsqueeze(1)
        return self._known[x.size(0), dtype]


@contextmanager
def real_rows(model: nn.Module, padding: Mapping[int, Tensor] | None) -> Iterator[None]:
    """Within the block, every :class:`BatchNorm` of ``model`` leaves padding rows out of its statistics.

    Args:
        model: The network.
        padding: Length of a level -> 0-d integer tensor, how many of its first rows are real, for every level
            that is normalised; a padded batch brings it as ``batch.padding``. ``None`` changes nothing.

    Raises:
        ConfigError: another normalisation in the model, which would count padding rows among the real ones.
        GraphError: (when the model is called) an input whose length is none of the padded ones.

    Example:
        >>> norm, x = BatchNorm(1), torch.tensor([[1.0], [3.0], [77.0]])
        >>> with real_rows(norm, {3: torch.tensor(2)}):
        ...     norm(x)[:2].round().tolist()
        [[-1.0], [1.0]]
    """
    norms = [] if padding is None else [module for module in model.modules() if isinstance(module, _MIXING)]
    for norm in norms:
        if not isinstance(norm, BatchNorm):
            raise ConfigError(
                f"{type(norm).__name__} would count the padding rows of a batch among the real ones",
                hint="use gnnlab.nn.BatchNorm, or train without padding (data.pad=false, model.capture=false)",
            )
    real = None if padding is None else _RealRows(padding)
    for norm in norms:
        norm._real = real
    try:
        yield
    finally:
        for norm in norms:
            norm._real = None
