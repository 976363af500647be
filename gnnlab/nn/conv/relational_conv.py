"""Any convolution once per relation, and their sum."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges, accepted_arguments, joined, propagate
from gnnlab.nn._relations import split_relations
from gnnlab.nn._reset import reset
from gnnlab.nn.conv.gcn_conv import GCNConv
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.linear import Linear
from gnnlab.ops import as_csr
from gnnlab.typing import Adjacency

__all__ = ["RelationalConv"]


class RelationalConv(nn.Module):
    r"""A convolution with weights of its own for every relation (after Schlichtkrull et al., ESWC 2018).

    .. math::
        x'_v = W_0 x_v + b + \sum_{r = 0}^{R - 1} \mathrm{conv}_r(x, \{u \to v : \mathrm{type}(uv) = r\})_v

    It tells the edges a rewiring added from those that were there. LASER's update (Barbero et al., ICLR
    2024), which has one set of weights per snapshot, is ``RelationalConv(conv=GCNConv, num_relations=K)``.
    With ``conv`` = GAT it is the R-GAT of the released code of FoSR (Karhadkar et al., ICLR 2023); its
    R-GCN is :class:`gnnlab.nn.RGCNConv`, its R-GIN :class:`gnnlab.nn.RGINConv`. Whatever ``conv`` adds for the
    node itself (self-loops of GCN and GAT, the root of GIN) it adds once per relation, as there.

    The edges are split once per batch, for all layers. Relations come from ``edge_type``; without it all edges are
    of relation 0.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        conv: Factory (in_channels, out_channels) of a convolution of this library or of PyG. New edge states
            it returns are put together again.
        num_relations: R.
        root: Whether there is a :math:`W_0 x_v + b`.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** what ``conv`` takes
        * **edge_weight:** [E], if ``conv`` takes it
        * **edge_type:** [E] integer in 0, ..., R - 1; 0 if missing
        * **output:** [N, out_channels], and the edge states if ``conv`` returns some

    Raises:
        ConfigError: no relation.
        GraphError: an ``edge_type`` outside of the relations.

    Example:
        >>> conv = RelationalConv(3, 8, num_relations=2)
        >>> edge_index, edge_type = torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.tensor([0, 0, 1])
        >>> conv(torch.randn(4, 3), edge_index, edge_type=edge_type).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conv: Callable[[int, int], nn.Module] = GCNConv,
        num_relations: int = 2,
        root: bool = True,
    ) -> None:
        super().__init__()
        if num_relations < 1:
            raise ConfigError(f"num_relations must be at least 1, got {num_relations}", where=type(self).__name__)
        self.in_channels, self.out_channels, self.num_relations = in_channels, out_channels, num_relations
        self.convs = nn.ModuleList(conv(in_channels, out_channels) for _ in range(num_relations))
        self.accepted = accepted_arguments(self.convs[0])
        self.reads_edge_tables = all(getattr(conv, "reads_edge_tables", False) for conv in self.convs)
        self.root = Linear(in_channels, out_channels) if root else None

    def reset_parameters(self) -> None:
        for module in (*self.convs, self.root):
            reset(module)

    def forward(
        self,
        x: Tensor,
        adj: Adjacency,
        edge_attr: Tensor | EdgeTable | None = None,
        edge_weight: Tensor | None = None,
        edge_type: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        edges = Edges(as_csr(adj, x.size(0)), None, edge_attr, edge_weight, edge_type)
        parts = split_relations(edges.adj, edges.relation, self.num_relations)
        known = [edges.only(part) for part in parts]
        results = [propagate(conv, self.accepted, x, part) for conv, part in zip(self.convs, known, strict=True)]
        out = sum((nodes for nodes, _ in results), 0 if self.root is None else self.root(x))
        if all(attr is part.attr for (_, attr), part in zip(results, known, strict=True)):
            return out
        return out, joined([attr for _, attr in results], parts)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, num_relations={self.num_relations}"
