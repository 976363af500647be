"""Encoders of any encoding that is a plain vector per node, edge or pair."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn.encoders._read import encoding
from gnnlab.nn.mlp import MLP
from gnnlab.nn.norm import BatchNorm

__all__ = ["KernelPEEncoder", "LinearPEEncoder"]


class KernelPEEncoder(nn.Module):
    r"""Perceptron of an encoding, after a BatchNorm of the raw values.

    "Recipe for a General, Powerful, Scalable Graph Transformer" (Rampášek et al., NeurIPS 2022, arXiv 2205.12454)
    encodes random-walk, heat kernel, electrostatic and other encodings like this. ReLU follows every Linear but
    the last, hidden layers are twice as wide as the output.

    Args:
        attribute: Name of the encoding in the batch; of edges (``edge_pe_<name>``) and pairs
            (``pair_pe_<name>``) as well as of nodes.
        in_channels: Its width.
        out_channels: Width of the output.
        num_layers: Number of Linear layers, at least 1.
        raw_norm: ``batch`` for BatchNorm of the raw values, ``None`` for none.

    Shapes:
        * **batch.<attribute>:** [N, in_channels]
        * **output:** [N, out_channels]

    Raises:
        GraphError: the batch lacks the attribute, or it is not ``in_channels`` wide.

    Example:
        >>> import torch
        >>> KernelPEEncoder("pe_heat", in_channels=8, num_layers=3)(Data(pe_heat=torch.rand(3, 8))).shape
        torch.Size([3, 28])
    """

    def __init__(
        self,
        attribute: str = "pe_rwse",
        in_channels: int = 20,
        out_channels: int = 28,
        num_layers: int = 2,
        raw_norm: Literal["batch"] | None = "batch",
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, got {num_layers}", where=type(self).__name__)
        self.attribute, self.in_channels, self.out_channels = attribute, in_channels, out_channels
        self.norm = nn.Identity() if raw_norm is None else BatchNorm(in_channels)
        self.mlp = MLP(in_channels, out_channels, num_layers, expansion=2)

    def forward(self, batch: Data) -> Tensor:
        raw = encoding(batch, self.attribute, type(self).__name__, self.in_channels)
        return self.mlp(self.norm(raw.to(self.mlp[0].weight.dtype)))

    def extra_repr(self) -> str:
        return f"{self.attribute!r}, {self.in_channels}, {self.out_channels}"


class LinearPEEncoder(KernelPEEncoder):
    r"""Linear map of an encoding, after a BatchNorm of the raw values: :class:`KernelPEEncoder` of one layer.

    The defaults are those of random-walk encodings in the tuned LRGB runs: return probabilities at steps
    1 to 20, BatchNorm, Linear to 28 channels.

    Args:
        attribute: Name of the encoding in the batch, of nodes, edges or pairs.
        in_channels: Its width.
        out_channels: Width of the output.
        raw_norm: ``batch`` for BatchNorm of the raw values, ``None`` for none.

    Shapes:
        * **batch.<attribute>:** [N, in_channels]
        * **output:** [N, out_channels]

    Raises:
        GraphError: the batch lacks the attribute, or it is not ``in_channels`` wide.

    Example:
        >>> import torch
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
        super().__init__(attribute, in_channels, out_channels, num_layers=1, raw_norm=raw_norm)
