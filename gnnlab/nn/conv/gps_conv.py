"""Layer of GraphGPS, of Rampášek et al.: message passing and attention side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges, accepted_arguments, inserted, propagate
from gnnlab.nn._relations import select_relations
from gnnlab.nn._reset import reset
from gnnlab.nn.attention import SelfAttention
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.feed_forward import FeedForward, ResidualNorm
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import as_csr
from gnnlab.typing import Adjacency

__all__ = ["GPSConv"]


class GPSConv(nn.Module):
    r"""Layer of "Recipe for a General, Powerful, Scalable Graph Transformer" (Rampášek et al., NeurIPS 2022, arXiv
    2205.12454).

    .. math::
        h^M &= \mathrm{norm}(x + \mathrm{dropout}(\mathrm{local}(x, e))), \qquad
        h^A = \mathrm{norm}(x + \mathrm{dropout}(\mathrm{attention}(x))) \\
        x' &= \mathrm{norm}(h + \mathrm{FFN}(h)), \qquad h = h^M + h^A

    New edge states that ``local`` returns are passed on. Residuals, normalisations and activations are all inside, so
    the model adds none: ``GNN(conv=GPSConv, norm=None, residual=False, activation=None)``.

    With :class:`gnnlab.nn.GatedGCNConv`, which normalises and drops out itself, the released code has no second
    dropout: set ``local_dropout=0`` and its own ``dropout``. Exphormer is ``attention=ExphormerConv`` on a graph with
    expander edges, of which ``local_relations=[0]`` shows none to ``local``.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output; :math:`x` is only added to the halves if it equals ``in_channels``.
        local: Factory (in_channels, out_channels) of a convolution of this library or of PyG; ``None`` for none.
        attention: Factory (in_channels, out_channels) of the attention, with its number of heads and its dropout of
            attention weights: :class:`gnnlab.nn.SelfAttention`, :class:`gnnlab.nn.ExphormerConv` or any other
            layer; ``None`` for none.
        norm: Factory (channels) of the three normalisations, as in :class:`gnnlab.nn.ResidualNorm`; ``None`` for none.
        dropout: Probability of dropping a channel of either half, and inside the FFN.
        local_dropout: The same for the result of ``local``; ``None`` is ``dropout``.
        expansion: Hidden width of the FFN divided by ``out_channels``.
        activation: Factory of the activation of the FFN.
        local_relations: Edge types ``local`` sees; ``None`` is all.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr**, **edge_weight**, **edge_type**, **degree:** what the two halves take
        * **ptr:** [G + 1] first node of every graph; without it all nodes are one graph
        * **output:** [N, out_channels], and the edge states if ``local`` returns some (or, failing that, ``attention``)

    Raises:
        ConfigError: neither ``local`` nor ``attention``, or one that returns another width.

    Example:
        >>> from gnnlab.nn import GINEConv
        >>> conv = GPSConv(8, 8, local=GINEConv)
        >>> conv(torch.randn(4, 8), torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.randn(3, 8)).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        local: Callable[[int, int], nn.Module] | None = None,
        attention: Callable[[int, int], nn.Module] | None = SelfAttention,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        dropout: float = 0.0,
        local_dropout: float | None = None,
        expansion: float = 2.0,
        activation: Callable[[], nn.Module] = nn.ReLU,
        local_relations: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if local is None and attention is None:
            raise ConfigError("a layer needs local, attention or both", where=type(self).__name__)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.local_relations = None if local_relations is None else tuple(local_relations)
        local_dropout = dropout if local_dropout is None else local_dropout
        self.local = None if local is None else _Half(local, in_channels, out_channels, norm, local_dropout)
        self.attention = None if attention is None else _Half(attention, in_channels, out_channels, norm, dropout)
        self.feed_forward = FeedForward(out_channels, expansion, norm, activation, dropout)
        self.reads_edge_tables = all(half.reads_edge_tables for half in self._halves())

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EdgeTable | None = None,
        edge_weight: Tensor | None = None,
        edge_type: Tensor | None = None,
        ptr: Tensor | None = None,
        degree: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        ptr = torch.tensor([0, x.size(0)], device=x.device) if ptr is None else ptr
        edges = Edges(as_csr(adj, x.size(0)), None, edge_attr, edge_weight, edge_type, ptr, degree)
        states, known = [], edge_attr
        if self.local is not None:
            out, known = self._local(x, edges)
            states.append(out)
        if self.attention is not None:
            out, attr = self.attention(x, edges)
            states.append(out)
            known = attr if known is edge_attr else known
        out = self.feed_forward(sum(states[1:], states[0]), ptr)
        return out if known is edge_attr else (out, known)

    def _local(self, x: Tensor, edges: Edges) -> tuple[Tensor, Tensor | EdgeTable | None]:
        if self.local_relations is None:
            return self.local(x, edges)
        part = select_relations(edges.adj, edges.relation, self.local_relations)
        seen = edges.only(part)
        out, attr = self.local(x, seen)
        return out, edges.attr if attr is seen.attr else inserted(attr, part, edges.attr)

    def _halves(self) -> list[_Half]:
        return [half for half in (self.local, self.attention) if half is not None]

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}"


class _Half(nn.Module):
    """A layer with dropout, residual and normalisation."""

    def __init__(
        self,
        conv: Callable[[int, int], nn.Module],
        in_channels: int,
        out_channels: int,
        norm: Callable[[int], nn.Module] | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels)
        self.accepted = accepted_arguments(self.conv)
        self.residual = ResidualNorm(out_channels, norm, dropout)
        self.channels, self.adds = out_channels, in_channels == out_channels

    @property
    def reads_edge_tables(self) -> bool:
        return "edge_attr" not in self.accepted or getattr(self.conv, "reads_edge_tables", False)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, x: Tensor, edges: Edges) -> tuple[Tensor, Tensor | EdgeTable | None]:
        out, attr = propagate(self.conv, self.accepted, x, edges)
        if out.size(-1) != self.channels:
            raise ConfigError(
                f"{type(self.conv).__name__} returned {out.size(-1)} channels where {self.channels} were asked for",
                where="GPSConv",
            )
        return self.residual(out, x if self.adds else None, edges.ptr), attr
