"""Cooperative networks: every node chooses in every layer whether to listen and whether to broadcast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn._actions import ActionForm, ActionNetwork, ConvFactories, Decision, Evaluation, check_choice
from gnnlab.nn._environment import Aggregate, Environment
from gnnlab.nn._gumbel import gumbel, hashed_gumbel
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._reset import reset
from gnnlab.nn.conv.sum_mean_conv import SumMeanConv
from gnnlab.nn.encoders import FeatureEncoder, LinearEncoder
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.models._batch import edges_of, graph_pointer
from gnnlab.nn.models._layer import Layer
from gnnlab.nn.models._readout import build_readout
from gnnlab.nn.node_product import NodeProduct
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["CoGNN", "LayerActions"]

_STREAM = 1 << 20


class LayerActions(NamedTuple):
    """What happened in one layer.

    Args:
        action: [N] long, 0 standard, 1 listen, 2 broadcast, 3 isolate.
        weight: [E] edge weights, in the order of ``edge_index``: 1 kept and 0 left out (or probabilities).
    """

    action: Tensor
    weight: Tensor

    @property
    def kept_ratio(self) -> Tensor:
        """0-d, share of the edges that are kept; 0 if there are none."""
        return self.weight.sum() / max(self.weight.numel(), 1)


class CoGNN(nn.Module):
    r"""Cooperative graph neural network :math:`\mathrm{CO}(\pi, \eta)` (Finkelshtein, Huang, Bronstein, Ceylan,
    "Cooperative Graph Neural Networks", ICML 2024, arXiv 2310.01267).

    In every layer every node takes one of four actions: *standard* (listen and broadcast), *listen*, *broadcast* or
    *isolate*. An action network :math:`\pi`, the same in all layers, chooses; an environment network
    :math:`\eta`, one per layer, passes messages along what is left of the graph:

    .. math::
        \mathrm{in}, \mathrm{out} \in \{0, 1\}^N \sim \pi(h), \quad
        w_{uv} = \mathrm{out}_u \cdot \mathrm{in}_v, \quad
        h' = \mathrm{norm}\big(h + \mathrm{dropout}(\phi(\eta_l(h, w)))\big), \quad
        1 / \tau_v = \mathrm{softplus}(\omega^\top h_v) + \tau_0

    Training samples actions with the straight-through Gumbel-softmax estimator, from torch's random numbers: weights
    are exactly 0 or 1, gradients are those of the soft sample of temperature :math:`\tau`.

    **Evaluation is deterministic.** ``argmax`` takes the most likely actions. ``sample`` averages the predictions of
    ``num_samples`` draws, from numbers hashed from graph and ``seed``: the same in every run and in any batch, but
    dependent on the numbering of the nodes. (The released code draws anew in every evaluation, so that its test
    metrics, and the validation metrics it selects by, are random.) ``expected`` weights edges by the probabilities.

    Defaults follow the paper; the released code is reproduced by ``action_form="separate", aggregate="full",
    shared_norm=True, evaluation="sample"`` and, from three layers on, ``head`` = :class:`gnnlab.nn.RepeatedHead`. It
    applies dropout before the activation, which makes no difference for ReLU.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width of the node states.
        num_layers: Layers of the environment network, at least 1.
        action: Factory (in_channels, out_channels) of the convolutions of :math:`\pi`, or a list with one for each
            of its layers. The first gets the edge features of the encoder, the others none.
        environment: Factory (in_channels, out_channels) of :math:`\eta_l`, any convolution that takes ``edge_weight``;
            the default is the MeanGNN :math:`\mu`.
        action_layers: Layers of :math:`\pi`; read only where ``action`` is a single factory.
        action_channels: Width between them.
        action_form: ``independent``: one network, of which two logits decide on listening and two on broadcasting.
            ``joint``: its four logits are those of the four actions, as the paper writes it. ``separate``: a network
            for listening and one for broadcasting, as released.
        temperature: ``learned`` per node, or a constant :math:`\tau`; without effect on evaluation.
        tau0: :math:`\tau_0`, at least 0.
        aggregate: What a mean (or a softmax) over neighbours runs over: ``active``, those that broadcast, as the paper
            defines it; ``full``, all of them, the inactive ones counting as zeros, as released.
        evaluation: ``argmax``, ``sample`` or ``expected``.
        num_samples: Draws of an evaluation that samples.
        seed: Of these draws.
        encoder: Factory (channels) of an encoder, as in :class:`gnnlab.nn.GNN`; ``None`` is a Linear with dropout and
            activation, as in the paper.
        in_channels: Width of ``x``; read only without an encoder.
        norm: Factory (channels) of the normalisation before the first and after every layer; ``None`` for none.
        shared_norm: Whether all of these are one and the same, as in the released code.
        activation: Factory of :math:`\phi`; ``None`` for none.
        dropout: Probability of dropping a channel after every layer.
        residual: Whether every layer adds its input.
        pool: How the nodes of a graph are pooled: ``mean``, ``sum``, ``max`` or ``min``.
        head: Factory (in_channels, out_channels) of the last network.
        level: What a prediction is made for: ``graph`` (pooled), ``node``, or ``link`` (node embeddings).

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that do not fit each other, an environment to which no edge can be left out.
        GraphError: a batch without what the parts read; in training, a temperature that is not finite.

    Example:
        >>> model = CoGNN(2, hidden_channels=8, num_layers=3, in_channels=5)
        >>> data = Data(x=torch.randn(4, 5), edge_index=torch.tensor([[0, 1, 2], [1, 0, 3]]))
        >>> model(data).shape, len(model.actions(data))
        (torch.Size([1, 2]), 3)
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 4,
        action: ConvFactories = SumMeanConv,
        environment: Callable[[int, int], nn.Module] = SumMeanConv,
        action_layers: int = 1,
        action_channels: int = 16,
        action_form: ActionForm = "independent",
        temperature: float | Literal["learned"] = "learned",
        tau0: float = 0.1,
        aggregate: Aggregate = "active",
        evaluation: Evaluation = "argmax",
        num_samples: int = 1,
        seed: int = 0,
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        shared_norm: bool = False,
        activation: Callable[[], nn.Module] | None = nn.ReLU,
        dropout: float = 0.0,
        residual: bool = True,
        pool: Reduce = "mean",
        head: Callable[[int, int], nn.Module] = MLPHead,
        level: TaskLevel = "graph",
    ) -> None:
        super().__init__()
        check_choice("evaluation", evaluation, ("argmax", "sample", "expected"), "CoGNN")
        for name, value in (("num_layers", num_layers), ("num_samples", num_samples)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}", where="CoGNN")
        if encoder is None:
            if in_channels is None:
                raise ConfigError("the model has neither an encoder nor in_channels, so the width of x is unknown")
            linear = partial(LinearEncoder, in_channels=in_channels, dropout=dropout, activation=activation)
            encoder = partial(FeatureEncoder, node=linear)
        if shared_norm and norm is not None:
            one = norm(hidden_channels)
            norm = partial(_same, one)
        self.evaluation, self.num_samples, self.seed = evaluation, num_samples, seed
        self.encoder = encoder(hidden_channels)
        self.norm = nn.Identity() if norm is None else norm(hidden_channels)
        self.action = ActionNetwork(
            hidden_channels, action, action_layers, action_channels, action_form, temperature, tau0, dropout
        )
        style = {"norm": norm, "activation": activation, "dropout": dropout, "residual": residual}
        self.layers = nn.ModuleList(
            _CooperativeLayer(environment, hidden_channels, aggregate, **style) for _ in range(num_layers)
        )
        if hasattr(self.encoder, "edge_tables"):
            readers = (self.action, *(layer.conv for layer in self.layers))
            self.encoder.edge_tables = all(reader.reads_edge_tables for reader in readers)
        self.readout = build_readout([hidden_channels], out_channels, head, pool if level == "graph" else None, "last")

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        x, edges = self._encoded(batch)
        draws = self.num_samples if self.evaluation == "sample" and not self.training else 1
        runs = [[state for state, _ in self._layers(x, edges, draw)] for draw in range(draws)]
        predictions = [self.readout(states, edges.ptr) for states in runs]
        return predictions[0] if draws == 1 else torch.stack(predictions).mean(0)

    def states(self, batch: Data) -> list[Tensor]:
        """Node states [N, hidden_channels] before the first layer and after every layer, for analysis; of the first
        draw, where evaluation samples."""
        return [state for state, _ in self._layers(*self._encoded(batch), draw=0)]

    @torch.no_grad()
    def actions(self, batch: Data) -> list[LayerActions]:
        """What the nodes do in every layer, and what that leaves of the edges, for analysis; as :meth:`states`."""
        x, edges = self._encoded(batch)
        decisions = [decision for _, decision in self._layers(x, edges, draw=0)][1:]
        return [LayerActions(decision.action, decision.weight(edges.adj)) for decision in decisions]

    def _encoded(self, batch: Data) -> tuple[Tensor, Edges]:
        x, edge_attr = self.encoder(batch)
        return x, edges_of(batch, edge_attr, x.size(0), graph_pointer(batch, x))

    def _layers(self, x: Tensor, edges: Edges, draw: int) -> Iterator[tuple[Tensor, Decision | None]]:
        noise = self._noise(x, edges, draw)
        x = self.norm(x)
        yield x, None
        for layer, gumbels in zip(self.layers, noise, strict=True):
            decision = self.action(x, edges, gumbels, self.evaluation)
            x, edges = layer(x, edges, decision.product)
            yield x, decision

    def _noise(self, x: Tensor, edges: Edges, draw: int) -> Tensor | list[None]:
        """[L, N, 4], all numbers of a pass."""
        count = len(self.layers)
        if self.training:
            return gumbel((count, x.size(0), 4), x)
        if self.evaluation != "sample":
            return [None] * count
        edge_index = edges.adj.edge_index if edges.edge_index is None else edges.edge_index
        numbers = hashed_gumbel(4 * count, edge_index, edges.ptr, self.seed * _STREAM + draw)
        return numbers.view(-1, count, 4).transpose(0, 1)


class _CooperativeLayer(Layer):
    """An environment network, and what follows it."""

    def __init__(
        self, environment: Callable[[int, int], nn.Module], channels: int, aggregate: Aggregate, **style: object
    ) -> None:
        def build(in_channels: int, out_channels: int) -> Environment:
            return Environment(environment(in_channels, out_channels), in_channels, aggregate)

        super().__init__(build, channels, channels, norm_position="post", **style)

    def forward(self, x: Tensor, edges: Edges, active: NodeProduct) -> tuple[Tensor, Edges]:
        out, edge_attr = self.conv(x, edges, active)
        return self.update(out, x), edges if edge_attr is edges.attr else replace(edges, attr=edge_attr)


def _same(module: nn.Module, channels: int) -> nn.Module:
    return module
