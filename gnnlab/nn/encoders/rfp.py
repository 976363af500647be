"""Random feature propagation: from random features to dominant eigenvectors, on the device, anew in every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.graph import propagate_features
from gnnlab.graph.feature_propagation import OPERATORS
from gnnlab.nn.encoders._structure import Structure, structure
from gnnlab.nn.encoders.categorical import CategoricalEncoder
from gnnlab.nn.linear import Linear
from gnnlab.ops import CSR, edge_softmax, sddmm, segment_expand

__all__ = ["RFP"]

_NAMES = (*(name for name in OPERATORS if name != "weights"), "attention")

_POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda trajectories: trajectories.amax(1),
    "mean": lambda trajectories: trajectories.mean(1),
}


class RFP(nn.Module):
    r"""Encoder of random features and their propagation ("Graph Positional Encoding via Random Feature Propagation",
    Eliasof et al., ICML 2023, arXiv 2303.02918).

    .. math::
        T_b = [R_b^{(0)} \,\|\, \dots \,\|\, R_b^{(P)}], \qquad R_b^{(p)} = \mathcal{N}(S R_b^{(p-1)}), \qquad
        R_b^{(0)} \sim \mathcal{N}(0, 1)

    The whole trajectory is embedded linearly, :math:`e_b = W_S T_b`. All trajectories, ``num_trajectories`` for each
    operator S, are a set that a DSS layer (Maron et al., ICML 2020) reads: its result does not depend on their order.

    .. math:: \mathrm{out} = W_3 \, \mathrm{pool}_b \, \mathrm{ReLU}\big(W_1 e_b + W_2 \, \mathrm{mean}_{b'} e_{b'}\big)

    In training the features are drawn anew in every forward pass, from torch's random state. In evaluation (and with
    ``resample=False`` always) they are hashed from the graph, the places of its nodes and ``seed``, so that it is
    deterministic, and a graph gets in a batch what it gets alone; ``eval_samples`` such draws are averaged.
    Equivariance holds in distribution. Fixed features are memorised by a network on little data.

    Normalisation is per graph: nothing leaks between the graphs of a batch. Time
    :math:`O(B k P (E + N))`, with QR :math:`O(B k^2 P N)` more, memory :math:`O(B k P N)`, per operator and pass.

    Args:
        out_channels: Width of the output.
        num_features: Columns k of a trajectory.
        num_steps: P.
        num_trajectories: Draws B per operator.
        operators: Of S: names of :func:`gnnlab.graph.propagate_features`, or ``"attention"``, learned:
            :math:`s_{uv} = \mathrm{softmax}_{u \to v} \langle q(x_v), k(x_u) \rangle / \sqrt{d}`.
        normalization: ``"l2"`` or ``"qr"``.
        qr_every: Steps from one QR to the next.
        resample: Whether training draws anew in every pass.
        eval_samples: Draws averaged in evaluation.
        rescale: Multiply every step but the first by :math:`\sqrt{n}`, so that entries are of order one on graphs of
            any size.
        pool: ``"mean"`` or ``"max"`` over the trajectories.
        in_channels: Width of the features that attention reads, if they are real.
        num_categories: Values of their columns, if they are categorical.
        attribute: Name of those features.
        attention_channels: d, width of queries and keys.
        per_step: Whether attention has queries and keys of its own for every step.
        seed: Of the draws that are hashed.

    Attributes:
        draw: Number of the draw in evaluation; :class:`gnnlab.nn.AverageOverDraws` counts it up.

    Shapes:
        * **batch:** ``edge_index`` or ``adj``; ``edge_weight`` where fixed operators shall use it; ``x`` for attention
        * **output:** [N, out_channels]

    Raises:
        ConfigError: unknown operators, settings out of range, attention without the width of its features.
        GraphError: a missing attribute.

    Example:
        >>> encoder = RFP(8, num_features=4, num_steps=3, operators=["adjacency", "laplacian"], normalization="qr")
        >>> encoder(Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)).shape
        torch.Size([3, 8])
    """

    def __init__(
        self,
        out_channels: int = 32,
        num_features: int = 16,
        num_steps: int = 16,
        num_trajectories: int = 1,
        operators: Sequence[str] = ("adjacency",),
        normalization: Literal["l2", "qr"] = "l2",
        qr_every: int = 1,
        resample: bool = True,
        eval_samples: int = 1,
        rescale: bool = False,
        pool: Literal["mean", "max"] = "mean",
        in_channels: int | None = None,
        num_categories: Sequence[int] | None = None,
        attribute: str = "x",
        attention_channels: int = 16,
        per_step: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        operators = tuple(operators)
        self._check(operators, num_features, num_steps, num_trajectories, eval_samples, normalization, pool)
        self.out_channels, self.num_features, self.num_steps = out_channels, num_features, num_steps
        self.num_trajectories, self.operators, self.normalization = num_trajectories, operators, normalization
        self.qr_every, self.resample, self.eval_samples, self.rescale = qr_every, resample, eval_samples, rescale
        self.pool, self.attribute, self.seed, self.draw = pool, attribute, seed, 0
        heads = num_steps if per_step else 1
        self.attention = nn.ModuleDict(
            {
                str(place): _Attention(attention_channels, heads, in_channels, num_categories)
                for place, operator in enumerate(operators)
                if operator == "attention"
            }
        )
        width = num_features * (num_steps + 1)
        self.embed = nn.ModuleList(Linear(width, out_channels) for _ in operators)
        self.own, self.shared = Linear(out_channels, out_channels), Linear(out_channels, out_channels, bias=False)
        self.out = Linear(out_channels, out_channels)

    def reset_parameters(self) -> None:
        for module in (*self.attention.values(), *self.embed, self.own, self.shared, self.out):
            module.reset_parameters()

    def forward(self, batch: Data) -> Tensor:
        graphs = structure(batch)
        weights = [self._weights(place, batch, graphs.adj) for place in range(len(self.operators))]
        draws = 1 if self.training else self.eval_samples
        out = sum(self._encode(graphs, weights, self._start(graphs, draw)) for draw in range(draws))
        return out / draws

    def aggregate(self, embedded: Tensor) -> Tensor:
        """The DSS layer and the pooling: embedded trajectories [N, T, out_channels] -> [N, out_channels]."""
        states = (self.own(embedded) + self.shared(embedded.mean(1, keepdim=True))).relu()
        return self.out(_POOLS[self.pool](states))

    def _start(self, graphs: Structure, draw: int) -> Tensor:
        """[N, trajectories of all operators, k] random features."""
        count, like = len(self.operators) * self.num_trajectories, self.out.weight
        dtype = torch.promote_types(like.dtype, torch.float32)
        if self.training and self.resample:
            return torch.randn(graphs.num_nodes, count, self.num_features, dtype=dtype, device=like.device)
        seed = self.seed + self.draw * self.eval_samples + draw
        return graphs.normals(count * self.num_features, seed).view(-1, count, self.num_features).to(dtype)

    def _encode(self, graphs: Structure, weights: list[Tensor | None], start: Tensor) -> Tensor:
        embedded = []
        parts = zip(self.operators, weights, start.split(self.num_trajectories, 1), self.embed, strict=True)
        for operator, weight, signal, embed in parts:
            trajectory = propagate_features(
                graphs.adj,
                graphs.ptr,
                signal,
                self.num_steps,
                "weights" if operator == "attention" else operator,
                self.normalization,
                weight,
                qr_every=self.qr_every,
            )
            if self.rescale:
                root = segment_expand(graphs.ptr.diff().to(trajectory.dtype).sqrt(), graphs.ptr, graphs.num_nodes)
                first, rest = trajectory[:, :, :1], trajectory[:, :, 1:]
                trajectory = torch.cat([first, rest * root[:, None, None, None]], 2)
            embedded.append(embed(trajectory.flatten(2).to(embed.weight.dtype)))
        return self.aggregate(torch.cat(embedded, 1))

    def _weights(self, place: int, batch: Data, adj: CSR) -> Tensor | None:
        """Entries of a learned operator, or the weights that a fixed one normalises."""
        if str(place) not in self.attention:
            return batch.get("edge_weight")
        x = batch.get(self.attribute)
        if x is None:
            raise GraphError(f"the batch has no '{self.attribute}' for the attention of RFP")
        return self.attention[str(place)](x, adj)

    @staticmethod
    def _check(
        operators: tuple[str, ...], features: int, steps: int, draws: int, samples: int, normalization: str, pool: str
    ) -> None:
        for operator in operators:
            if operator not in _NAMES:
                raise ConfigError(f"unknown operator {operator!r}", where="RFP", hint=nearest(str(operator), _NAMES))
        if not operators or min(features, draws, samples) < 1 or steps < 0:
            raise ConfigError(
                "RFP needs an operator, num_features, num_trajectories and eval_samples of at least 1, and num_steps "
                f"of at least 0, got {list(operators)}, {features}, {draws}, {samples} and {steps}"
            )
        for name, value, known in (("normalization", normalization, ("l2", "qr")), ("pool", pool, tuple(_POOLS))):
            if value not in known:
                raise ConfigError(f"unknown {name} {value!r}", where="RFP", hint=nearest(str(value), known))

    def extra_repr(self) -> str:
        return (
            f"{self.out_channels}, num_features={self.num_features}, num_steps={self.num_steps}, "
            f"num_trajectories={self.num_trajectories}, operators={list(self.operators)}, "
            f"normalization={self.normalization!r}"
        )


class _Attention(nn.Module):
    """Softmax over the incoming edges of scaled products of queries and keys: x -> [E], or [E, heads]."""

    def __init__(
        self, channels: int, heads: int, in_channels: int | None, num_categories: Sequence[int] | None
    ) -> None:
        super().__init__()
        if (in_channels is None) == (num_categories is None):
            raise ConfigError(
                "attention of RFP reads node features: give either their in_channels or their num_categories"
            )
        self.heads = heads
        if num_categories is None:
            self.encode = Linear(in_channels, channels)
        else:
            self.encode = CategoricalEncoder(channels, num_categories)
        self.query, self.key = Linear(channels, heads * channels), Linear(channels, heads * channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            module.reset_parameters()

    def forward(self, x: Tensor, adj: CSR) -> Tensor:
        h = self.encode(x)
        query, key = (part(h).view(h.size(0), self.heads, h.size(1)) for part in (self.query, self.key))
        weights = edge_softmax(sddmm(query, key, adj) / query.size(-1) ** 0.5, adj)
        return weights if self.heads > 1 else weights.squeeze(1)
