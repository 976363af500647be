"""Provably powerful graph networks, of Maron et al."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn._dense_pairs import DensePairs
from gnnlab.nn._reset import reset
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.linear import Linear
from gnnlab.nn.models._pair_input import PairInput
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["PPGN"]


class PPGN(nn.Module):
    r"""Provably powerful graph network ("Provably Powerful Graph Networks", Maron, Ben-Hamu, Serviansky, Lipman;
    NeurIPS 2019, arXiv 1905.11136), as powerful as 2-FWL (3-WL).

    Every pair of nodes of a graph has a state, adjacent or not. A block multiplies them as matrices, channel by
    channel:

    .. math::
        h_{t+1}(u, v) = W \Big[h_t(u, v) \,\Big\|\, \sum_w m_1(h_t(u, w)) \odot m_2(h_t(w, v))\Big]

    with MLPs :math:`m_1, m_2` whose every layer ends in an activation. The first state holds the adjacency (weights of
    parallel edges summed), whether u = v, the edge features of (u, v), and those of the node where u = v, joined by
    one linear map: the paper's input tensor, but for whether u = v, which there only node features tell. The states
    after every block are pooled over the diagonal and over the other pairs; every block has a linear head, and the
    scores are summed. This is the second of the paper's two suffixes; the first is ``suffix="last"`` with a deeper
    ``head`` (512 and 256 hidden channels in the released code).

    The released code differs: it pools with ``pool="max"``, divides the adjacency by degrees
    (``adjacency="normalised"``) and adds it to the channel of every node label as well, and its TensorFlow version,
    unlike the authors' port to PyTorch, rectifies W (``skip_activation=torch.nn.ReLU``). Its blocks have 400 channels.

    Cost: with P = sum of n^2 pairs, a block takes O(P d^2 + d sum of n^3) time and about (4 depth + 6) P d numbers. A
    batch is refused with its estimate before anything is allocated. Products run on blocks of graphs of similar size;
    everything else runs on real pairs alone.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: d.
        num_layers: Number of blocks, at least 1.
        mlp_layers: Depth of :math:`m_1` and :math:`m_2`.
        norm: Factory (channels) of a normalisation after every block, over real pairs; ``None``, as in the paper.
        activation: Factory of the activation in the MLPs.
        skip_activation: Factory of an activation after W; ``None``, as in the paper.
        suffix: ``every`` block has a head, or only the ``last``.
        pool: ``sum``, which the theory needs, ``max``, ``mean`` or ``min``.
        adjacency: ``plain``, or ``normalised``: :math:`A_{uv} / \sqrt{d_u d_v}`.
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        edge_channels: Width of ``edge_attr``; read only without an encoder. ``None`` leaves it out.
        head: Factory (in_channels, out_channels) of the heads.
        level: ``graph``; ``node`` and ``link`` pool the pairs (u, v) of every node u.
        max_gigabytes: Most memory the states of a batch may take.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that are unknown or do not fit each other.
        BudgetError: a batch with too many pairs of nodes.

    Example:
        >>> ring = torch.tensor([[0, 1, 2], [1, 2, 0]])
        >>> PPGN(2, hidden_channels=8, num_layers=2, in_channels=4)(Data(x=torch.randn(3, 4), edge_index=ring)).shape
        torch.Size([1, 2])
    """

    state_level = "pair"

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 3,
        mlp_layers: int = 2,
        norm: Callable[[int], nn.Module] | None = None,
        activation: Callable[[], nn.Module] = nn.ReLU,
        skip_activation: Callable[[], nn.Module] | None = None,
        suffix: Literal["every", "last"] = "every",
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
        if min(num_layers, mlp_layers) < 1:
            raise ConfigError(
                f"num_layers and mlp_layers must be at least 1, got {num_layers}, {mlp_layers}", where="PPGN"
            )
        if suffix not in ("every", "last"):
            raise ConfigError(f"unknown suffix '{suffix}'", where="PPGN", hint=nearest(str(suffix), ("every", "last")))
        if encoder is None and in_channels is None:
            raise ConfigError("neither an encoder nor in_channels, so the width of x is unknown", where="PPGN")
        encoder = None if encoder is None else encoder(hidden_channels)
        self.input = PairInput(hidden_channels, in_channels, edge_channels, encoder, adjacency)
        self.blocks = nn.ModuleList(
            _Block(hidden_channels, mlp_layers, norm, activation, skip_activation) for _ in range(num_layers)
        )
        count = num_layers if suffix == "every" else 1
        self.heads = nn.ModuleList(head(2 * hidden_channels, out_channels) for _ in range(count))
        self.pool, self.level, self.max_gigabytes = pool, level, max_gigabytes
        self._numbers = hidden_channels * num_layers * (4 * mlp_layers + 6)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        states, pairs = self._run(batch)
        pool = pairs.graph_pool if self.level == "graph" else pairs.node_pool
        last = states[-len(self.heads) :]
        return sum(head(pool(h, self.pool)) for head, h in zip(self.heads, last, strict=True))

    def states(self, batch: Data) -> list[Tensor]:
        """Pair states [P, hidden_channels] before the first block and after every block, for analysis."""
        return self._run(batch)[0]

    def _run(self, batch: Data) -> tuple[list[Tensor], DensePairs]:
        h, pairs = self.input(batch, "PPGN", self._numbers, self.max_gigabytes)
        states = [h]
        for block in self.blocks:
            states.append(block(states[-1], pairs))
        return states, pairs


class _Block(nn.Module):
    """Two MLPs, the product of what they make, and a linear map of it beside the input."""

    def __init__(
        self,
        channels: int,
        depth: int,
        norm: Callable[[int], nn.Module] | None,
        activation: Callable[[], nn.Module],
        skip_activation: Callable[[], nn.Module] | None,
    ) -> None:
        super().__init__()
        self.left, self.right = (
            nn.Sequential(*(m for _ in range(depth) for m in (Linear(channels, channels), activation())))
            for _ in range(2)
        )
        self.skip = Linear(2 * channels, channels)
        self.norm = nn.Identity() if norm is None else norm(channels)
        self.activation = nn.Identity() if skip_activation is None else skip_activation()

    def reset_parameters(self) -> None:
        for module in (*self.left, *self.right, self.skip, self.norm, self.activation):
            reset(module)

    def forward(self, h: Tensor, pairs: DensePairs) -> Tensor:
        product = pairs.matmul(self.left(h), self.right(h))
        return self.activation(self.norm(self.skip(torch.cat([h, product], 1))))
