"""Energy GNN: node states that minimise a strongly convex energy of the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.implicit.conjugate_gradients import conjugate_gradients
from gnnlab.nn.implicit.convergence import NotConverged
from gnnlab.nn.implicit.differentiate import implicit_state, jacobian_product
from gnnlab.nn.implicit.graph_energy import BoundEnergy, EnergyKind, GraphEnergy
from gnnlab.nn.implicit.local_rule import EnergyRule, LocalGraph
from gnnlab.nn.implicit.minimise import METHODS, minimise
from gnnlab.nn.implicit.power_iteration import largest_curvature
from gnnlab.nn.models._implicit import ImplicitModel, feature_width, node_readout, outside_inference
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["EnergyGNN"]


class EnergyGNN(ImplicitModel):
    r"""Node states that minimise a strongly convex energy of the graph (Solodova, Richardson, Oktay, Adams, "Graph
    Neural Networks Gone Hogwild", ICLR 2025, arXiv 2407.00494).

    .. math::
        h^* = \arg\min_h E(h; x), \qquad \hat y = \mathrm{head}(\mathrm{pool}(h^*))

    with the energy of :class:`gnnlab.nn.implicit.GraphEnergy`. Whoever updates its nodes, in whatever order and with
    whatever delay, comes to the same prediction. Information travels as far as the minimiser carries it, not a
    number of layers.

    Forward, every graph of the batch is minimised at its own pace (:func:`gnnlab.nn.implicit.minimise`). Backward, with
    :math:`g = \nabla_h E`, one solve by conjugate gradients with Hessian-vector products gives the gradient of
    everything E reads; no Hessian is formed, and nothing of the search is kept:

    .. math::
        (\nabla^2_{hh} E) \, v = \frac{\partial \ell}{\partial h^*}, \qquad
        \frac{d \ell}{d \theta} = - v^\top \partial_\theta g

    The paper leaves the inner optimiser and the widths open here; L-BFGS is the default.

    Cost: an evaluation is a GNN layer of width ``picnn_channels`` over the edges, forward and backward; a forward
    pass takes some tens of them (``convergence.iterations``), a backward pass as many products
    (``adjoint_convergence``). Memory is that of one evaluation and of 16 copies of the states.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width of the features with an encoder.
        state_channels: Width of the states; ``hidden_channels`` by default.
        kind: ``node``, ``edge`` or ``attention``, see :class:`gnnlab.nn.implicit.GraphEnergy`.
        beta: Smallest curvature of the energy.
        edge_channels: Width of the edge features that messages read; 0 reads none.
        message_channels: Width of the messages.
        picnn_channels: Width of the hidden layers of the input-convex networks.
        picnn_layers: Number of their layers.
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        pool: How the nodes of a graph are pooled: ``mean``, ``sum``, ``max`` or ``min``.
        head: Factory (in_channels, out_channels) of the last network.
        level: What a prediction is made for: ``graph`` (pooled), ``node``, or ``link`` (node embeddings).
        method: Inner optimiser, ``lbfgs`` or ``gradient``.
        tolerance: Of the root mean square of the entries of a graph's gradient.
        max_iterations: Evaluations at most, and products at most in the backward pass.
        adjoint_tolerance: Residual of the backward solve, relative to the gradient that comes in.
        not_converged: ``warn`` or ``error`` where a graph is not done by then.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`; ``edge_weight``, if there,
          multiplies the messages and must not be negative
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that do not fit each other.
        GraphError: negative weights, or a batch without what the parts read.
        ConvergenceError: states or gradients not found, with ``not_converged="error"``.

    Example:
        >>> model = EnergyGNN(2, hidden_channels=8, in_channels=3)
        >>> model(Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        state_channels: int | None = None,
        kind: EnergyKind = "attention",
        beta: float = 0.1,
        edge_channels: int = 0,
        message_channels: int = 16,
        picnn_channels: int = 16,
        picnn_layers: int = 3,
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        pool: Reduce = "mean",
        head: Callable[[int, int], nn.Module] = MLPHead,
        level: TaskLevel = "graph",
        method: Literal["lbfgs", "gradient"] = "lbfgs",
        tolerance: float = 1e-5,
        max_iterations: int = 500,
        adjoint_tolerance: float = 1e-5,
        not_converged: NotConverged = "warn",
    ) -> None:
        if method not in METHODS:
            raise ConfigError(f"unknown method {method!r}", where="EnergyGNN", hint=nearest(str(method), METHODS))
        if not 0 < adjoint_tolerance < float("inf"):
            raise ConfigError(f"adjoint_tolerance must be positive, got {adjoint_tolerance}", where="EnergyGNN")
        features = feature_width(encoder, hidden_channels, in_channels, "EnergyGNN")
        width = hidden_channels if state_channels is None else state_channels
        super().__init__(
            None if encoder is None else encoder(hidden_channels),
            node_readout(width, out_channels, head, pool, level),
            tolerance,
            max_iterations,
            not_converged,
        )
        self.state_channels, self.method, self.adjoint_tolerance = width, method, adjoint_tolerance
        self.energy = GraphEnergy(
            width, features, edge_channels, kind, beta, message_channels, picnn_channels, picnn_layers
        )

    def solve(self, x: Tensor, edges: Edges) -> list[Tensor]:
        grad = torch.is_grad_enabled()
        # The search needs derivatives even where the prediction does not, as in validation.
        with torch.inference_mode(False), torch.set_grad_enabled(grad):
            energy = self.energy.bind(x, outside_inference(edges))
            h = self._minimiser(energy.detach(), x.new_zeros(x.size(0), self.state_channels), edges.ptr)
            return [self._with_gradient(energy, h, edges.ptr) if grad else h]

    def local_rule(self, batch: Data) -> EnergyRule:
        """What every node computes by itself, for asynchronous inference."""
        with torch.no_grad():
            x, edges = self.inputs(batch)
            energy = self.energy.bind(x, edges).detach()
        return _Rule(self, energy, LocalGraph(edges.adj, edges.ptr), x.new_zeros(x.size(0), self.state_channels))

    def _minimiser(self, energy: BoundEnergy, start: Tensor, ptr: Tensor) -> Tensor:
        h, record = minimise(energy, start, ptr, self.tolerance, self.max_iterations, self.method)
        self.convergence = record.report("the minimisation of the energy", self.not_converged)
        return h

    def _with_gradient(self, energy: BoundEnergy, h: Tensor, ptr: Tensor) -> Tensor:
        leaf = h.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(leaf).sum(), leaf, create_graph=True)
        product = jacobian_product(gradient, leaf)

        def solve(grad: Tensor) -> Tensor:
            v, record = conjugate_gradients(product, grad, ptr, self.adjoint_tolerance, self.max_iterations)
            self.adjoint_convergence = record.report("the gradient of the minimiser", self.not_converged)
            return v

        return implicit_state(h, -gradient, solve)


@dataclass(frozen=True)
class _Rule:
    model: EnergyGNN
    energy: BoundEnergy
    graph: LocalGraph
    start: Tensor

    def initial(self) -> Tensor:
        return self.start

    def local_energy(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        return self.energy.local(h_views, h_own)

    def step_size(self) -> Tensor:
        """[G], by the larger of the curvatures at the first states and at the minimiser."""
        rest = self.model._minimiser(self.energy, self.start, self.graph.ptr)
        return 1 / torch.maximum(self._curvature(self.start), self._curvature(rest))

    def readout(self, h: Tensor) -> Tensor:
        return self.model.readout([h], self.graph.ptr)

    def _curvature(self, h: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = h.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.energy(leaf).sum(), leaf, create_graph=True)
        return largest_curvature(jacobian_product(gradient, leaf), h, self.graph.ptr)
