"""Any convolution on a graph of which nodes leave out edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._actions import check_choice
from gnnlab.nn._message_passing import Edges, accepted_arguments, propagate
from gnnlab.nn._reset import reset
from gnnlab.nn.conv.gat_conv import GATConv
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.node_product import NodeProduct
from gnnlab.ops import CSR, aggregate, aggregate_edges, attention_aggregate, dropout, gather_target

__all__ = ["Aggregate", "Environment"]

Aggregate: TypeAlias = Literal["active", "full"]
_States: TypeAlias = tuple[Tensor, Tensor | EdgeTable | None]


class Environment(nn.Module):
    """A convolution along the active edges, those of weight 1 in a given vector of zeros and ones.

    With ``active``, an edge of weight 0 is no edge: sums leave it out, means divide by the number of active edges, and
    the softmax of :class:`gnnlab.nn.GATConv` runs over them alone. Which of these a convolution needs is tried out,
    since it cannot be told from its arguments. With ``full`` the weights multiply messages and nothing else.

    Args:
        conv: The convolution.
        channels: Width of its input.
        aggregate: ``active`` or ``full``.

    Shapes:
        * **x:** [N, channels]
        * **active:** [E], 0 or 1, or probabilities; or a :class:`gnnlab.nn.NodeProduct`, which stays one where the
          convolution reads it and edges have no weights of their own
        * **output:** node states, and the edge states

    Raises:
        ConfigError: a convolution that takes no ``edge_weight``, or to which edges of weight 0 are still edges.
    """

    def __init__(self, conv: nn.Module, channels: int, aggregate: Aggregate = "active", where: str = "CoGNN") -> None:
        super().__init__()
        check_choice("aggregate", aggregate, ("active", "full"), where)
        name = type(conv).__name__
        self.conv, self.accepted = conv, accepted_arguments(conv)
        if "edge_weight" not in self.accepted:
            raise ConfigError(
                f"{name} takes no edge_weight, by which edges are left out",
                where=f"{where}.environment",
                hint="use a convolution whose forward has an argument edge_weight, such as gnnlab.nn.GCNConv",
            )
        ways = (_plain,) if aggregate == "full" else (_attention,) if isinstance(conv, GATConv) else (_plain, _averaged)
        self.way = next((way for way in ways if _suits(self, way, channels, aggregate == "active")), None)
        if self.way is None:
            raise ConfigError(
                f"to {name} an edge of edge_weight 0 is still an edge, so none can be left out",
                where=f"{where}.environment",
                hint="use a convolution that multiplies messages by edge_weight and adds or averages them"
                + ("" if aggregate == "full" else ", or set aggregate='full' to weaken edges instead"),
            )

    @property
    def reads_edge_tables(self) -> bool:
        return "edge_attr" not in self.accepted or getattr(self.conv, "reads_edge_tables", False)

    def reset_parameters(self) -> None:
        reset(self.conv)

    def forward(self, x: Tensor, edges: Edges, active: Tensor | NodeProduct) -> _States:
        factored = getattr(self.conv, "reads_node_products", False) and edges.weight is None
        if isinstance(active, NodeProduct) and not factored:
            active = active.dense(edges.adj)
        return self.way(self, x, edges, active)


def _plain(of: Environment, x: Tensor, edges: Edges, active: Tensor | NodeProduct) -> _States:
    weight = active if edges.weight is None else edges.weight * active
    return propagate(of.conv, of.accepted, x, replace(edges, weight=weight))


def _averaged(of: Environment, x: Tensor, edges: Edges, active: Tensor | NodeProduct) -> _States:
    """A mean over all edges becomes one over the active ones if each of them counts more."""
    if isinstance(active, NodeProduct):
        factor = _emphasis(active.target * aggregate(active.source, edges.adj), edges.adj)
        return _plain(of, x, edges, NodeProduct(active.source, active.target * factor))
    factor = _emphasis(aggregate_edges(active, edges.adj, x.size(0)), edges.adj)
    return _plain(of, x, edges, active * gather_target(factor, edges.adj))


def _emphasis(total: Tensor, adj: CSR) -> Tensor:
    """[N] number of edges over the weight of the active ones."""
    return adj.degree.to(total.dtype) / torch.where(total > 0, total, 1)


def _attention(of: Environment, x: Tensor, edges: Edges, active: Tensor) -> _States:
    """:class:`GATConv` with a softmax over active edges: its result divided by the attention that falls on them."""
    conv: GATConv = of.conv
    h = conv.lin(x).view(-1, *conv.att_src.shape)
    source, target = (h * conv.att_src).sum(-1), (h * conv.att_dst).sum(-1)
    active = active.unsqueeze(-1).expand(-1, conv.heads).to(h.dtype)
    given = active if edges.weight is None else active * edges.weight.unsqueeze(-1).to(h.dtype)
    factors = dropout(given, conv.dropout, conv.training)
    scores = {"negative_slope": conv.negative_slope, "skip_loops": conv.add_self_loops, "return_lse": True}
    out, lse = attention_aggregate(h, edges.adj, source, target, weight=factors, **scores)
    mass, _ = attention_aggregate(torch.ones_like(h[..., :1]), edges.adj, source, target, weight=active, **scores)
    if conv.add_self_loops:
        loop = F.leaky_relu(source + target, conv.negative_slope)
        share = (loop - lse).sigmoid().to(h.dtype).unsqueeze(-1)
        out = torch.addcmul(out * (1 - share), dropout(share, conv.dropout, conv.training), h)
        mass = mass * (1 - share) + share
    out = out / torch.where(mass > 0, mass, 1)
    out = out.flatten(1) if conv.concat else out.mean(1)
    out = out if conv.bias is None else out + conv.bias
    return (out if conv.update is None else conv.update(out)), edges.attr


@torch.no_grad()
def _suits(of: Environment, way: Callable[..., _States], channels: int, strict: bool) -> bool:
    """Whether weights make a difference, and (``strict``) those of 0 the difference between an edge and none."""
    kind = next((p for p in of.conv.parameters() if p.is_floating_point()), torch.empty(0))
    half = torch.linspace(-1, 2, 3 * channels, dtype=kind.dtype, device=kind.device).view(3, channels)
    # Both signs, so that a dead ReLU hides nothing; a negative and a positive message stay, so that neither a mean nor
    # an extremum overlooks one of weight 0.
    x = torch.cat([half, -half])
    edge_index = torch.tensor([[0, 2, 3, 5, 2, 1, 5, 4], [1, 0, 4, 3, 1, 0, 4, 3]], device=kind.device)
    ptr = torch.tensor([0, 3, 6], device=kind.device)

    def output(count: int, weight: float) -> Tensor:
        index, active = edge_index[:, :count], x.new_ones(count)
        active[4:] = weight
        return way(of, x, Edges(CSR.from_edge_index(index, 6), index, ptr=ptr), active)[0]

    training = of.conv.training
    of.conv.eval()
    left_out = output(8, 0.0)
    suits = not torch.allclose(left_out, output(8, 1.0)) and (
        not strict or torch.allclose(left_out, output(4, 1.0), rtol=1e-4, atol=1e-5)
    )
    of.conv.train(training)
    return suits
