"""One layer on pairs of a root and a node: a sum over kinds of aggregation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn._message_passing import Edges, accepted_arguments, propagate
from gnnlab.nn._reset import reset
from gnnlab.nn._tuple_blocks import dense_aggregate, suits_blocks
from gnnlab.nn._tuple_store import TupleEdges, Tuples
from gnnlab.nn._update_sum import Hidden, split_update, summed
from gnnlab.nn.conv._edges import check_edge_width, encoded, relu_messages
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.mlp import MLP
from gnnlab.nn.norm import BatchNorm, normalise_and_activate
from gnnlab.ops import CSR, aggregate
from gnnlab.ops._layout import Layout
from gnnlab.ops._reduce import reduce_rows

__all__ = ["AGGREGATIONS", "Aggregation", "SubgraphConv"]

Aggregation: TypeAlias = Literal["uL", "vL", "vu", "uu", "vv", "uG", "vG", "vGL"]

_LOCAL: dict[str, Callable[[Tuples, CSR], TupleEdges]] = {"uL": Tuples.inside, "vL": Tuples.across}
_POINT: dict[str, Callable[[Tuples], CSR]] = {
    "vu": lambda rows: rows.transpose,
    "uu": lambda rows: rows.own_root,
    "vv": lambda rows: rows.own_node,
}
_GLOBAL: dict[str, Callable[[Tuples], Layout]] = {"uG": lambda rows: rows.by_root, "vG": lambda rows: rows.by_node}
_SHARED = "vGL"

AGGREGATIONS = (*_LOCAL, *_POINT, *_GLOBAL, _SHARED)

paper_mlp = partial(MLP, norm=BatchNorm)
"""MLP of GNN-SSWL."""


class SubgraphConv(nn.Module):
    r"""Layer of a node-based subgraph network ("A Complete Expressiveness Hierarchy for Subgraph GNNs via Subgraph
    Weisfeiler-Lehman Tests", Zhang, Feng, Du, He, Wang; ICML 2023, arXiv 2302.07090).

    The state h(u, v) of node v in the subgraph of root u becomes

    .. math::
        h'(u, v) = \phi\Big(\mathrm{norm}\Big(\sum_a \mathrm{MLP}_a\big((1 + \epsilon_a)\, h(u, v)
            + \mathrm{agg}_a(u, v)\big)\Big)\Big)

    with any of

    * ``uL``: messages :math:`\mathrm{ReLU}(h(u, w) + e_a)` of the edges w to v, inside the subgraph;
    * ``vL``: messages :math:`\mathrm{ReLU}(h(w, v) + e_a)` of the edges w to u, across subgraphs;
    * ``vv``, ``uu``, ``vu``: the state h(v, v), h(u, u), h(v, u);
    * ``uG``: :math:`\sum_w h(u, w)`, the whole subgraph; ``vG``: :math:`\sum_w h(w, v)`, the node in all subgraphs;
    * ``vGL``: :math:`\mathrm{MLP}_a` of :math:`(1 + \epsilon_a) s_v` and the messages of :math:`s_w`, on the graph
      itself, where :math:`s = ` vG (the shared part of DSS-GNN).

    ``uL, vL`` is the layer of GNN-SSWL, ``uL, vL, vv`` that of GNN-SSWL+.

    Cost: P pairs and d channels take :math:`O(P d^2)` time for every MLP and :math:`O(P d)` memory for every
    aggregation; ``uL`` and ``vL`` add the n E messages of a graph, of which none is kept; ``uG`` and ``vG`` take
    O(P d), not one entry for each of the :math:`n^3` triples.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        aggregations: Which ones, each once.
        update: Factory (in_channels, out_channels) of :math:`\mathrm{MLP}_a`; ``None`` for the paper's, Linear,
            BatchNorm, ReLU, Linear.
        eps: Initial :math:`\epsilon_a`.
        train_eps: Whether it is learned.
        edge_encoder: Factory (in_channels) of the map from raw edge features to :math:`e_a`, one for every local
            aggregation; ``None`` expects edge features of width ``in_channels``.
        conv: Factory (in_channels, out_channels) of a convolution that takes the place of the formula in ``uL`` and
            ``vL``, such as :class:`gnnlab.nn.GCNConv`.
        means: Those of ``uG``, ``vG`` and ``vGL`` that are means, not sums, over subgraphs or nodes.
        diagonal: Whether the rows (u, u) have MLPs of their own (SUN); not for ``conv``.
        norm: Factory (channels) of the normalisation; ``None`` for none.
        activation: Factory of :math:`\phi`; ``None`` for none.

    Shapes:
        * **h:** [P, in_channels]
        * **rows:** the :class:`gnnlab.nn._tuple_store.Tuples` of the P rows
        * **adj:** CSR of the graph
        * **edge_attr:** [E, in_channels], an :class:`gnnlab.nn.EdgeTable`, or what ``edge_encoder`` takes; 0 if missing
        * **edge_weight:** [E], multiplies local messages; 1 if missing
        * **output:** [P, out_channels]

    Raises:
        ConfigError: no aggregations, unknown ones, or one twice.
        GraphError: rows that an aggregation reads but which are missing, or edge features that do not fit.

    Example:
        >>> from gnnlab.nn._tuple_store import Tuples
        >>> rows = Tuples.of(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), 2, torch.tensor([0, 2]))
        >>> adj = CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2)
        >>> SubgraphConv(3, 8)(torch.randn(4, 3), rows, adj).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        aggregations: Sequence[Aggregation] = ("uL", "vL", "vv"),
        update: Callable[[int, int], nn.Module] | None = None,
        eps: float = 0.0,
        train_eps: bool = True,
        edge_encoder: Callable[[int], nn.Module] | None = None,
        conv: Callable[[int, int], nn.Module] | None = None,
        means: Sequence[Aggregation] = (),
        diagonal: bool = False,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] | None = nn.ReLU,
    ) -> None:
        super().__init__()
        check_aggregations(aggregations, "SubgraphConv")
        check_means(means, aggregations, "SubgraphConv")
        self.in_channels, self.out_channels, self.aggregations = in_channels, out_channels, tuple(aggregations)
        update, terms = update or paper_mlp, []
        for name in aggregations:
            if name in _LOCAL and conv is not None:
                terms.append(_Convolved(name, in_channels, out_channels, conv, edge_encoder))
                continue
            encoder = edge_encoder if name in _LOCAL or name == _SHARED else None
            term = _KINDS[name](name, in_channels, encoder, "mean" if name in means else "sum")
            terms.append(_Term(term, update, in_channels, out_channels, eps, train_eps, diagonal))
        self.terms = nn.ModuleList(terms)
        self.norm = nn.Identity() if norm is None else norm(out_channels)
        self.activation = nn.Identity() if activation is None else activation()

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(
        self,
        h: Tensor,
        rows: Tuples,
        adj: CSR,
        edge_attr: Tensor | EdgeTable | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        edges = Edges(adj, attr=edge_attr, weight=edge_weight)
        parts = [term(h, rows, edges) for term in self.terms]
        hidden = [part for part in parts if isinstance(part, Hidden)]
        first, *others = [part for part in parts if not isinstance(part, Hidden)] + ([summed(hidden)] if hidden else [])
        return normalise_and_activate(self.norm, self.activation, sum(others, start=first))

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, aggregations={self.aggregations}"


def check_aggregations(aggregations: Sequence[str], where: str) -> None:
    """Raise a ``ConfigError`` unless they are known and each is there once."""
    for name in aggregations:
        if name not in AGGREGATIONS:
            raise ConfigError(f"unknown aggregation '{name}'", where=where, hint=nearest(str(name), AGGREGATIONS))
    if not aggregations or len(set(aggregations)) < len(aggregations):
        raise ConfigError(f"aggregations must be some, each once, got {list(aggregations)}", where=where)


def check_means(means: Sequence[str], aggregations: Sequence[str], where: str) -> None:
    """Raise a ``ConfigError`` unless they are global aggregations of the layer."""
    possible = [name for name in aggregations if name in _GLOBAL or name == _SHARED]
    for name in means:
        if name not in possible:
            raise ConfigError(
                f"means names '{name}', but the aggregations over subgraphs or nodes are {possible}",
                where=where,
                hint=nearest(str(name), possible) if possible else "leave means empty",
            )


class _Term(nn.Module):
    """MLP of (1 + eps) h and an aggregation, with weights of its own for the rows (u, u) where asked for."""

    def __init__(
        self,
        aggregation: nn.Module,
        update: Callable[[int, int], nn.Module],
        in_channels: int,
        out_channels: int,
        eps: float,
        train_eps: bool,
        diagonal: bool,
    ) -> None:
        super().__init__()
        self.aggregation = aggregation
        self.initial_eps, self.train_eps = eps, train_eps
        self.eps = nn.Parameter(torch.tensor(eps)) if train_eps else eps
        self.update = update(in_channels, out_channels)
        self.update_diagonal = update(in_channels, out_channels) if diagonal else None

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)
        if self.train_eps:
            nn.init.constant_(self.eps, self.initial_eps)

    def forward(self, h: Tensor, rows: Tuples, edges: Edges) -> Tensor | Hidden:
        """The term, or what it is made of if the layer may add it to others on the way."""
        own, heard, spread = self.aggregation(h, rows, edges)
        z = torch.addcmul(heard, own, 1 + self.eps) if self.train_eps else heard.add(own, alpha=1 + self.eps)
        hidden = split_update(self.update, z) if spread is None and self.update_diagonal is None else None
        if hidden is not None:
            return hidden
        out = self.update(z)
        out = out if spread is None else reduce_rows(out, spread, "sum")
        if self.update_diagonal is not None:
            place = rows.diagonal_rows
            at_root = z.index_select(0, place if spread is None else rows.node[place])
            out = out.index_copy(0, place, self.update_diagonal(at_root))
        return out


class _Convolved(nn.Module):
    """A convolution inside or across subgraphs."""

    def __init__(
        self,
        name: str,
        channels: int,
        out_channels: int,
        conv: Callable[[int, int], nn.Module],
        encoder: Callable[[int], nn.Module] | None,
    ) -> None:
        super().__init__()
        self.name = name
        self.conv = conv(channels, out_channels)
        self.accepted = accepted_arguments(self.conv)
        self.encoder = None if encoder is None else encoder(channels)

    def forward(self, h: Tensor, rows: Tuples, edges: Edges) -> Tensor:
        spread = _LOCAL[self.name](rows, edges.adj)
        weight = None if edges.weight is None else edges.weight[spread.edge]
        attr = None
        if edges.attr is not None and "edge_attr" in self.accepted:
            attr = spread.features(edges.attr if self.encoder is None else encoded(edges.attr, self.encoder))
            attr = attr if getattr(self.conv, "reads_edge_tables", False) else attr.dense()
        return propagate(self.conv, self.accepted, h, Edges(spread.adj, attr=attr, weight=weight))[0]


class _Local(nn.Module):
    """Rectified messages inside or across subgraphs."""

    def __init__(self, name: str, channels: int, encoder: Callable[[int], nn.Module] | None, reduce: str) -> None:
        super().__init__()
        self.name, self.channels = name, channels
        self.encoder = None if encoder is None else encoder(channels)

    def forward(self, h: Tensor, rows: Tuples, edges: Edges) -> tuple[Tensor, Tensor, None]:
        attr = features(edges.attr, self.encoder, self.channels)
        if attr is None and edges.weight is None and suits_blocks(rows, edges.adj):
            return h, dense_aggregate(h.relu(), rows, edges.adj, across=self.name == "vL"), None
        spread = _LOCAL[self.name](rows, edges.adj)
        weight = None if edges.weight is None else edges.weight[spread.edge]
        return h, relu_messages(h, None if attr is None else spread.features(attr), spread.adj, weight), None


class _Point(nn.Module):
    """The state of one other row."""

    def __init__(self, name: str, channels: int, encoder: None, reduce: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, h: Tensor, rows: Tuples, edges: Edges) -> tuple[Tensor, Tensor, None]:
        return h, aggregate(h, _POINT[self.name](rows)), None


class _Global(nn.Module):
    """Whole subgraphs, or a node in all subgraphs."""

    def __init__(self, name: str, channels: int, encoder: None, reduce: str) -> None:
        super().__init__()
        self.name, self.reduce = name, reduce

    def forward(self, h: Tensor, rows: Tuples, edges: Edges) -> tuple[Tensor, Tensor, None]:
        layout = _GLOBAL[self.name](rows)
        return h, reduce_rows(reduce_rows(h, layout, self.reduce), layout.t, "sum"), None


class _Shared(nn.Module):
    """Messages on the graph itself, of nodes summed over all subgraphs; every row of a node gets the result."""

    def __init__(self, name: str, channels: int, encoder: Callable[[int], nn.Module] | None, reduce: str) -> None:
        super().__init__()
        self.channels, self.reduce = channels, reduce
        self.encoder = None if encoder is None else encoder(channels)

    def forward(self, h: Tensor, rows: Tuples, edges: Edges) -> tuple[Tensor, Tensor, Layout]:
        nodes = reduce_rows(h, rows.by_node, self.reduce)
        attr = features(edges.attr, self.encoder, self.channels)
        return nodes, relu_messages(nodes, attr, edges.adj, edges.weight), rows.by_node.t


_KINDS: dict[str, type[nn.Module]] = {
    **dict.fromkeys(_LOCAL, _Local),
    **dict.fromkeys(_POINT, _Point),
    **dict.fromkeys(_GLOBAL, _Global),
    _SHARED: _Shared,
}


def features(
    edge_attr: Tensor | EdgeTable | None, encoder: nn.Module | None, channels: int
) -> Tensor | EdgeTable | None:
    """Edge features of the graph, through the layer's own encoder, of the width of the states."""
    if edge_attr is None:
        return None
    edge_attr = encoded(edge_attr, encoder)
    check_edge_width(edge_attr, channels, "SubgraphConv")
    return edge_attr
