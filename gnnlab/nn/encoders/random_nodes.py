"""Random node initialisation: features that tell nodes apart, drawn anew in every step of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn.encoders._structure import Structure, structure
from gnnlab.ops import expand_ptr

__all__ = ["RandomNodeInit"]


class RandomNodeInit(nn.Module):
    r"""I.i.d. random features of the nodes ("The surprising power of graph neural networks with random node
    initialization", Abboud et al., IJCAI 2021, arXiv 2010.01179).

    As an encoder of encodings its share of ``hidden_channels`` is the ratio of partial randomisation: with
    ``out_channels`` = 32 of 64, half of the features of a node are random. Equivariance holds in distribution. Pool
    by maximum, since a mean averages the noise away, and prefer a norm without batch statistics.

    In training features are drawn anew in every forward pass, from torch's random state. In evaluation (and with
    ``resample=False`` always) they are hashed from the graph, the places of its nodes and ``seed``: deterministic,
    and the same alone and in any batch. That is one draw; :class:`gnnlab.nn.AverageOverDraws` averages predictions
    over several (averages of features would tend to zero).

    Args:
        out_channels: Number of random features.
        distribution: ``"normal"`` (standard), ``"uniform"`` on [-1, 1], or these two scaled by Xavier's rule,
            ``"xavier-normal"`` with standard deviation :math:`\sqrt{2 / (n + d)}` and ``"xavier-uniform"`` on
            :math:`\pm \sqrt{6 / (n + d)}`, for the n nodes of the graph (not of the batch) and d features.
        resample: Whether training draws anew in every pass.
        seed: Of the draws that are hashed.

    Attributes:
        draw: Number of the draw in evaluation; :class:`gnnlab.nn.AverageOverDraws` counts it up.

    Shapes:
        * **batch:** ``edge_index`` or ``adj``
        * **output:** [N, out_channels]

    Raises:
        ConfigError: unknown distribution, or ``out_channels`` below 1.

    Example:
        >>> RandomNodeInit(5)(Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        out_channels: int = 32,
        distribution: Literal["normal", "uniform", "xavier-normal", "xavier-uniform"] = "normal",
        resample: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if distribution not in _SHAPES:
            raise ConfigError(
                f"unknown distribution {distribution!r}",
                where="RandomNodeInit",
                hint=nearest(str(distribution), _SHAPES),
            )
        if out_channels < 1:
            raise ConfigError(f"out_channels must be at least 1, got {out_channels}", where="RandomNodeInit")
        self.out_channels, self.distribution, self.resample, self.seed = out_channels, distribution, resample, seed
        self.draw = 0

    def forward(self, batch: Data) -> Tensor:
        graphs = structure(batch)
        dtype, device = torch.get_default_dtype(), graphs.ptr.device
        if self.training and self.resample:
            normal = torch.randn(graphs.num_nodes, self.out_channels, dtype=dtype, device=device)
        else:
            normal = graphs.normals(self.out_channels, self.seed + self.draw)
        return _SHAPES[self.distribution](normal, graphs).to(dtype)

    def extra_repr(self) -> str:
        return f"{self.out_channels}, distribution={self.distribution!r}, resample={self.resample}"


def _normal(normal: Tensor, graphs: Structure) -> Tensor:
    return normal


def _uniform(normal: Tensor, graphs: Structure) -> Tensor:
    return 2 * torch.special.ndtr(normal) - 1


def _xavier_normal(normal: Tensor, graphs: Structure) -> Tensor:
    return normal * _fan(normal, graphs).mul(2).sqrt()


def _xavier_uniform(normal: Tensor, graphs: Structure) -> Tensor:
    return _uniform(normal, graphs) * _fan(normal, graphs).mul(6).sqrt()


def _fan(normal: Tensor, graphs: Structure) -> Tensor:
    """[N, 1] one over the sum of the nodes of the graph and the features."""
    fan = (graphs.ptr.diff() + normal.size(1)).to(normal.dtype).reciprocal()
    return fan[expand_ptr(graphs.ptr, graphs.num_nodes), None]


_SHAPES: dict[str, Callable[[Tensor, Structure], Tensor]] = {
    "normal": _normal,
    "uniform": _uniform,
    "xavier-normal": _xavier_normal,
    "xavier-uniform": _xavier_uniform,
}
"""Standard normal numbers to those of every distribution."""
