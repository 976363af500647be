"""Dynamically rewired message passing with delay, of Gutteridge et al."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges, accepted_arguments, propagate
from gnnlab.nn._relations import split_relations
from gnnlab.nn._reset import reset
from gnnlab.nn.conv import GCNConv
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer
from gnnlab.nn.models._layer import Layer
from gnnlab.nn.models._readout import JumpingKnowledge, build_readout
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["DRew", "HopWeights"]

HopWeights: TypeAlias = Literal["equal", "softmax"]


class DRew(nn.Module):
    r"""Dynamically rewired message passing with delay (Gutteridge et al., "DRew", ICML 2023, arXiv 2305.08018).

    Layer t reaches one hop further than the layer before it, and what comes from far away comes late:

    .. math::
        x_{t+1} = x_t + \mathrm{dropout}\Big(\phi\Big(\mathrm{norm}\Big(\sum_{k=1}^{\min(t + 1, K)}
        \alpha_{kt} \, \mathrm{conv}_{kt}(x_{t - \max(k - \nu, 0)}, A_k)\Big)\Big)\Big), \qquad t = 0, ..., L - 1,

    where :math:`A_k` holds the pairs of nodes at distance exactly k: the edges of ``edge_type`` k - 1, which
    ``gnnlab.rewiring.DRewShells`` writes. Every hop has weights and (for GCN) a normalisation of its own.

    With :math:`\nu = 1` a hop of length k costs k layers, as without rewiring, but skips the nodes between: L layers
    reach distance L. Without delay (:math:`\nu = \infty`) they reach distance L (L + 1) / 2.

    The released code keeps the self-loops of GCN in every hop, so that a node adds itself t + 1 times
    (``conv=GCNConv``), and leaves out hops of which a whole batch has no edge; here a node's result never
    depends on the rest of its batch.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width of the node states.
        num_layers: L, at least 1.
        max_hops: K; ``None`` sets no limit but the number of layers. Edges of longer hops are not seen.
        nu: :math:`\nu`, at least 1: distance up to which messages come without delay; ``None`` is
            :math:`\infty`, no delay.
        hop_weights: :math:`\alpha`: ``equal`` (all 1), or ``softmax`` (learned per layer, their mean being 1).
        conv: Factory (in_channels, out_channels) of the convolution of every hop; by default GCN without
            self-loops, the paper's DRew-GCN. Gets edge features and weights if it takes them.
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x`` where there is no encoder; it must equal ``hidden_channels``.
        norm: Factory (channels) of the normalisation of every layer; ``None`` for none.
        activation: Factory of :math:`\phi`; ``None`` for none.
        dropout: Probability of dropping a channel after every layer.
        input_dropout: Probability of dropping a channel before the first layer.
        jumping_knowledge: As in :class:`gnnlab.nn.GNN`.
        pool: How the nodes of a graph are pooled: ``mean``, ``sum``, ``max`` or ``min``.
        head: Factory (in_channels, out_channels) of the last network.
        level: What a prediction is made for: ``graph`` (pooled), ``node``, or ``link`` (node embeddings).

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`; without
          ``edge_type`` all edges are of hop 1
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that do not fit each other.
        GraphError: a batch without what the parts read.

    Example:
        >>> model = DRew(2, hidden_channels=8, num_layers=3, in_channels=8)
        >>> path = torch.tensor([[0, 1, 1, 2, 0, 2], [1, 0, 2, 1, 2, 0]])
        >>> model(Data(x=torch.randn(3, 8), edge_index=path, edge_type=torch.tensor([0, 0, 0, 0, 1, 1]))).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 4,
        max_hops: int | None = None,
        nu: int | None = 1,
        hop_weights: HopWeights = "equal",
        conv: Callable[[int, int], nn.Module] = lambda i, o: GCNConv(i, o, add_self_loops=False),
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        activation: Callable[[], nn.Module] | None = nn.ReLU,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        jumping_knowledge: JumpingKnowledge = "last",
        pool: Reduce = "mean",
        head: Callable[[int, int], nn.Module] = MLPHead,
        level: TaskLevel = "graph",
    ) -> None:
        super().__init__()
        for name, value in (("num_layers", num_layers), ("max_hops", max_hops), ("nu", nu)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}", where="DRew")
        if encoder is None and in_channels != hidden_channels:
            raise ConfigError(
                f"every layer adds its input, so without an encoder in_channels ({in_channels}) must be "
                f"hidden_channels ({hidden_channels})",
                where="DRew",
            )
        self.max_hops = num_layers if max_hops is None else min(max_hops, num_layers)
        self.encoder = None if encoder is None else encoder(hidden_channels)
        self.input_dropout = Dropout(input_dropout)
        style = {"norm": norm, "activation": activation, "dropout": dropout}
        self.layers = nn.ModuleList(
            _DelayedLayer(conv, hidden_channels, min(t + 1, self.max_hops), nu, hop_weights, **style)
            for t in range(num_layers)
        )
        if hasattr(self.encoder, "edge_tables"):
            self.encoder.edge_tables = all(layer.conv.reads_edge_tables for layer in self.layers)
        widths = [hidden_channels] * (num_layers + 1)
        self.readout = build_readout(widths, out_channels, head, pool if level == "graph" else None, jumping_knowledge)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        states = self.states(batch)
        return self.readout(states, graph_pointer(batch, states[0]))

    def states(self, batch: Data) -> list[Tensor]:
        """Node states [N, hidden_channels] before the first layer and after every layer, for analysis."""
        x, edge_attr = encoded(self.encoder, batch)
        edges = edges_of(batch, edge_attr, x.size(0))
        parts = split_relations(edges.adj, edges.relation, self.max_hops, strict=False)
        hops, states = [edges.only(part) for part in parts], [self.input_dropout(x)]
        for layer in self.layers:
            states.append(layer(states, hops))
        return states


class _DelayedLayer(Layer):
    """A layer whose convolution reads the states of all layers before it."""

    def __init__(
        self,
        conv: Callable[[int, int], nn.Module],
        channels: int,
        num_hops: int,
        nu: int | None,
        hop_weights: HopWeights,
        **style: object,
    ) -> None:
        def hop_sum(in_channels: int, out_channels: int) -> _HopSum:
            return _HopSum([conv(in_channels, out_channels) for _ in range(num_hops)], nu, hop_weights)

        super().__init__(hop_sum, channels, channels, residual=True, **style)

    def forward(self, states: list[Tensor], hops: Sequence[Edges]) -> Tensor:
        return self.update(self.conv(states, hops), states[-1])


class _HopSum(nn.Module):
    """Sum over the hops of what their convolutions make of delayed states; edge states go no further."""

    def __init__(self, convs: list[nn.Module], nu: int | None, hop_weights: HopWeights) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.accepted = accepted_arguments(convs[0])
        self.reads_edge_tables = all(getattr(conv, "reads_edge_tables", False) for conv in convs)
        self.delays = [0 if nu is None else max(hop - nu, 0) for hop in range(1, len(convs) + 1)]
        self.logits = nn.Parameter(torch.zeros(len(convs))) if hop_weights == "softmax" else None

    def reset_parameters(self) -> None:
        for conv in self.convs:
            reset(conv)
        if self.logits is not None:
            nn.init.zeros_(self.logits)

    def forward(self, states: list[Tensor], hops: Sequence[Edges]) -> Tensor:
        # Later hops have no convolution in the first layers.
        terms = [
            propagate(conv, self.accepted, states[-1 - delay], edges)[0]
            for conv, delay, edges in zip(self.convs, self.delays, hops, strict=False)
        ]
        if self.logits is not None:
            weights = len(terms) * self.logits.softmax(0)
            terms = [weight * term for weight, term in zip(weights, terms, strict=True)]
        return torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]
