"""Path neural network, of Michel et al."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.nn._path_lstm import EdgeInput, PathLSTM
from gnnlab.nn._perceptron import perceptron
from gnnlab.nn._reset import reset
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.linear import Linear
from gnnlab.nn.models._batch import encoded, graph_pointer
from gnnlab.nn.models._readout import Readout
from gnnlab.nn.norm import BatchNorm, normalise_and_activate
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["PathNN"]


class PathNN(nn.Module):
    r"""Path neural network ("Path Neural Networks: Expressive and Accurate Graph Neural Networks", Michel,
    Nikolentzos, Lutzeyer, Vazirgiannis; ICML 2023, arXiv 2306.05955).

    Layer l = 1, ..., K reads the paths :math:`P_l(v)` of length l from every node v, far end first, v last:

    .. math::
        h_v \leftarrow \phi_l\Big(h_v + \sum_{p \in P_l(v)} \mathrm{LSTM}(h_{p_l}, \dots, h_{p_1}, h_v)\Big)

    with one LSTM for all layers. The transform :class:`gnnlab.lifting.Paths` writes the paths, of which there are three
    kinds: all simple paths (AP, with ``distances`` in the paper), all shortest paths (SP+), one shortest path for every
    pair of nodes (SP, which depends on the numbering of the nodes). A layer without paths is :math:`\phi_l(h_v)`.

    :math:`\phi` is activation(norm(.)) in the paper's runs on the TU datasets, and in those on molecules
    (``update_layers=2``) norm, dropout, and two times Linear, norm, activation. Its synthetic runs have no norm.

    The result is that of ``torch.nn.LSTM`` over all paths, but inputs are projected per node before they are gathered,
    and paths of one length share the states of what they have in common at their far end (on the CPU): time and memory
    follow :math:`\sum_l \sum_{j \le l} P_j` d instead of :math:`\sum_l (l + 1) P_l` times the width of all inputs.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width d of the node states.
        length: K, number of layers and length of the longest paths. (The released code states K + 1.)
        distances: Whether a step also reads an embedding of its distance to v (``Paths(distances=True)``).
        edges: Whether a step also reads the features of the edge taken to it (``Paths(edges=True)``, and an encoder of
            edges); zeros at the far end.
        path_reduce: ``sum`` or ``mean`` over the paths of a node.
        residual: Whether a layer adds :math:`h_v`.
        norm: Factory (channels) of the normalisations; ``None`` for none.
        update_layers: Linear layers of :math:`\phi`.
        sum_norm: Whether :math:`\phi` begins with a norm. In the released code it does not where molecules average.
        activation: Factory of the activation of :math:`\phi`.
        normalise: Whether states are scaled to length 1 before every layer, as in the synthetic runs.
        dropout: Probability of dropping an input of the LSTM, a channel between norm and Linear layers of
            :math:`\phi`, and a hidden channel of the head.
        dropout_inputs: ``node``: what a layer drops of a node, it drops from all its paths, so that the node is still
            projected once; distances and edges are kept. ``step``: every step of every path has its own dropout, as in
            the released code, which projects each of them in training.
        encoder: Factory (channels) of a module that maps the batch to (node states, edge features), such as
            :class:`gnnlab.nn.FeatureEncoder`; ``None`` feeds ``x`` and ``edge_attr`` to the first layer.
        in_channels: Width of ``x`` where there is no encoder; it must equal ``hidden_channels``.
        pool: How the nodes of a graph are pooled: ``mean``, ``sum``, ``max`` or ``min``.
        head: Factory (in_channels, out_channels) of the last network; ``None`` for the paper's, Linear, ReLU, dropout,
            Linear. ``torch.nn.Identity`` returns the pooled states, as tests of expressive power want them.
        level: What a prediction is made for: ``graph`` (pooled), ``node``, or ``link`` (node embeddings).
        max_gigabytes: Most memory (GiB) of states that a layer keeps for the gradient; above, paths are read in parts,
            and read again in the backward pass.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`, ``path_1`` to
          ``path_<length>`` among them
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that do not fit each other.
        GraphError: a batch without what the parts read.

    Example:
        >>> import torch
        >>> from gnnlab.lifting import Paths
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> graph = Paths(length=3)(Data(x=torch.randn(4, 8), edge_index=square))
        >>> PathNN(2, hidden_channels=8, in_channels=8)(graph).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        length: int = 3,
        distances: bool = False,
        edges: bool = False,
        path_reduce: Literal["sum", "mean"] = "sum",
        residual: bool = True,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        update_layers: int = 0,
        sum_norm: bool = True,
        activation: Callable[[], nn.Module] = nn.ReLU,
        normalise: bool = False,
        dropout: float = 0.0,
        dropout_inputs: Literal["node", "step"] = "node",
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        pool: Reduce = "sum",
        head: Callable[[int, int], nn.Module] | None = None,
        level: TaskLevel = "graph",
        max_gigabytes: float = 2.0,
    ) -> None:
        super().__init__()
        if length < 1 or update_layers < 0:
            raise ConfigError(
                f"length must be at least 1 and update_layers at least 0, got {length} and {update_layers}",
                where="PathNN",
            )
        for name, value, known in (
            ("path_reduce", path_reduce, ("sum", "mean")),
            ("dropout_inputs", dropout_inputs, ("node", "step")),
        ):
            if value not in known:
                raise ConfigError(f"unknown {name} '{value}'", where="PathNN", hint=nearest(str(value), known))
        if encoder is None and in_channels != hidden_channels:
            raise ConfigError(
                f"every layer adds its input, so without an encoder in_channels ({in_channels}) must be "
                f"hidden_channels ({hidden_channels})",
                where="PathNN",
            )
        self.length, self.path_reduce, self.residual, self.normalise = length, path_reduce, residual, normalise
        self.encoder = None if encoder is None else encoder(hidden_channels)
        if hasattr(self.encoder, "edge_tables"):
            self.encoder.edge_tables = edges
        self.reads_edges = edges
        self.distance = nn.Embedding(length + 1, hidden_channels) if distances else None
        per_step = dropout_inputs == "step"
        self.lstm = PathLSTM(
            hidden_channels,
            hidden_channels,
            hidden_channels if distances else 0,
            hidden_channels if edges else 0,
            max_gigabytes,
            dropout if per_step else 0.0,
        )
        self.node_dropout = Dropout(0.0 if per_step else dropout)
        self.updates = nn.ModuleList(
            _Update(hidden_channels, update_layers, norm, sum_norm, activation, dropout) for _ in range(length)
        )
        head = head or (lambda i, o: nn.Sequential(Linear(i, i), nn.ReLU(), Dropout(dropout), Linear(i, o)))
        self.readout = Readout([hidden_channels], out_channels, head, pool if level == "graph" else None, "last")
        self._reset_distance()

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)
        self._reset_distance()

    def _reset_distance(self) -> None:
        if self.distance is not None:
            nn.init.xavier_uniform_(self.distance.weight)

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
        states = [x]
        for length, update in enumerate(self.updates, start=1):
            x = F.normalize(states[-1], dim=1) if self.normalise else states[-1]
            paths = _of_paths(batch, f"path_{length}", f"Paths(length={self.length})")
            out = self.lstm(
                self.node_dropout(x),
                paths,
                self.path_reduce,
                self._distances(batch, length),
                self._edges(batch, length, edge_attr),
            )
            states.append(update(x + out if self.residual else out))
        return states

    def _distances(self, batch: Data, length: int) -> tuple[Tensor, Tensor] | None:
        if self.distance is None:
            return None
        return self.distance.weight, _of_paths(batch, f"path_{length}_distance", "Paths(distances=True)")

    def _edges(self, batch: Data, length: int, edge_attr: Tensor | EdgeTable | None) -> EdgeInput | None:
        if not self.reads_edges:
            return None
        if edge_attr is None:
            raise GraphError(
                "PathNN with edges=True needs edge features",
                hint="give the encoder an encoder of edges, such as gnnlab.nn.BondEncoder",
            )
        taken = _of_paths(batch, f"path_{length}_edge", "Paths(edges=True)")
        return EdgeInput(edge_attr, batch.edge_index[1], taken)


class _Update(nn.Module):
    r""":math:`\phi`: activation(norm(x)) without Linear layers; else norm, dropout, and the Linear layers."""

    def __init__(
        self,
        channels: int,
        num_layers: int,
        norm: Callable[[int], nn.Module] | None,
        sum_norm: bool,
        activation: Callable[[], nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        self.norm = norm(channels) if norm is not None and sum_norm else nn.Identity()
        layers = [Dropout(dropout), *perceptron(channels, channels, num_layers, norm, activation)]
        self.layers = nn.Sequential(*layers) if num_layers else None
        self.activation = nn.Identity() if num_layers else activation()

    def forward(self, x: Tensor) -> Tensor:
        x = normalise_and_activate(self.norm, self.activation, x)
        return x if self.layers is None else self.layers(x)


def _of_paths(batch: Data, name: str, transform: str) -> Tensor:
    value = batch.get(name)
    if value is None:
        raise GraphError(
            f"PathNN reads '{name}', which the batch does not have",
            hint=f"add gnnlab.lifting.{transform} to data.transforms",
        )
    return value
