"""Encoder of Laplacian eigenpairs as a set: deep set or Transformer."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn._batch import graph_pointer
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.encoders._read import eigenpairs
from gnnlab.nn.encoders._real_norm import RealBatchNorm
from gnnlab.nn.linear import Linear
from gnnlab.nn.mlp import MLP
from gnnlab.ops import segment_expand

__all__ = ["LapPEEncoder"]


class LapPEEncoder(nn.Module):
    r"""Encoder of the eigenpairs of the Laplacian as a set of k pairs per node (LapPE of GraphGPS).

    "Recipe for a General, Powerful, Scalable Graph Transformer" (Rampášek et al., NeurIPS 2022, arXiv 2205.12454);
    the Transformer is that of SAN (Kreuzer et al., NeurIPS 2021, arXiv 2106.03893).

    .. math::
        h_v = \sum_{i \text{ not padded}} \phi(\{(s_j u_{jv}, \lambda_j)\}_j)_i

    ``deepset``: :math:`\phi` acts on every pair by itself: Linear layers :math:`2 \to 2d \to d`, each followed by
    ReLU. ``transformer``: a Linear :math:`2 \to d`, then self-attention among the pairs of a node. Eigenvectors
    have no sign: in training :math:`s_j = \pm 1` is drawn anew in every forward pass, else :math:`s_j = 1`.

    Args:
        attribute: Name of the eigenvector entries; the eigenvalues are ``<attribute>_values`` and
            ``<attribute>_mask`` tells real pairs from padding.
        out_channels: d, width of the output.
        model: ``deepset`` or ``transformer``.
        num_layers: Linear layers of the deep set, or attention layers of the Transformer, at least 1.
        heads: Attention heads of the Transformer; divides ``out_channels``.
        dropout: Probability of dropping a channel in the Transformer.
        raw_norm: ``batch`` for BatchNorm of entries and eigenvalues over all real pairs (unnormalised eigenvalues
            grow with the degree), ``None`` for none.
        pool: ``sum`` or ``mean`` over the real pairs.
        signs: ``graph`` draws a sign per eigenvector; ``batch`` one per index i for all graphs of the batch, as
            the released code of GraphGPS; ``None`` leaves the signs of the encoding.

    Shapes:
        * **batch.<attribute>:** [N, k], and [N, k] of ``_values`` and bool [N, k] of ``_mask``
        * **output:** [N, d]; 0 where a node has no pair

    Raises:
        ConfigError: unknown options, or heads that do not divide d.
        GraphError: the batch lacks one of the attributes.

    Example:
        >>> data = Data(pe_lap=torch.rand(3, 2), pe_lap_values=torch.rand(3, 2), pe_lap_mask=torch.ones(3, 2) > 0)
        >>> LapPEEncoder()(data).shape, LapPEEncoder(model="transformer")(data).shape
        (torch.Size([3, 16]), torch.Size([3, 16]))
    """

    def __init__(
        self,
        attribute: str = "pe_lap",
        out_channels: int = 16,
        model: Literal["deepset", "transformer"] = "deepset",
        num_layers: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        raw_norm: Literal["batch"] | None = None,
        pool: Literal["sum", "mean"] = "sum",
        signs: Literal["graph", "batch"] | None = "graph",
    ) -> None:
        super().__init__()
        choices = {"model": (model, _MODELS), "pool": (pool, ("sum", "mean")), "signs": (signs, (*_SIGNS, None))}
        for name, (value, known) in choices.items():
            if value not in known:
                hint = nearest(str(value), [str(choice) for choice in known])
                raise ConfigError(f"unknown {name} {value!r}", where="LapPEEncoder", hint=hint)
        if num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, got {num_layers}", where="LapPEEncoder")
        self.attribute, self.out_channels = attribute, out_channels
        self.pool, self.signs = pool, signs
        self.norm = None if raw_norm is None else RealBatchNorm(2)
        self.phi = _MODELS[model](out_channels, num_layers, heads, dropout)

    def forward(self, batch: Data) -> Tensor:
        vectors, values, mask = eigenpairs(batch, self.attribute, "LapPEEncoder")
        if self.training and self.signs is not None:
            vectors = vectors * _SIGNS[self.signs](vectors, batch)
        pairs = torch.stack([vectors, values], dim=-1)
        if self.norm is not None:
            pairs = self.norm(pairs, mask)
        encoded = self.phi(pairs, mask).masked_fill(~mask.unsqueeze(-1), 0).sum(dim=1)
        return encoded / mask.sum(1, keepdim=True).clamp(min=1) if self.pool == "mean" else encoded


class _DeepSet(nn.Sequential):
    def __init__(self, channels: int, num_layers: int, heads: int, dropout: float) -> None:
        widths = [2] + [2 * channels] * (num_layers - 1) + [channels]
        layers = ((Linear(*ends), nn.ReLU()) for ends in pairwise(widths))
        super().__init__(*(layer for pair in layers for layer in pair))

    def forward(self, pairs: Tensor, mask: Tensor) -> Tensor:
        return super().forward(pairs)


class _Transformer(nn.Module):
    def __init__(self, channels: int, num_layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        if channels % heads:
            raise ConfigError(f"{heads} heads do not divide out_channels={channels}", where="LapPEEncoder")
        self.lin = Linear(2, channels)
        self.layers = nn.ModuleList(_AttentionLayer(channels, heads, dropout) for _ in range(num_layers))

    def forward(self, pairs: Tensor, mask: Tensor) -> Tensor:
        states = self.lin(pairs)
        if not states.numel():
            return states
        # A softmax over nothing is NaN: a node without any pair attends to its padding, which is left out later.
        seen = mask | ~mask.any(1, keepdim=True)
        for layer in self.layers:
            states = layer(states, seen)
        return states


class _AttentionLayer(nn.Module):
    """Post-norm, as ``torch.nn.TransformerEncoderLayer``, with a hidden width of twice the channels."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, Dropout(dropout)
        self.project, self.out = Linear(channels, 3 * channels), Linear(channels, channels)
        self.update = MLP(channels, channels, expansion=2, dropout=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        parts = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*parts, attn_mask=seen[:, None, None])
        x = self.norms[0](self.dropout(self.out(attended.transpose(1, 2).flatten(2)), x))
        return self.norms[1](x + self.update(x))


def _signs_of_graphs(vectors: Tensor, batch: Data) -> Tensor:
    ptr = graph_pointer(batch, vectors)
    return segment_expand(_random_signs(vectors, ptr.numel() - 1), ptr, vectors.size(0))


def _signs_of_batch(vectors: Tensor, batch: Data) -> Tensor:
    return _random_signs(vectors, 1)


def _random_signs(vectors: Tensor, rows: int) -> Tensor:
    drawn = torch.randint(2, (rows, vectors.size(1)), device=vectors.device)
    return (1 - 2 * drawn).to(vectors.dtype)


_MODELS = {"deepset": _DeepSet, "transformer": _Transformer}
_SIGNS = {"graph": _signs_of_graphs, "batch": _signs_of_batch}
