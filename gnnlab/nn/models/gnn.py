"""A stack of message-passing layers, assembled from factories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn._reset import reset
from gnnlab.nn.conv import GCNConv
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.models._batch import complete_edges, edges_of, encoded, graph_pointer, pairs_of
from gnnlab.nn.models._layer import Layer, NormPosition
from gnnlab.nn.models._readout import JumpingKnowledge, build_readout
from gnnlab.ops import segment_expand
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["GNN", "EdgeLevel"]

EdgeLevel: TypeAlias = Literal["edge", "pair"]

_EDGES = {"edge": edges_of, "pair": pairs_of}


class GNN(nn.Module):
    r"""Encoder, ``num_layers`` message-passing layers, readout.

    .. math::
        h^{(0)} = \mathrm{encoder}(\mathrm{batch}), \qquad
        h^{(l+1)} = h^{(l)} + \mathrm{dropout}(\phi(\mathrm{norm}(\mathrm{conv}_l(h^{(l)})))), \qquad
        \hat y = \mathrm{head}(\mathrm{pool}(h^{(L)}))

    Every part is a factory that gets its widths from the model, so that a width is stated once. Any PyG
    layer serves as ``conv``: layers with an argument ``adj`` get the batch's CSR, others its
    ``edge_index``, and ``edge_attr``, ``edge_weight`` and ``edge_type`` go to those whose ``forward`` takes
    them (a batch without ``edge_type`` is all of relation 0). Layers that work on whole graphs get ``ptr`` (PyG's:
    ``batch``), those that scale by it the ``degree`` of the nodes. A layer may return new edge states beside the
    node states.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width of the node states.
        num_layers: Number of layers, at least 1.
        conv: Factory (in_channels, out_channels) of a convolution.
        encoder: Factory (channels) of a module that maps the batch to (node states, edge features), such as
            :class:`gnnlab.nn.FeatureEncoder`; ``None`` feeds ``x`` and ``edge_attr`` to the first layer.
        in_channels: Width of ``x``; read only without an encoder.
        norm: Factory (channels) of the normalisation of every layer; ``None`` for none.
        norm_position: ``inner`` (after the convolution), ``pre`` (before it, and once more after the last
            layer) or ``post`` (after the residual).
        activation: Factory of the activation :math:`\phi` of every layer; ``None`` for none.
        last_activation: Whether the last layer has an activation (OGB's baselines have none).
        residual: Whether every layer adds its input, where the widths agree.
        dropout: Probability of dropping a channel after every layer.
        input_dropout: Probability of dropping a channel before the first layer.
        fully_adjacent_last: Whether the last layer works on the complete graph, without edge features
            (Alon and Yahav, "On the bottleneck of graph neural networks", ICLR 2021).
        relations: Edge types every layer sees, repeated cyclically over the layers; ``None`` shows all edges to
            all layers. ``[[0], [1]]`` alternates between the graph and its rewired edges (expander graph
            propagation, Deac et al., LoG 2022); ``[[0], [0], [0], [0, 1]]`` keeps those for the last of four.
            A last layer that is fully adjacent has no relations.
        edges: What layers pass messages along: ``edge``, the edges of the graph, or ``pair``, the node pairs
            ``pair_index`` that an encoding of pairs wrote, with the second output of the encoder [P, channels] as their
            states (:class:`gnnlab.nn.GRITConv`).
        virtual_node: Factory (channels, num_updates) of one more state per graph, such as
            :class:`gnnlab.nn.VirtualNode`; ``None`` for none.
        jumping_knowledge: States the readout sees: ``last``; ``sum`` or ``cat`` of all, the encoder's included
            (Xu et al., ICML 2018); ``score``: each by its own head, summed (GIN).
        pool: How the nodes of a graph are pooled: ``mean``, ``sum``, ``max`` or ``min``.
        head: Factory (in_channels, out_channels) of the last network; ``None`` lets the last layer, without
            normalisation, activation, dropout and residual, produce the prediction (Kipf and Welling).
        level: What a prediction is made for: ``graph`` (pooled), ``node``, or ``link`` (node embeddings).

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: parts that do not fit each other.
        GraphError: a batch without what the parts read.

    Example:
        >>> from functools import partial
        >>> from gnnlab.nn import FeatureEncoder, GINEConv, LinearEncoder
        >>> encoder = partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=7))
        >>> model = GNN(2, hidden_channels=16, num_layers=3, conv=GINEConv, encoder=encoder)
        >>> model(Data(x=torch.randn(4, 7), edge_index=torch.tensor([[0, 1, 2], [1, 0, 3]]))).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 4,
        conv: Callable[[int, int], nn.Module] = GCNConv,
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        norm_position: NormPosition = "inner",
        activation: Callable[[], nn.Module] | None = nn.ReLU,
        last_activation: bool = True,
        residual: bool = True,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        fully_adjacent_last: bool = False,
        relations: Sequence[Sequence[int]] | None = None,
        edges: EdgeLevel = "edge",
        virtual_node: Callable[[int, int], nn.Module] | None = None,
        jumping_knowledge: JumpingKnowledge = "last",
        pool: Reduce = "mean",
        head: Callable[[int, int], nn.Module] | None = MLPHead,
        level: TaskLevel = "graph",
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, got {num_layers}")
        first = hidden_channels if encoder is not None else in_channels
        if first is None:
            raise ConfigError("the model has neither an encoder nor in_channels, so the width of x is unknown")
        if virtual_node is not None and first != hidden_channels:
            raise ConfigError(f"a virtual node needs nodes of one width, but x has {first}", hint="add an encoder")
        if relations is not None and (not relations or not all(relations)):
            raise ConfigError(f"relations must name at least one edge type per layer, got {list(relations)}")
        if edges not in _EDGES:
            raise ConfigError(f"unknown edges {edges!r}", where="GNN", hint=nearest(str(edges), _EDGES))
        if edges == "pair" and (encoder is None or relations is not None):
            found = "relations, which pairs of nodes do not have" if encoder else "no encoder, which encodes the pairs"
            raise ConfigError(f"edges='pair' with {found}", where="GNN")
        seen = [None if relations is None else relations[i % len(relations)] for i in range(num_layers)]
        if fully_adjacent_last:
            seen[-1] = None
        widths = [first] + [hidden_channels] * (num_layers - 1)
        widths.append(out_channels if head is None else hidden_channels)
        style = {
            "norm": norm,
            "norm_position": norm_position,
            "activation": activation,
            "dropout": dropout,
            "residual": residual,
        }
        last_style = {} if head is None else style if last_activation else style | {"activation": None}
        pre_norm = norm is not None and norm_position == "pre" and head is not None

        self.fully_adjacent_last, self.edges = fully_adjacent_last, edges
        self.encoder = None if encoder is None else encoder(hidden_channels)
        self.input_dropout = Dropout(input_dropout)
        styles = [style] * (num_layers - 1) + [last_style]
        self.layers = nn.ModuleList(
            Layer(conv, *pair, **style, relations=types)
            for pair, style, types in zip(pairwise(widths), styles, seen, strict=True)
        )
        if hasattr(self.encoder, "edge_tables"):
            self.encoder.edge_tables = all(getattr(layer.conv, "reads_edge_tables", False) for layer in self.layers)
        self.final_norm = norm(hidden_channels) if pre_norm else nn.Identity()
        self.virtual_node = None if virtual_node is None else virtual_node(hidden_channels, num_layers - 1)
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
        """Node states [N, hidden_channels] before the first layer and after every layer, for analysis.

        Where there is a virtual node, its state is part of the states it was added to.
        """
        x, edge_attr = encoded(self.encoder, batch)
        ptr = graph_pointer(batch, x)
        edges = _EDGES[self.edges](batch, edge_attr, x.size(0), ptr)
        states = [self.input_dropout(x)]
        if self.virtual_node is not None:
            shared = self.virtual_node.initial(ptr.numel() - 1)
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            if self.virtual_node is not None:
                states[-1] = states[-1] + segment_expand(shared, ptr, x.size(0))
            if self.fully_adjacent_last and index == last:
                edges = complete_edges(edges, x.size(0))
            x, edges = layer(states[-1], edges)
            if self.virtual_node is not None and index < last:
                shared = self.virtual_node(states[-1], shared, ptr, index)
            states.append(x)
        states[-1] = self.final_norm(states[-1])
        return states
