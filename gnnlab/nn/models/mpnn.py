"""The message passing neural network of Gilmer et al."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn._messages_edge_network import EdgeNetworkMessage
from gnnlab.nn._reset import reset
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.linear import Linear
from gnnlab.nn.mlp import MLP
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer
from gnnlab.nn.models._mpnn_parts import Master, Tower, both_directions
from gnnlab.nn.pooling import global_pool
from gnnlab.nn.set2set import Set2Set
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["MPNN", "NodeInit"]

NodeInit: TypeAlias = Literal["pad", "linear"]

_INIT = ("pad", "linear")


class MPNN(nn.Module):
    r"""Message passing neural network (Gilmer, Schoenholz, Riley, Vinyals and Dahl, "Neural Message Passing for Quantum
    Chemistry", ICML 2017, arXiv 1704.01212).

    .. math::
        m_v^{t+1} &= \Big[\sum_{u \to v} M_{in}(h_u^t, h_v^t, e_{uv}) \,\Big\|\,
        \sum_{v \to u} M_{out}(h_u^t, h_v^t, e_{vu})\Big], \qquad
        h_v^{t+1} = \mathrm{GRU}(m_v^{t+1}, h_v^t) \\
        \hat y &= \mathrm{head}(\mathrm{readout}(\{h_v^T, h_v^0\}))

    with the same weights in every step. The defaults are the paper's best: edge network and Set2Set ("enn-s2s"), on the
    complete graph with distances that :class:`gnnlab.rewiring.CompleteDistances` writes (``edge_channels=5``).
    GG-NN is ``message=MatmulMessage, readout=GatedSum`` on the types of :class:`gnnlab.rewiring.BondTypes` or
    :class:`gnnlab.rewiring.DistanceBins`. Virtual edges are ``gnnlab.rewiring.FullyAdjacent(relation=4)`` after
    ``BondTypes()``: one more type.

    An undirected bond is stored as two edges, so every neighbour sends one message along its edge to the node and one
    along the edge from the node, by separate functions.

    Without coordinates and with constant features it cannot tell apart what the Weisfeiler-Leman test cannot (C6 and
    two C3), with virtual edges or without.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: d, width of the node states.
        num_steps: T, at least 1.
        message: Factory (in_channels, out_channels) of the message function: :class:`gnnlab.nn.EdgeNetworkMessage`,
            :class:`gnnlab.nn.MatmulMessage`, :class:`gnnlab.nn.PairMessage`, or any convolution.
        update: Factory (input, state) of the update, called ``update(message, state)``.
        directed: Whether incoming and outgoing edges have message functions of their own, of which the results are
            concatenated; else only incoming edges count.
        init: First node states where there is no encoder: ``x`` padded with zeros (the paper) or mapped linearly.
        encoder: Factory (channels) of an encoder, as in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        master_channels: Width of a master node, a latent node per graph with an update of its own that is joined to
            every node; ``None`` for none.
        towers: k, blocks the channels are split into, each with its own message and update functions; their new states
            are concatenated and mixed. A dense step costs 1/k.
        mix: Factory (in_channels, out_channels) of the network that mixes several towers, shared by all nodes.
        readout: Factory (in_channels, initial_channels) of a module with ``out_channels`` that is called with node
            states, ``ptr`` and first node states: :class:`gnnlab.nn.Set2Set`, :class:`gnnlab.nn.GatedSum`; ``None``
            pools.
        pool: How the nodes are pooled where there is no readout.
        head: Factory (in_channels, out_channels) of the last network.
        level: What a prediction is made for: ``graph`` (read out), ``node``, or ``link`` (node embeddings).

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that do not fit each other.
        GraphError: a batch without what the parts read.

    Example:
        >>> from functools import partial
        >>> model = MPNN(2, 16, message=partial(EdgeNetworkMessage, edge_channels=5), in_channels=7)
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> model(Data(x=torch.randn(3, 7), edge_index=edge_index, edge_attr=torch.rand(4, 5))).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_steps: int = 3,
        message: Callable[[int, int], nn.Module] = EdgeNetworkMessage,
        update: Callable[[int, int], nn.Module] = nn.GRUCell,
        directed: bool = True,
        init: NodeInit = "pad",
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        master_channels: int | None = None,
        towers: int = 1,
        mix: Callable[[int, int], nn.Module] = MLP,
        readout: Callable[[int, int], nn.Module] | None = Set2Set,
        pool: Reduce = "sum",
        head: Callable[[int, int], nn.Module] = lambda i, o: MLPHead(i, o, num_layers=2, activation=nn.ReLU),
        level: TaskLevel = "graph",
    ) -> None:
        super().__init__()
        for name, value in (("num_steps", num_steps), ("towers", towers), ("master_channels", master_channels)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}", where="MPNN")
        if hidden_channels % towers:
            raise ConfigError(f"{hidden_channels} channels cannot be split into {towers} towers", where="MPNN")
        self.num_steps, self.hidden_channels = num_steps, hidden_channels
        self.encoder = None if encoder is None else encoder(hidden_channels)
        self.first = None if encoder is not None else _first_states(init, in_channels, hidden_channels)
        self.directions = 2 if directed else 1
        self.towers = nn.ModuleList(
            Tower(hidden_channels // towers, message, update, self.directions) for _ in range(towers)
        )
        self.mix = mix(hidden_channels, hidden_channels) if towers > 1 else None
        self.master = None
        if master_channels is not None:
            self.master = Master(hidden_channels, master_channels, update, self.directions)
        self.pool = pool if level == "graph" else None
        self.readout = readout(hidden_channels, hidden_channels) if readout is not None and self.pool else None
        self.head = head(hidden_channels if self.readout is None else self.readout.out_channels, out_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included; the same for any number of steps."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        states = self.states(batch)
        first, last = states[0], states[-1]
        if self.pool is None:
            return self.head(last)
        ptr = graph_pointer(batch, last)
        if self.readout is None:
            return self.head(global_pool(last, ptr, self.pool))
        return self.head(self.readout(last, ptr, first))

    def states(self, batch: Data) -> list[Tensor]:
        """Node states [N, hidden_channels] before the first step and after every step, for analysis."""
        x, edge_attr = encoded(self.encoder, batch)
        x = x if self.first is None else self.first(x)
        ptr, num_nodes = graph_pointer(batch, x), x.size(0)
        edges = edges_of(batch, edge_attr, num_nodes, ptr)
        ways = both_directions(edges)[: self.directions]
        seen = [tower.encoded(ways, num_nodes) for tower in self.towers]
        master = None if self.master is None else self.master.initial(x, ptr)
        states = [x]
        for _ in range(self.num_steps):
            x = states[-1]
            extra = self._from_master(master, ptr, num_nodes)
            blocks = [
                tower(block, edges, more)
                for tower, block, edges, more in zip(self.towers, self._blocks(x), seen, extra, strict=True)
            ]
            if master is not None:
                master = self.master(x, master, ptr)
            states.append(blocks[0] if self.mix is None else self.mix(torch.cat(blocks, dim=-1)))
        return states

    def _blocks(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x,) if len(self.towers) == 1 else x.chunk(len(self.towers), dim=-1)

    def _from_master(self, master: Tensor | None, ptr: Tensor, num_nodes: int) -> tuple[Tensor | None, ...]:
        """What every tower gets from the master node."""
        if master is None:
            return (None,) * len(self.towers)
        return self.master.message(master, ptr, num_nodes).chunk(len(self.towers), dim=-1)


class _Pad(nn.Module):
    """Zeros behind the features."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.extra = channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, self.extra))


def _first_states(init: NodeInit, in_channels: int | None, channels: int) -> nn.Module:
    if init not in _INIT:
        raise ConfigError(f"unknown init {init!r}", where="MPNN", hint=nearest(str(init), _INIT))
    if in_channels is None:
        raise ConfigError(
            "the model has neither an encoder nor in_channels, so the width of x is unknown", where="MPNN"
        )
    if init == "linear":
        return Linear(in_channels, channels)
    if in_channels > channels:
        raise ConfigError(
            f"x of {in_channels} channels cannot be padded to hidden_channels={channels}",
            where="MPNN",
            hint="raise hidden_channels, or set init=linear",
        )
    return _Pad(in_channels, channels)
