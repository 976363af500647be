"""Basis-invariant encoder of eigenspaces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import BudgetError
from gnnlab.graph.buckets import size_buckets
from gnnlab.nn._batch import graph_pointer
from gnnlab.nn.encoders._ign import MatrixToNode
from gnnlab.nn.encoders._read import Eigenpairs, companion, eigenpairs
from gnnlab.nn.mlp import MLP

__all__ = ["BasisNet"]

_CELLS, _GROWTH = 2**14, 1.25  # rows x width of a stack of projectors
_KEPT = 6  # matrices a layer keeps for the backward pass, roughly


class BasisNet(nn.Module):
    r"""Encoder of eigenspaces that does not see the basis they are given in.

    "Sign and Basis Invariant Networks for Spectral Graph Representation Learning" (Lim et al., ICLR 2023,
    arXiv 2202.13013).

    .. math::
        h = \rho\Big(\sum_j \phi(V_j V_j^\top, d_j, \lambda_j)\Big)

    over the eigenspaces j of a graph, each given by a basis :math:`V_j` of :math:`d_j` eigenvectors.
    :math:`\phi` is a 2-IGN from matrices to nodes, the same for all eigenspaces, which it tells apart by dimension
    and eigenvalue (the paper has one network per dimension); :math:`\rho` is an MLP. Eigenspaces of which the
    encoding holds a part only are left out, because the part depends on the solver.

    Cost: time and memory :math:`O(\sum_G s_G n_G^2 d L)` for graphs of :math:`n_G` nodes and :math:`s_G` eigenspaces,
    L layers of width d. Above ``max_gigabytes`` the work is refused; :class:`SPE` with ``kind="diagonal"`` or
    :class:`SignNet` serve large graphs.

    Args:
        attribute: Name of the eigenvector entries (unit vectors); beside it are ``_values``, ``_mask``, ``_group``
            and ``_whole``, as :class:`gnnlab.encodings.LaplacianPE` writes them.
        out_channels: Width of the output.
        hidden_channels: d, width of the matrices and of :math:`\rho`.
        phi_channels: Width of :math:`\phi`.
        num_layers: Layers of the IGN.
        rho_layers: Linear layers of :math:`\rho`.
        values: Whether :math:`\phi` sees the eigenvalue.
        max_gigabytes: Refuse batches whose matrices would take more.

    Shapes:
        * **batch.<attribute>:** [N, k]; and [N, k] ``_values``, bool ``_mask`` (False at padding), long ``_group``
          (number of the eigenspace), bool ``_whole`` (False where k cuts the eigenspace)
        * **output:** [N, out_channels]

    Raises:
        GraphError: a missing attribute.
        BudgetError: a batch above ``max_gigabytes``.

    Example:
        >>> data, full = Data(pe_lap=torch.eye(2)), torch.ones(2, 2, dtype=torch.bool)
        >>> data.pe_lap_values, data.pe_lap_group = torch.rand(2, 2), torch.tensor([[0, 1], [0, 1]])
        >>> data.pe_lap_mask = data.pe_lap_whole = full
        >>> BasisNet()(data).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        attribute: str = "pe_lap",
        out_channels: int = 16,
        hidden_channels: int = 32,
        phi_channels: int = 16,
        num_layers: int = 3,
        rho_layers: int = 2,
        values: bool = True,
        max_gigabytes: float = 4.0,
    ) -> None:
        super().__init__()
        self.attribute, self.out_channels = attribute, out_channels
        self.hidden_channels, self.num_layers = hidden_channels, num_layers
        self.values, self.max_gigabytes = values, max_gigabytes
        self.phi = MatrixToNode(2 + values, hidden_channels, phi_channels, num_layers)
        self.rho = MLP(phi_channels, out_channels, rho_layers, expansion=hidden_channels / out_channels)
        self.phi_channels = phi_channels

    def forward(self, batch: Data) -> Tensor:
        pairs = eigenpairs(batch, self.attribute, "BasisNet")
        group = companion(batch, self.attribute, "group", "BasisNet")
        usable = pairs.mask & companion(batch, self.attribute, "whole", "BasisNet")
        group = group.masked_fill(~usable, -1)
        spaces = _spaces(pairs, group, graph_pointer(batch, pairs.vectors))
        self._check_size(spaces.size)
        n, k = group.shape
        rows, states = [], []
        for part in _buckets(spaces):
            nodes, real = _nodes(part)
            chosen = (group[nodes] == part.group[:, None, None]) & real.unsqueeze(-1)
            basis = pairs.vectors[nodes] * chosen
            facts = [part.dimension, part.value][: 1 + self.values]
            constants = torch.stack(facts, -1)[:, None, None] * (real[:, :, None] & real[:, None]).unsqueeze(-1)
            matrices = torch.cat([(basis @ basis.mT).unsqueeze(-1), constants], dim=-1)
            states.append(self.phi(matrices, real)[real])
            rows.append((nodes * k + part.group.unsqueeze(1))[real])
        # Every node has a row per eigenspace, so that sums are taken in a fixed order.
        table = pairs.vectors.new_zeros(n * k, self.phi_channels)
        if states:
            table = table.index_copy(0, torch.cat(rows), torch.cat(states).to(table.dtype))
        return self.rho(table.view(n, k, self.phi_channels).sum(1))

    def _check_size(self, size: Tensor) -> None:
        entries = int(size.double().square().sum())
        gigabytes = 4 * _KEPT * entries * self.hidden_channels * self.num_layers / 2**30
        if gigabytes > self.max_gigabytes:
            raise BudgetError(
                f"{size.numel():,} eigenspaces take matrices of about {gigabytes:.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where="BasisNet",
                hint="use smaller batches, fewer eigenvectors, gnnlab.nn.SPE(kind='diagonal') or gnnlab.nn.SignNet",
            )


class _Spaces(NamedTuple):
    """Per eigenspace, smallest graph first: first node and size of the graph, number in it, dimension, eigenvalue."""

    start: Tensor
    size: Tensor
    group: Tensor
    dimension: Tensor
    value: Tensor


def _spaces(pairs: Eigenpairs, group: Tensor, ptr: Tensor) -> _Spaces:
    ptr = ptr[:-1][ptr.diff() > 0], ptr[1:][ptr.diff() > 0]  # graphs without nodes have no eigenspace
    first, size = ptr[0], ptr[1] - ptr[0]
    member = group[first].unsqueeze(-1) == torch.arange(group.size(1), device=group.device)
    dimension = member.sum(1).to(pairs.values.dtype)
    value = (pairs.values[first].unsqueeze(-1) * member).sum(1) / dimension.clamp(min=1)
    graph, number = dimension.nonzero(as_tuple=True)
    order = size[graph].argsort(stable=True)
    graph, number = graph[order], number[order]
    return _Spaces(first[graph], size[graph], number, dimension[graph, number], value[graph, number])


def _buckets(spaces: _Spaces) -> Iterator[_Spaces]:
    rows = torch.cat([spaces.size.new_zeros(1), spaces.size.cumsum(0)])
    for first, last in size_buckets(rows, spaces.size, _CELLS, _GROWTH):
        yield _Spaces(*(column[first:last] for column in spaces))


def _nodes(part: _Spaces) -> tuple[Tensor, Tensor]:
    """[B, n] nodes of every eigenspace's graph, and which of them are no padding."""
    place = torch.arange(int(part.size[-1]), device=part.size.device)
    real = place < part.size.unsqueeze(1)
    return part.start.unsqueeze(1) + place * real, real
