"""Invariant networks of order two, of Maron et al."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn._dense_pairs import DensePairs
from gnnlab.nn._reset import reset
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.models._pair_input import PairInput
from gnnlab.ops import expand_ptr, segment_reduce
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["IGN2"]


class IGN2(nn.Module):
    r"""Invariant graph network of order two ("Invariant and Equivariant Graph Networks", Maron, Ben-Hamu, Shamir,
    Lipman; ICLR 2019, arXiv 1812.09902).

    A layer is the most general linear map of n x n matrices to n x n matrices that commutes with every permutation of
    the nodes, for every n at once, and an activation. Such maps have 15 basis elements and 2 of bias: (u, v) reads
    h(u, v), h(v, u); of u and of v the diagonal, the row sum and the column sum; the total and the trace; and where
    u = v all of these but the first two (each once) with weights of their own. Networks of them tell the same graphs
    apart as 1-WL ("Can Graph Neural Networks Count Substructures?", Chen et al., NeurIPS 2020).

    The first states are those of :class:`gnnlab.nn.PPGN`; the last ones are pooled over the diagonal and over the other
    pairs, and one head follows. The released code differs: it has ``normalise=True``, ``pool="max"``,
    ``adjacency="normalised"`` (added to the channel of every node label as well), a head with 512 and 256 hidden
    channels, and draws weights :math:`\sqrt{15}` times as large.

    Cost: O(P d^2) time for P = sum of n^2 pairs, about 6 P d numbers per layer; no basis tensor (n^4) is ever formed.
    A batch is refused with its estimate before anything is allocated.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: d.
        num_layers: Number of layers, at least 1.
        normalise: Divide sums of n numbers by n and the total by n^2, as the released code does.
        norm: Factory (channels) of a normalisation of every layer, over real pairs; ``None``, as in the paper.
        activation: Factory of the activation after every layer.
        pool: ``sum``, ``max``, ``mean`` or ``min``.
        adjacency: ``plain``, or ``normalised``: :math:`A_{uv} / \sqrt{d_u d_v}`.
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        edge_channels: Width of ``edge_attr``; read only without an encoder. ``None`` leaves it out.
        head: Factory (in_channels, out_channels) of the last network.
        level: ``graph``; ``node`` and ``link`` pool the pairs (u, v) of every node u.
        max_gigabytes: Most memory the states of a batch may take.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that do not fit each other.
        BudgetError: a batch with too many pairs of nodes.

    Example:
        >>> ring = torch.tensor([[0, 1, 2], [1, 2, 0]])
        >>> IGN2(2, hidden_channels=8, num_layers=2, in_channels=4)(Data(x=torch.randn(3, 4), edge_index=ring)).shape
        torch.Size([1, 2])
    """

    state_level = "pair"

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 3,
        normalise: bool = False,
        norm: Callable[[int], nn.Module] | None = None,
        activation: Callable[[], nn.Module] = nn.ReLU,
        pool: Reduce = "sum",
        adjacency: Literal["plain", "normalised"] = "plain",
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        edge_channels: int | None = None,
        head: Callable[[int, int], nn.Module] = MLPHead,
        level: TaskLevel = "graph",
        max_gigabytes: float = 8.0,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, got {num_layers}", where="IGN2")
        if encoder is None and in_channels is None:
            raise ConfigError("neither an encoder nor in_channels, so the width of x is unknown", where="IGN2")
        encoder = None if encoder is None else encoder(hidden_channels)
        self.input = PairInput(hidden_channels, in_channels, edge_channels, encoder, adjacency)
        self.layers = nn.ModuleList(
            EquivariantLinear(hidden_channels, hidden_channels, normalise) for _ in range(num_layers)
        )
        self.norms = nn.ModuleList(nn.Identity() if norm is None else norm(hidden_channels) for _ in range(num_layers))
        self.activation = activation()
        self.head = head(2 * hidden_channels, out_channels)
        self.pool, self.level, self.max_gigabytes = pool, level, max_gigabytes
        self._numbers = 6 * hidden_channels * num_layers

    def reset_parameters(self) -> None:
        for module in (self.input, *self.layers, *self.norms, self.activation, self.head):
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        states, pairs = self._run(batch)
        pool = pairs.graph_pool if self.level == "graph" else pairs.node_pool
        return self.head(pool(states[-1], self.pool))

    def states(self, batch: Data) -> list[Tensor]:
        """Pair states [P, hidden_channels] before the first layer and after every layer, for analysis."""
        return self._run(batch)[0]

    def _run(self, batch: Data) -> tuple[list[Tensor], DensePairs]:
        h, pairs = self.input(batch, "IGN2", self._numbers, self.max_gigabytes)
        states = [h]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            states.append(self.activation(norm(layer(states[-1], pairs))))
        return states, pairs


class EquivariantLinear(nn.Module):
    """The 15 maps of matrices to matrices that commute with permutations, and 2 of bias.

    The rows of ``weight``: the matrix, its transpose; diagonal, row and column sum of u; the same of v; the same where
    u = v; total and trace everywhere; total and trace where u = v.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        normalise: Divide sums of n numbers by n and the total by n^2.
    """

    def __init__(self, in_channels: int, out_channels: int, normalise: bool = False) -> None:
        super().__init__()
        self.normalise = normalise
        self.weight = nn.Parameter(torch.empty(15, in_channels, out_channels))
        self.offset = nn.Parameter(torch.empty(2, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        _, fan_in, fan_out = self.weight.shape
        nn.init.normal_(self.weight, std=math.sqrt(2 / (fan_in + fan_out)) / math.sqrt(15))
        nn.init.zeros_(self.offset)

    def forward(self, h: Tensor, pairs: DensePairs) -> Tensor:
        """[P, in_channels] to [P, out_channels]."""
        w, width = self.weight, h.size(1)
        transposed = h.index_select(0, pairs.transpose)
        diagonal = h.index_select(0, pairs.diagonal)
        row, column = (segment_reduce(x, pairs.root_ptr, "sum") for x in (h, transposed))
        total, trace = (segment_reduce(x, pairs.ptr, "sum") for x in (row, diagonal))
        graph = expand_ptr(pairs.ptr, diagonal.size(0))
        if self.normalise:
            n = pairs.ptr.diff().clamp(min=1).to(h.dtype)[:, None]
            row, column, total, trace = row / n[graph], column / n[graph], total / n**2, trace / n
        nodes, graphs = torch.cat([diagonal, row, column], 1), torch.cat([total, trace], 1)
        of_u, of_v, own = (nodes @ w[k : k + 3].reshape(3 * width, -1) for k in (2, 5, 8))
        everywhere, on_diagonal = (graphs @ w[k : k + 2].reshape(2 * width, -1) for k in (11, 13))
        # What is the same in a whole row of the matrix is added to it once, at its node.
        of_u = of_u + (everywhere + self.offset[0])[graph]
        own = own + (on_diagonal + self.offset[1])[graph]
        out = h @ w[0] + transposed @ w[1] + pairs.rows(of_u) + pairs.columns(of_v)
        return out.index_add(0, pairs.diagonal, own)
