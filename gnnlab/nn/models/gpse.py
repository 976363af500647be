"""A network that learns encodings from noise, to be used as an encoding itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph._noise import node_normals
from gnnlab.nn._reset import reset
from gnnlab.nn.conv import GatedGCNConv
from gnnlab.nn.linear import Linear
from gnnlab.nn.models._batch import graph_pointer
from gnnlab.nn.models.gnn import GNN
from gnnlab.nn.norm import BatchNorm
from gnnlab.nn.virtual_node import VirtualNode

__all__ = ["GPSE"]


class GPSE(nn.Module):
    r"""Graph positional and structural encoder (Cantürk, Liu et al., ICML 2024, arXiv 2307.07107).

    A deep network sees the graph and independent noise at its nodes, nothing else, and is trained to predict
    encodings of the graph (:class:`gnnlab.encodings.EncodingTargets`):

    .. math::
        h = \mathrm{GNN}(G, z), \quad z_v \sim \mathcal N(0, I), \qquad \hat y_v^{(t)} = \mathrm{MLP}_t(h_v)

    The states before the heads, :meth:`embed`, are the encoding: they are ``hidden_channels`` wide, whatever the
    number of targets. :class:`gnnlab.training.PretrainedPE` writes them for another dataset.

    The network is a GatedGCN without edge features, with residual connections, a virtual node and BatchNorm (the
    released one normalises graph by graph).

    The noise makes nodes distinguishable, so outputs are random: in training it is drawn anew in every pass. In
    evaluation it is hashed from graph and ``seed``, the same alone and in any batch; it follows the numbering of the
    nodes, so outputs are invariant in distribution only, and ``num_draws`` of them are averaged.

    Args:
        out_channels: Width of all targets.
        target_channels: Widths of the targets with a head of their own, in the order of their columns; one head for
            all by default.
        hidden_channels: Width of the encoding.
        num_layers: Number of layers.
        noise_channels: Width of z.
        head_channels: Hidden width of a head.
        dropout: Probability of dropping a channel after every layer.
        num_draws: Draws of the noise in evaluation.
        seed: Of the noise in evaluation.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with ``edge_index`` or ``adj``
        * **output:** [N, out_channels]

    Raises:
        ConfigError: ``target_channels`` that do not add up to ``out_channels``.

    Example:
        >>> model = GPSE(6, target_channels=[4, 2], hidden_channels=8, num_layers=2)
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> model(path).shape, model.embed(path).shape
        (torch.Size([3, 6]), torch.Size([3, 8]))
    """

    def __init__(
        self,
        out_channels: int,
        target_channels: Sequence[int] | None = None,
        hidden_channels: int = 512,
        num_layers: int = 20,
        noise_channels: int = 20,
        head_channels: int = 32,
        dropout: float = 0.2,
        num_draws: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        widths = [out_channels] if target_channels is None else list(target_channels)
        if sum(widths) != out_channels:
            raise ConfigError(f"target_channels {widths} add up to {sum(widths)}, not to {out_channels}", where="GPSE")
        if num_draws < 1:
            raise ConfigError(f"num_draws must be at least 1, got {num_draws}", where="GPSE")
        self.settings: dict[str, Any] = {
            "out_channels": out_channels,
            "target_channels": widths,
            "hidden_channels": hidden_channels,
            "num_layers": num_layers,
            "noise_channels": noise_channels,
            "head_channels": head_channels,
            "dropout": dropout,
            "num_draws": num_draws,
            "seed": seed,
        }
        self.noise_channels, self.num_draws, self.seed = noise_channels, num_draws, seed
        self.network = GNN(
            hidden_channels,
            hidden_channels,
            num_layers,
            conv=partial(GatedGCNConv, dropout=dropout, edge_states=False),
            encoder=partial(_Noise, noise_channels),
            activation=None,
            norm=None,
            virtual_node=partial(VirtualNode, residual=True),
            head=_none,
            level="node",
        )
        self.heads = nn.ModuleList(_head(hidden_channels, head_channels, width) for width in widths)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def get_extra_state(self) -> dict[str, Any]:
        """The settings, so that a checkpoint says what network its weights belong to."""
        return self.settings

    def set_extra_state(self, state: dict[str, Any]) -> None:
        different = {key: value for key, value in state.items() if self.settings.get(key) != value}
        for key in ("num_draws", "seed"):  # no weight depends on them
            different.pop(key, None)
        if different:
            raise ConfigError(f"the weights belong to another network, with {different}", where="GPSE")

    def forward(self, batch: Data) -> Tensor:
        states = self.embed(batch)
        return torch.cat([head(states) for head in self.heads], -1)

    def embed(self, batch: Data) -> Tensor:
        """[N, hidden_channels], the learned encoding."""
        draws = 1 if self.training else self.num_draws
        return sum(self.network(self._noisy(batch, draw)) for draw in range(draws)) / draws

    def _noisy(self, batch: Data, draw: int) -> Data:
        """The graphs of the batch with noise for features."""
        adj, edge_index = batch.get("adj"), batch.get("edge_index")
        if edge_index is None:
            raise GraphError("the batch has no 'edge_index'", where="GPSE")
        like = next(self.parameters())
        if self.training:
            noise = torch.randn(batch.num_nodes, self.noise_channels, dtype=like.dtype, device=like.device)
        else:
            ptr = graph_pointer(batch, edge_index.new_empty(batch.num_nodes))
            # The seeds of several draws must not meet those of another seed.
            noise = node_normals(self.noise_channels, edge_index, ptr, self.seed * 65536 + draw).to(like)
        extra = {key: batch[key] for key in ("batch", "ptr") if batch.get(key) is not None}
        extra |= {} if adj is None else {"adj": adj}
        return Data(x=noise, edge_index=edge_index, num_nodes=batch.num_nodes, **extra)


class _Noise(nn.Module):
    """Noise to the width of the network; there are no edge features."""

    def __init__(self, noise_channels: int, channels: int) -> None:
        super().__init__()
        self.lin = Linear(noise_channels, channels)

    def forward(self, batch: Data) -> tuple[Tensor, None]:
        return self.lin(batch.x), None


def _head(in_channels: int, hidden: int, out_channels: int) -> nn.Module:
    return nn.Sequential(Linear(in_channels, hidden), BatchNorm(hidden), nn.ReLU(), Linear(hidden, out_channels))


def _none(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Identity()
