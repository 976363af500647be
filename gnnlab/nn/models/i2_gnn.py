"""Message passing on subgraphs with a root and a neighbour of it that are told apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.graph import pair_distances
from gnnlab.graph._search import widest
from gnnlab.nn._labelled_rows import node_tuples, tuple_rows
from gnnlab.nn._reset import reset
from gnnlab.nn._tuple_store import Tuples
from gnnlab.nn.conv.subgraph_conv import SubgraphConv, paper_mlp
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer
from gnnlab.nn.models._tuple_parts import PoolLayer, RowStream, budget, check_choices, paper_head
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import CSR, gather, segment_reduce
from gnnlab.ops._layout import grouped
from gnnlab.ops._reduce import reduce_rows
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["I2GNN"]

_MARKINGS = ("node", "distance")
_REDUCTIONS = ("sum", "mean", "max", "min")


class I2GNN(nn.Module):
    r"""I2-GNN ("Boosting the Cycle Counting Power of Graph Neural Networks with I2-GNNs", Huang, Peng, Ma, Zhang;
    ICLR 2023, arXiv 2210.13978).

    For every root u and every neighbour v of it, the nodes w of the subgraph around u have states

    .. math::
        h^{(0)}(u, v, w) = \mathrm{encoder}(w) + \mathrm{Embedding}_1(\mathrm{mark}(u, w))
            + \mathrm{Embedding}_2(\mathrm{mark}(v, w))

    that layers update inside every subgraph (:class:`gnnlab.nn.SubgraphConv`, ``uL``). Pooling has three steps, with a
    layer after each of the first two: the nodes of (u, v), the neighbours of u, the roots of a graph. Labelling the
    edge pairs alone, it is cheaper than a 1,2-GNN (:class:`gnnlab.nn.KLGNN` with two labels), and counts cycles of up
    to six nodes.

    The transform ``gnnlab.lifting.NodeTuples(kind="adjacent", ordered=True)`` writes the pairs; a node without
    neighbours is paired with itself. Memory and time follow the number of rows (u, v, w): the degree of every root
    times the size of its subgraph; a batch is refused with its estimate before they are allocated.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width d of the states.
        num_layers: Layers inside subgraphs.
        hops: Radius of the subgraph around a root; ``None`` takes the whole graph. The neighbour is always in it.
        marking: ``node`` marks w = u, and w = v; ``distance`` the hops from u, and from v.
        max_distance: Largest distance with a mark of its own; there is one more for nodes out of reach.
        update: Factory (in_channels, out_channels) of the MLPs; ``None`` for Linear, BatchNorm, ReLU, Linear.
        edge_encoder: Factory (channels) of the edge features of every layer, from raw ones; ``None`` adds those of the
            encoder everywhere.
        conv: Factory (in_channels, out_channels) of the convolution inside subgraphs; ``None`` for that of GNN-SSWL.
        norm: Factory (channels) of the normalisation after every layer; ``None`` for none.
        activation: Factory of the activation after every layer.
        residual: Whether every layer adds its input, where the widths agree.
        dropout: Probability of dropping a channel after every layer.
        pool: Of all three steps: ``sum``, which the theory needs, ``mean``, ``max`` or ``min``.
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        head: Factory (in_channels, out_channels) of the last network; ``None`` for Linear, ReLU, Linear.
        level: ``graph``; ``node`` and ``link`` predict for roots.
        max_gigabytes: Most memory the states of a batch may take.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`, ``tuple_index`` [2, S]
          among them
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that are unknown or do not fit each other.
        GraphError: a batch without pairs.
        BudgetError: a batch with too many rows.

    Example:
        >>> from gnnlab.lifting import NodeTuples
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> graph = NodeTuples(kind="adjacent", ordered=True)(Data(x=torch.randn(4, 8), edge_index=square))
        >>> I2GNN(3, hidden_channels=8, num_layers=2, in_channels=8)(graph).shape
        torch.Size([1, 3])
    """

    state_level = "tuple"

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 5,
        hops: int | None = 3,
        marking: Literal["node", "distance"] = "distance",
        max_distance: int = 5,
        update: Callable[[int, int], nn.Module] | None = None,
        edge_encoder: Callable[[int], nn.Module] | None = None,
        conv: Callable[[int, int], nn.Module] | None = None,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] = nn.ReLU,
        residual: bool = False,
        dropout: float = 0.0,
        pool: Reduce = "sum",
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        head: Callable[[int, int], nn.Module] | None = None,
        level: TaskLevel = "graph",
        max_gigabytes: float = 16.0,
    ) -> None:
        super().__init__()
        if num_layers < 1 or min(max_distance, hops or 0) < 0:
            raise ConfigError(
                f"num_layers must be at least 1, max_distance and hops at least 0, got {num_layers}, {max_distance} "
                f"and {hops}",
                where="I2GNN",
            )
        first = hidden_channels if encoder is not None else in_channels
        if first is None:
            raise ConfigError("neither an encoder nor in_channels, so the width of x is unknown", where="I2GNN")
        check_choices("I2GNN", marking=(marking, _MARKINGS), pool=(pool, _REDUCTIONS))
        self.hops, self.marking, self.max_distance = hops, marking, max_distance
        self.pool, self.level, self.max_gigabytes = pool, level, max_gigabytes
        self.hidden_channels, self.num_layers = hidden_channels, num_layers
        update = update or paper_mlp
        self.encoder = None if encoder is None else encoder(hidden_channels)
        if hasattr(self.encoder, "edge_tables"):
            self.encoder.edge_tables = True
        marks = {"node": 2, "distance": max_distance + 2}[marking]
        self.marks = nn.ModuleList(nn.Embedding(marks, first) for _ in range(2))
        layer = partial(
            SubgraphConv,
            aggregations=("uL",),
            update=update,
            edge_encoder=edge_encoder,
            conv=conv,
            norm=norm,
            activation=activation,
        )
        self.inside = RowStream([first] + [hidden_channels] * num_layers, layer, residual, dropout)
        self.pools = nn.ModuleList(PoolLayer(hidden_channels, update, norm, activation) for _ in range(2))
        self.head = (head or paper_head)(hidden_channels, out_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        states, rows, pairs = self._run(batch)
        pair, root = self.pools
        h = pair(reduce_rows(states[-1], rows.by_root, self.pool))
        h = root(reduce_rows(h, grouped(pairs[0], rows.num_nodes), self.pool))
        return self.head(segment_reduce(h, rows.ptr, self.pool) if self.level == "graph" else h)

    def states(self, batch: Data) -> list[Tensor]:
        """States [P, hidden_channels] of the rows (u, v, w) before the first layer and after every layer, for
        analysis."""
        return self._run(batch)[0]

    def _run(self, batch: Data) -> tuple[list[Tensor], Tuples, Tensor]:
        x, edge_attr = encoded(self.encoder, batch)
        ptr = graph_pointer(batch, x)
        edges = edges_of(batch, edge_attr, x.size(0))
        pairs = node_tuples(batch, 2, "I2GNN", "gnnlab.lifting.NodeTuples(kind='adjacent', ordered=True)")
        check = budget("I2GNN", self.hidden_channels, self.num_layers, x, self.max_gigabytes)
        rows = tuple_rows(pairs, pairs[:1], edges.adj, ptr, self.hops, check)
        h = gather(x, rows.node)
        for node, embedding in zip(pairs, self.marks, strict=True):
            h = h + gather(embedding.weight, self._mark(node[rows.root], rows.node, edges.adj, ptr))
        return self.inside(h, rows, edges), rows, pairs

    def _mark(self, node: Tensor, other: Tensor, adj: CSR, ptr: Tensor) -> Tensor:
        """[P] long, what ``other`` is to ``node``."""
        if self.marking == "node":
            return (node == other).long()
        distance = pair_distances(adj.edge_index.long(), ptr, torch.stack([node, other]), widest(ptr))
        return torch.where(distance < 0, self.max_distance + 1, distance.clamp(max=self.max_distance))
