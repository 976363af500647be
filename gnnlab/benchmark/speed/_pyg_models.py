"""The peers of ``gnnlab bench train``: the same networks in PyG's layers and plain torch modules, as PyG users write
them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GCNConv, GINEConv, MessagePassing, global_mean_pool
from torch_geometric.utils import scatter

from gnnlab.nn import ATOM_CATEGORIES, BOND_CATEGORIES

__all__ = [
    "LOSSES",
    "PyGModel",
    "peptides_gated_gcn",
    "peptides_gcn",
    "peptides_gine",
    "zinc_gat",
    "zinc_gcn",
    "zinc_gine",
]

_WALK, _WALK_CHANNELS = 20, 28  # steps of the random-walk encoding, and what they are mapped to
_ZINC_ATOMS, _ZINC_BONDS = (28,), (4,)

LOSSES = {"bce": F.binary_cross_entropy_with_logits, "l1": F.l1_loss}
"""A task's name of a loss -> (predictions, targets) -> scalar."""

Activation = Callable[[], nn.Module]


class Embeddings(nn.Module):
    """Sum of one table per categorical column: OGB's ``AtomEncoder`` and ``BondEncoder``."""

    def __init__(self, categories: Sequence[int], width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in categories)

    def forward(self, x: Tensor) -> Tensor:
        out = self.tables[0](x[:, 0])
        for column, table in enumerate(self.tables[1:], start=1):
            out = out + table(x[:, column])
        return out


class Block(nn.Module):
    """Convolution, normalisation, activation, dropout, residual."""

    def __init__(
        self,
        conv: MessagePassing,
        *,
        edge: nn.Module | None = None,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
        dropout: float = 0.0,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.conv, self.edge, self.residual = conv, edge, residual
        self.norm, self.activation = norm or nn.Identity(), activation or nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        edges = () if self.edge is None else (self.edge(edge_attr),)
        out = self.dropout(self.activation(self.norm(self.conv(x, edge_index, *edges))))
        return (x + out if self.residual else out), edge_attr


class GatedGCN(MessagePassing):
    """Gated graph convolution of Bresson and Laurent (arXiv 1711.07553) with edge states, in the form of Dwivedi et
    al. (JMLR 2023): both states are normalised, activated, dropped and added to the former ones."""

    def __init__(self, width: int, activation: Activation, dropout: float) -> None:
        super().__init__(aggr="sum")
        self.A, self.B, self.C, self.D, self.E = (nn.Linear(width, width) for _ in range(5))
        self.norm, self.edge_norm = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        self.activation = activation()
        self.dropout, self.edge_dropout = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.edge_updater(edge_index, target=self.D(x), source=self.E(x), bond=self.C(edge_attr))
        out = self.A(x) + self.propagate(edge_index, value=self.B(x), gate=logits.sigmoid())
        out = self.dropout(self.activation(self.norm(out)))
        edges = self.edge_dropout(self.activation(self.edge_norm(logits)))
        return x + out, edge_attr + edges

    def edge_update(self, target_i: Tensor, source_j: Tensor, bond: Tensor) -> Tensor:
        return target_i + source_j + bond

    def message(self, value_j: Tensor, gate: Tensor) -> Tensor:
        return gate * value_j

    def aggregate(self, inputs: Tensor, gate: Tensor, index: Tensor, dim_size: int | None = None) -> Tensor:
        total = scatter(gate, index, dim=0, dim_size=dim_size, reduce="sum")
        return scatter(inputs, index, dim=0, dim_size=dim_size, reduce="sum") / (total + 1e-6)


class PyGModel(nn.Module):
    """Encoder, blocks, mean over the nodes of a graph, head.

    Args:
        node: Encoder of ``x``.
        blocks: Called with (x, edge_index, edge_attr), return new x and edge_attr.
        head: From pooled states to predictions.
        edge: Encoder of ``edge_attr``; without one the blocks get what the batch has.
        walk: Encoder of ``pe_rwse``, whose channels follow those of ``x``.
    """

    def __init__(
        self,
        node: nn.Module,
        blocks: Sequence[nn.Module],
        head: nn.Module,
        edge: nn.Module | None = None,
        walk: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.node, self.edge, self.walk = node, edge, walk
        self.blocks, self.head = nn.ModuleList(blocks), head

    def forward(self, batch: Data) -> Tensor:
        x = self.node(batch.x)
        if self.walk is not None:
            x = torch.cat([x, self.walk(batch.pe_rwse)], dim=1)
        edge_attr = batch.edge_attr if self.edge is None else self.edge(batch.edge_attr)
        for block in self.blocks:
            x, edge_attr = block(x, batch.edge_index, edge_attr)
        return self.head(global_mean_pool(x, batch.batch, batch.num_graphs))


def peptides_gcn(width: int, num_layers: int) -> PyGModel:
    """Of ``lrgb/peptides-func/gcn``."""

    def block() -> Block:
        return Block(GCNConv(width, width), activation=nn.GELU(), dropout=0.1)

    return _peptides(width, [block() for _ in range(num_layers)], edge=False)


def peptides_gine(width: int, num_layers: int) -> PyGModel:
    """Of ``lrgb/peptides-func/gine``."""

    def block() -> Block:
        hidden = nn.Linear(width, width), nn.GELU(), nn.Dropout(0.1)
        return Block(GINEConv(nn.Sequential(*hidden, nn.Linear(width, width), nn.Dropout(0.1))), edge=nn.Identity())

    return _peptides(width, [block() for _ in range(num_layers)])


def peptides_gated_gcn(width: int, num_layers: int) -> PyGModel:
    """Of ``lrgb/peptides-func/gatedgcn``."""
    return _peptides(width, [GatedGCN(width, nn.GELU, 0.1) for _ in range(num_layers)])


def zinc_gcn(width: int, num_layers: int) -> PyGModel:
    """GCN with BatchNorm and residuals."""
    return _zinc(width, [_normalised(GCNConv(width, width), width) for _ in range(num_layers)])


def zinc_gat(width: int, num_layers: int) -> PyGModel:
    """The same with four attention heads."""
    return _zinc(width, [_normalised(GATConv(width, width // 4, heads=4), width) for _ in range(num_layers)])


def zinc_gine(width: int, num_layers: int) -> PyGModel:
    """Of ``zinc/zinc-12k/gine``: every layer has its own table of bonds, and there are no residuals."""

    def block() -> Block:
        hidden = nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Dropout(0.0)
        update = nn.Sequential(*hidden, nn.Linear(2 * width, width), nn.Dropout(0.0))
        conv, edge = GINEConv(update, train_eps=True), Embeddings(_ZINC_BONDS, width)
        return Block(conv, edge=edge, norm=nn.BatchNorm1d(width), activation=nn.ReLU(), residual=False)

    return _zinc(width, [block() for _ in range(num_layers)])


def _peptides(width: int, blocks: Sequence[nn.Module], edge: bool = True) -> PyGModel:
    return PyGModel(
        Embeddings(ATOM_CATEGORIES, width - _WALK_CHANNELS),
        blocks,
        _head(width, 10, 3, nn.GELU, 0.1),
        Embeddings(BOND_CATEGORIES, width) if edge else None,
        nn.Sequential(nn.BatchNorm1d(_WALK), nn.Linear(_WALK, _WALK_CHANNELS)),
    )


def _zinc(width: int, blocks: Sequence[nn.Module]) -> PyGModel:
    return PyGModel(Embeddings(_ZINC_ATOMS, width), blocks, _head(width, 1, 2, nn.ReLU, 0.0))


def _normalised(conv: MessagePassing, width: int) -> Block:
    return Block(conv, norm=nn.BatchNorm1d(width), activation=nn.ReLU())


def _head(width: int, out_channels: int, num_layers: int, activation: Activation, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(num_layers - 1):
        layers += [nn.Dropout(dropout), nn.Linear(width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, out_channels))
