"""Graph-signal denoising: node states that are near their features and near one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.implicit.conjugate_gradients import conjugate_gradients
from gnnlab.nn.implicit.convergence import NotConverged
from gnnlab.nn.implicit.differentiate import implicit_state
from gnnlab.nn.implicit.graph_energy import non_negative
from gnnlab.nn.implicit.local_rule import EnergyRule, LocalGraph
from gnnlab.nn.mlp import MLP
from gnnlab.nn.models._implicit import ImplicitModel, feature_width, node_readout
from gnnlab.ops import CSR, aggregate, aggregate_edges, gather_source, gather_target, segment_reduce
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["GSDGNN"]


class GSDGNN(ImplicitModel):
    r"""Graph-signal denoising as a network (the quadratic peer of :class:`gnnlab.nn.EnergyGNN` in Solodova et al.,
    ICLR 2025, arXiv 2407.00494).

    .. math::
        H^* = \arg\min_H \lVert H - f(X) \rVert_F^2 + \gamma \, \mathrm{tr}(H^\top L H) = (I + \gamma L)^{-1} f(X)

    solved by conjugate gradients, every graph at its own pace, and once more in the backward pass. L is
    :math:`D - A` with A made symmetric: an edge in one direction alone counts half, self-loops for nothing.

    Smoothing keeps the sum of a signal, :math:`1^\top (I + \gamma L)^{-1} = 1^\top`: a graph's prediction from pooling
    by ``sum`` or ``mean`` sees f(X) and no edge at all. Pool by ``max``, or ``normalise``.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width of the states, and of the features with an encoder.
        gamma: :math:`\gamma`, not negative: how far a node's features spread.
        normalise: Use :math:`D^{-1/2} L D^{-1/2}` instead of L.
        f: Factory (in_channels, out_channels) of the network f.
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        pool: How the nodes of a graph are pooled: ``mean``, ``sum``, ``max`` or ``min``.
        head: Factory (in_channels, out_channels) of the last network.
        level: What a prediction is made for: ``graph`` (pooled), ``node``, or ``link`` (node embeddings).
        tolerance: Of the residual of a graph relative to its f(X), or to the gradient that comes in.
        max_iterations: Products at most, in either direction.
        not_converged: ``warn`` or ``error`` where a graph is not done by then.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`; ``edge_weight``, if there,
          must not be negative
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: a negative :math:`\gamma`, or settings that do not fit each other.
        GraphError: negative weights, or a batch without what the parts read.
        ConvergenceError: states or gradients not found, with ``not_converged="error"``.

    Example:
        >>> model = GSDGNN(1, 1, gamma=1.0, f=lambda i, o: nn.Identity(), in_channels=1)
        >>> path = Data(x=torch.tensor([[1.0], [0.0], [0.0]]), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> model.states(path)[-1].flatten().round(decimals=4).tolist()
        [0.625, 0.25, 0.125]
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        gamma: float = 1.0,
        normalise: bool = False,
        f: Callable[[int, int], nn.Module] = MLP,
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        pool: Reduce = "mean",
        head: Callable[[int, int], nn.Module] = MLPHead,
        level: TaskLevel = "graph",
        tolerance: float = 1e-6,
        max_iterations: int = 500,
        not_converged: NotConverged = "warn",
    ) -> None:
        if not 0 <= gamma < float("inf"):
            raise ConfigError(f"gamma must be a number that is not negative, got {gamma}", where="GSDGNN")
        features = feature_width(encoder, hidden_channels, in_channels, "GSDGNN")
        super().__init__(
            None if encoder is None else encoder(hidden_channels),
            node_readout(hidden_channels, out_channels, head, pool, level),
            tolerance,
            max_iterations,
            not_converged,
        )
        self.gamma, self.normalise = gamma, normalise
        self.f = f(features, hidden_channels)

    def solve(self, x: Tensor, edges: Edges) -> list[Tensor]:
        signal = self.f(x)
        smoother = _Smoother.of(edges, self.gamma, self.normalise, x.dtype)
        frozen = smoother.detach()

        def solve(rhs: Tensor) -> tuple[Tensor, object]:
            return conjugate_gradients(frozen, rhs, edges.ptr, self.tolerance, self.max_iterations)

        def adjoint(grad: Tensor) -> Tensor:
            v, record = solve(grad)
            self.adjoint_convergence = record.report("the gradient of the denoised signal", self.not_converged)
            return v

        h, record = solve(signal.detach())
        self.convergence = record.report("the denoising of the signal", self.not_converged)
        return [implicit_state(h, signal - smoother(h), adjoint) if torch.is_grad_enabled() else h]

    def local_rule(self, batch: Data) -> EnergyRule:
        """What every node computes by itself, for asynchronous inference."""
        with torch.no_grad():
            x, edges = self.inputs(batch)
            smoother = _Smoother.of(edges, self.gamma, self.normalise, x.dtype).detach()
            return _Rule(self, smoother, self.f(x), LocalGraph(edges.adj, edges.ptr))


@dataclass(frozen=True)
class _Smoother:
    r"""The matrix :math:`I + \gamma S (D - A) S` of a union, S being 1 or :math:`D^{-1/2}`."""

    adj: CSR
    reverse: CSR
    weight: Tensor | None
    degree: Tensor
    scale: Tensor
    gamma: float

    @classmethod
    def of(cls, edges: Edges, gamma: float, normalise: bool, dtype: torch.dtype) -> _Smoother:
        adj, reverse, weight = edges.adj, edges.adj.t(), non_negative(edges.weight, "edge weights")
        ones = torch.ones(adj.num_nodes, 1, dtype=dtype, device=adj.device)
        weight = None if weight is None else weight.to(dtype)
        degree = (aggregate(ones, adj, edge_weight=weight) + aggregate(ones, reverse, edge_weight=weight)) / 2
        scale = torch.where(degree > 0, degree, 1).rsqrt() if normalise else ones
        return cls(adj, reverse, weight, degree, scale, gamma)

    def __call__(self, h: Tensor) -> Tensor:
        y = self.scale * h
        near = aggregate(y, self.adj, edge_weight=self.weight) + aggregate(y, self.reverse, edge_weight=self.weight)
        return h + self.gamma * self.scale * (self.degree * y - near / 2)

    def differences(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        """[E, d] scaled states of the sources, as seen by the targets, less those of the targets."""
        return gather_source(self.scale, self.adj) * h_views - gather_target(self.scale * h_own, self.adj)

    def roughness(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        r"""[N] parts of :math:`\gamma \, \mathrm{tr}(H^\top L H)`, by the targets of the edges."""
        square = self.differences(h_views, h_own).square().sum(1)
        return self.gamma / 2 * aggregate_edges(square, self.adj, h_own.size(0), self.weight)

    def detach(self) -> _Smoother:
        weight = None if self.weight is None else self.weight.detach()
        return replace(self, weight=weight, degree=self.degree.detach(), scale=self.scale.detach())


@dataclass(frozen=True)
class _Rule:
    model: GSDGNN
    smoother: _Smoother
    signal: Tensor
    graph: LocalGraph

    def initial(self) -> Tensor:
        return torch.zeros_like(self.signal)

    def local_energy(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        return (h_own - self.signal).square().sum(1) + self.smoother.roughness(h_views, h_own)

    def local_gradients(self, h_views: Tensor, h_own: Tensor) -> tuple[Tensor, Tensor]:
        smoother = self.smoother
        pull = smoother.gamma * smoother.differences(h_views, h_own)
        pull = pull if smoother.weight is None else pull * smoother.weight.view(-1, 1)
        own = 2 * (h_own - self.signal) - smoother.scale * aggregate_edges(pull, smoother.adj, h_own.size(0))
        return gather_source(smoother.scale, smoother.adj) * pull, own

    def step_size(self) -> Tensor:
        r"""[G], 1 over Gershgorin's bound :math:`2 (1 + 2 \gamma \max_i s_i^2 d_i)`."""
        steepest = segment_reduce(
            (self.smoother.scale.square() * self.smoother.degree).squeeze(1), self.graph.ptr, "max"
        )
        return 0.5 / (1 + 2 * self.smoother.gamma * steepest)

    def readout(self, h: Tensor) -> Tensor:
        return self.model.readout([h], self.graph.ptr)
