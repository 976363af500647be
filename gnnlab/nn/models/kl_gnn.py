"""Message passing on copies of the graph with labelled nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import factorial
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn._labelled_rows import LabelledRows, graph_rows, label_rows, node_tuples, sampled, tuple_rows
from gnnlab.nn._reset import reset
from gnnlab.nn._tuple_store import Tuples
from gnnlab.nn.conv.subgraph_conv import SubgraphConv, paper_mlp
from gnnlab.nn.linear import Linear
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer
from gnnlab.nn.models._tuple_parts import PoolLayer, RowStream, budget, check_choices, paper_head
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import CSR, expand_ptr, gather
from gnnlab.ops._layout import grouped
from gnnlab.ops._reduce import reduce_rows
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["KLGNN"]

_REDUCTIONS = ("sum", "mean", "max", "min")
_MERGE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "hadamard": torch.mul,
    "concat": lambda labelled, plain: torch.cat([labelled, plain], 1),
}
_MARK: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": torch.add, "hadamard": torch.mul}


class KLGNN(nn.Module):
    r"""1,l-GNN: message passing with l labelled nodes ("From Relational Pooling to Subgraph GNNs: A Universal Framework
    for More Expressive Graph Neural Networks", Zhou, Wang, Zhang; ICML 2023, arXiv 2305.04963).

    For every set S of l nodes and every order :math:`\pi` of its labels there is a copy of the graph, in which node v
    starts with

    .. math::
        h^{(0)}_{S, \pi}(v) = \mathrm{encoder}(v) + \mathrm{Embedding}(j \text{ if } v = S_{\pi(j)}, \text{ else } 0)

    Layers pass messages inside the copies (:class:`gnnlab.nn.SubgraphConv`, ``uL``). States are averaged over the
    orders; then come, all of them optional, the states of as many nodes on the graph without labels (the parallel
    stream, run once per graph), and layers on both together. Nodes are pooled, a layer follows, sets are pooled. As
    powerful as 1,l-WL (``1,l-wl`` in :func:`gnnlab.graph.graph_classes`): l = 0 is plain message passing, l = 1 is the
    ``ds-gnn`` of :class:`gnnlab.nn.SubgraphGNN`, and l = 2 separates the Rook and the Shrikhande graph.

    The transform :class:`gnnlab.lifting.NodeTuples` writes the sets. Memory and time follow the number of rows
    (set, order, node), :math:`\binom{n}{l}\, l!\, n` in a graph if all are kept; a batch is refused with its estimate
    before they are allocated.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width d of the states.
        num_layers: Layers on labelled copies.
        labels: l, as in ``NodeTuples(size=l)``; 0 needs no transform.
        graph_layers: Layers of the parallel stream; 0 for none.
        global_layers: Layers on the rows (set, node), after the orders are averaged.
        merge: How both streams are joined: ``add``, ``hadamard``, or ``concat`` and a linear map.
        marking: Whether the embedding of a label is added to the state of a node, or multiplied (``hadamard``).
        hops: Keep the nodes so many hops around S only (the local variant); ``None`` keeps all.
        rate: Share of the sets that every evaluation draws: anew in training, by a hash of the graph else. Sums count
            every set as often as it stands for others.
        update: Factory (in_channels, out_channels) of the MLPs; ``None`` for Linear, BatchNorm, ReLU, Linear.
        edge_encoder: Factory (channels) of the edge features of every layer, from raw ones; ``None`` adds those of the
            encoder everywhere.
        conv: Factory (in_channels, out_channels) of the convolution inside copies; ``None`` for that of GNN-SSWL.
        norm: Factory (channels) of the normalisation after every layer; ``None`` for none.
        activation: Factory of the activation after every layer.
        residual: Whether every layer adds its input, where the widths agree.
        dropout: Probability of dropping a channel after every layer.
        node_pool: Of the nodes of a copy; ``sum``, which the theory needs, ``mean``, ``max`` or ``min``.
        pool: Of the sets of a graph, likewise.
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        head: Factory (in_channels, out_channels) of the last network; ``None`` for Linear, ReLU, Linear.
        level: ``graph``; ``node`` and ``link`` average a node over the sets whose copies hold it.
        max_gigabytes: Most memory the states of a batch may take.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`, ``tuple_index`` [l, S]
          and, after sampling, ``tuple_weight`` [S] among them
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that are unknown or do not fit each other.
        GraphError: a batch without sets of l nodes.
        BudgetError: a batch with too many rows.

    Example:
        >>> from gnnlab.lifting import NodeTuples
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> graph = NodeTuples(2)(Data(x=torch.randn(4, 8), edge_index=square))
        >>> KLGNN(3, hidden_channels=8, num_layers=2, labels=2, in_channels=8)(graph).shape
        torch.Size([1, 3])
    """

    state_level = "tuple"

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 5,
        labels: int = 2,
        graph_layers: int = 0,
        global_layers: int = 0,
        merge: Literal["add", "hadamard", "concat"] = "hadamard",
        marking: Literal["add", "hadamard"] = "add",
        hops: int | None = None,
        rate: float = 1.0,
        update: Callable[[int, int], nn.Module] | None = None,
        edge_encoder: Callable[[int], nn.Module] | None = None,
        conv: Callable[[int, int], nn.Module] | None = None,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] = nn.ReLU,
        residual: bool = False,
        dropout: float = 0.0,
        node_pool: Reduce = "sum",
        pool: Reduce = "sum",
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        head: Callable[[int, int], nn.Module] | None = None,
        level: TaskLevel = "graph",
        max_gigabytes: float = 16.0,
    ) -> None:
        super().__init__()
        if num_layers < 1 or min(labels, graph_layers, global_layers, hops or 0) < 0 or not 0 < rate <= 1:
            raise ConfigError(
                "num_layers must be at least 1, labels, graph_layers, global_layers and hops at least 0, and rate "
                f"above 0 and at most 1, got {num_layers}, {labels}, {graph_layers}, {global_layers}, {hops}, {rate}",
                where="KLGNN",
            )
        first = hidden_channels if encoder is not None else in_channels
        if first is None:
            raise ConfigError("neither an encoder nor in_channels, so the width of x is unknown", where="KLGNN")
        pools = {"node_pool": (node_pool, _REDUCTIONS), "pool": (pool, _REDUCTIONS)}
        check_choices("KLGNN", merge=(merge, tuple(_MERGE)), marking=(marking, tuple(_MARK)), **pools)
        self.labels, self.hops, self.rate, self.merge, self.marking = labels, hops, rate, merge, marking
        self.node_pool, self.pool, self.level, self.max_gigabytes = node_pool, pool, level, max_gigabytes
        self.hidden_channels, self._kept = hidden_channels, num_layers + global_layers
        update = update or paper_mlp
        self.encoder = None if encoder is None else encoder(hidden_channels)
        if hasattr(self.encoder, "edge_tables"):
            self.encoder.edge_tables = True
        self.mark = nn.Embedding(labels + 1, first) if labels else None
        layer = partial(
            SubgraphConv,
            aggregations=("uL",),
            update=update,
            edge_encoder=edge_encoder,
            conv=conv,
            norm=norm,
            activation=activation,
        )

        def stream(count: int, width: int) -> RowStream | None:
            widths = [width] + [hidden_channels] * count
            return RowStream(widths, layer, residual, dropout) if count else None

        self.labelled = stream(num_layers, first)
        self.plain = stream(graph_layers, first)
        joins = graph_layers and merge == "concat"
        self.join = Linear(2 * hidden_channels, hidden_channels) if joins else nn.Identity()
        self.both = stream(global_layers, hidden_channels)
        self.readout = PoolLayer(hidden_channels, update, norm, activation)
        self.head = (head or paper_head)(hidden_channels, out_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        states, rows, graph, weight = self._run(batch)
        if self.level != "graph":
            return self.head(self.readout(reduce_rows(states[-1], rows.by_node, "mean")))
        out = self.readout(reduce_rows(states[-1], rows.by_root, self.node_pool))
        if weight is not None and self.pool == "sum":
            out = out * weight.to(out.dtype)[:, None]
        return self.head(reduce_rows(out, grouped(graph, rows.ptr.numel() - 1), self.pool))

    def states(self, batch: Data) -> list[Tensor]:
        """States [Q, hidden_channels] of the rows (set, node), averaged over orders, for analysis: before the first
        layer and after every layer on labelled copies, of both streams together, and after every further layer."""
        return self._run(batch)[0]

    def _run(self, batch: Data) -> tuple[list[Tensor], Tuples, Tensor, Tensor | None]:
        x, edge_attr = encoded(self.encoder, batch)
        ptr = graph_pointer(batch, x)
        edges = edges_of(batch, edge_attr, x.size(0))
        check = budget("KLGNN", self.hidden_channels * factorial(self.labels), self._kept, x, self.max_gigabytes)
        rows, graph, weight = self._rows(batch, edges.adj, ptr, check)
        h = gather(x, rows.copies.node)
        if self.mark is not None:
            h = _MARK[self.marking](h, gather(self.mark.weight, rows.label))
        states = [rows.over_orders(h) for h in self.labelled(h, rows.copies, edges)]
        if self.plain is not None:
            plain = self.plain(x, graph_rows(ptr, x.size(0)), edges)[-1]
            merged = _MERGE[self.merge](states[-1], gather(plain, rows.subsets.node))
            states.append(self.join(merged))
        if self.both is not None:
            states += self.both(states[-1], rows.subsets, edges)[1:]
        return states, rows.subsets, graph, weight

    def _rows(
        self, batch: Data, adj: CSR, ptr: Tensor, check: Callable[[int, str], None]
    ) -> tuple[LabelledRows, Tensor, Tensor | None]:
        """Rows, the graph of every set, and how many sets it stands for."""
        if not self.labels:
            none = ptr.new_empty(0, ptr.numel() - 1)
            return label_rows(graph_rows(ptr, adj.num_nodes), none), torch.arange(none.size(1), device=ptr.device), None
        tuples = node_tuples(batch, self.labels, "KLGNN", f"gnnlab.lifting.NodeTuples(size={self.labels})")
        weight = batch.get("tuple_weight")
        if self.rate < 1:
            tuples, weight = sampled(tuples, weight, adj, ptr, self.rate, self.training)
        subsets = tuple_rows(tuples, tuples, adj, ptr, self.hops, check)
        return label_rows(subsets, tuples), expand_ptr(ptr, adj.num_nodes)[tuples[0]], weight
