"""Any network on copies of the graph with labelled nodes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn._labelled_rows import graph_rows, label_rows, node_tuples, sampled, tuple_rows
from gnnlab.nn._reset import reset
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.linear import Linear
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer
from gnnlab.nn.models._tuple_parts import budget, check_choices, paper_head
from gnnlab.ops import expand_ptr, gather
from gnnlab.ops._layout import grouped
from gnnlab.ops._reduce import reduce_rows
from gnnlab.typing import Reduce

__all__ = ["LabelledCopies"]

_REDUCTIONS = ("sum", "mean", "max", "min")


class LabelledCopies(nn.Module):
    r"""k,l-GNN: a network of the power of k-WL with l labelled nodes ("From Relational Pooling to Subgraph GNNs: A
    Universal Framework for More Expressive Graph Neural Networks", Zhou, Wang, Zhang; ICML 2023, arXiv 2305.04963).

    For every set S of l nodes and every order :math:`\pi` of its labels, the network embeds a copy of the graph whose
    nodes carry :math:`\mathrm{encoder}(v) + \mathrm{Embedding}(\mathrm{label})`:

    .. math::
        \hat y = \mathrm{head}\Big(\mathrm{pool}_S\, \phi\Big(\frac{1}{l!} \sum_\pi f(G_{S, \pi})\Big)\Big)

    with :math:`\phi` Linear, ReLU. With :class:`gnnlab.nn.PPGN` it is the l-IDPPGN of the paper (``2,l-fwl`` in
    :func:`gnnlab.graph.graph_classes`), with :class:`gnnlab.nn.GNN` a 1,l-GNN; :class:`gnnlab.nn.KLGNN` is the faster
    one, since it repeats no edge features and runs unlabelled layers once.

    The transform :class:`gnnlab.lifting.NodeTuples` writes the sets. A batch costs what :math:`l! S` graphs cost the
    network, which is refused if the copies alone are too large.

    Args:
        out_channels: Width of the prediction.
        network: Factory (out_channels) of a network without an encoder that predicts for graphs. It reads ``x``, and
            ``edge_attr`` where the batch has it, of width ``hidden_channels`` behind an encoder and of their own width
            without one: give it ``in_channels`` (and ``edge_channels``) to match.
        hidden_channels: Width d of its output, and of encoded features.
        labels: l, as in ``NodeTuples(size=l)``; 0 needs no transform.
        rate: Share of the sets that every evaluation draws, as in :class:`gnnlab.nn.KLGNN`.
        pool: Of the sets of a graph: ``sum``, which the theory needs, ``mean``, ``max`` or ``min``.
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        head: Factory (in_channels, out_channels) of the last network; ``None`` for Linear, ReLU, Linear.
        max_gigabytes: Most memory the features of the copies may take; that of the network is its own affair.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`, ``tuple_index`` [l, S]
          and, after sampling, ``tuple_weight`` [S] among them
        * **output:** [G, out_channels]

    Raises:
        ConfigError: settings that are unknown or do not fit each other.
        GraphError: a batch without sets of l nodes, or a network that does not return a row for every copy.
        BudgetError: a batch with too many copies.

    Example:
        >>> from functools import partial
        >>> from gnnlab.lifting import NodeTuples
        >>> from gnnlab.nn import PPGN
        >>> ring = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> graph = NodeTuples(1)(Data(x=torch.randn(4, 8), edge_index=ring))
        >>> LabelledCopies(3, partial(PPGN, hidden_channels=8, in_channels=8), 8, labels=1, in_channels=8)(graph).shape
        torch.Size([1, 3])
    """

    def __init__(
        self,
        out_channels: int,
        network: Callable[[int], nn.Module],
        hidden_channels: int = 64,
        labels: int = 1,
        rate: float = 1.0,
        pool: Reduce = "sum",
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        head: Callable[[int, int], nn.Module] | None = None,
        max_gigabytes: float = 16.0,
    ) -> None:
        super().__init__()
        if labels < 0 or not 0 < rate <= 1:
            raise ConfigError(
                f"labels must be at least 0, and rate above 0 and at most 1, got {labels} and {rate}",
                where="LabelledCopies",
            )
        first = hidden_channels if encoder is not None else in_channels
        if first is None:
            problem = "neither an encoder nor in_channels, so the width of x is unknown"
            raise ConfigError(problem, where="LabelledCopies")
        check_choices("LabelledCopies", pool=(pool, _REDUCTIONS))
        self.labels, self.rate, self.pool, self.max_gigabytes, self._width = labels, rate, pool, max_gigabytes, first
        self.encoder = None if encoder is None else encoder(hidden_channels)
        self.mark = nn.Embedding(labels + 1, first) if labels else None
        self.network = network(hidden_channels)
        self.readout = nn.Sequential(Linear(hidden_channels, hidden_channels), nn.ReLU())
        self.head = (head or paper_head)(hidden_channels, out_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        x, edge_attr = encoded(self.encoder, batch)
        ptr = graph_pointer(batch, x)
        graphs = ptr.numel() - 1
        edges = edges_of(batch, edge_attr, x.size(0))
        weight = batch.get("tuple_weight") if self.labels else None
        if self.labels:
            tuples = node_tuples(batch, self.labels, "LabelledCopies", f"gnnlab.lifting.NodeTuples(size={self.labels})")
            if self.rate < 1:
                tuples, weight = sampled(tuples, weight, edges.adj, ptr, self.rate, self.training)
            graph = expand_ptr(ptr, x.size(0))[tuples[0]]
            check = budget("LabelledCopies", self._width, 1, x, self.max_gigabytes)
            subsets = tuple_rows(tuples, tuples, edges.adj, ptr, None, check)
        else:
            tuples, graph = ptr.new_empty(0, graphs), torch.arange(graphs, device=ptr.device)
            subsets = graph_rows(ptr, x.size(0))
        rows = label_rows(subsets, tuples)
        h = gather(x, rows.copies.node)
        if self.mark is not None:
            h = h + gather(self.mark.weight, rows.label)
        spread = rows.copies.inside(edges.adj)
        copies = Data(x=h, edge_index=spread.adj.edge_index.long(), batch=rows.copies.root, ptr=rows.copies.root_ptr)
        copies.adj = spread.adj
        if edges.attr is not None:
            attr = edges.attr.dense() if isinstance(edges.attr, EdgeTable) else edges.attr
            copies.edge_attr = gather(attr, spread.edge)
        if edges.weight is not None:
            copies.edge_weight = edges.weight[spread.edge]
        out = self.network(copies)
        if out.size(0) != rows.copies.num_roots:
            raise GraphError(
                f"the network returned {out.size(0)} rows for {rows.copies.num_roots} copies",
                where="LabelledCopies",
                hint="give one that predicts for graphs (level='graph')",
            )
        out = self.readout(out.view(tuples.size(1), rows.place.size(1), out.size(1)).mean(1))
        if weight is not None and self.pool == "sum":
            out = out * weight.to(out.dtype)[:, None]
        return self.head(reduce_rows(out, grouped(graph, graphs), self.pool))
