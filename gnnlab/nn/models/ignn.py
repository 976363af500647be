"""Implicit graph neural network: node states that are the fixed point of a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.conv._edges import symmetric_norm
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.implicit.convergence import NotConverged
from gnnlab.nn.implicit.differentiate import implicit_state, jacobian_product
from gnnlab.nn.implicit.fixed_point import fixed_point
from gnnlab.nn.implicit.graph_energy import non_negative
from gnnlab.nn.implicit.local_rule import FixedPointRule, LocalGraph
from gnnlab.nn.implicit.power_iteration import spectral_radius_bound
from gnnlab.nn.implicit.row_ball import project_rows
from gnnlab.nn.linear import Linear
from gnnlab.nn.models._implicit import ImplicitModel, feature_width, node_readout
from gnnlab.ops import CSR, aggregate, aggregate_edges, expand_ptr, gather, segment_reduce
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["IGNN", "AdjacencyNorm"]

AdjacencyNorm: TypeAlias = Literal["symmetric", "radius"]
"""How the adjacency matrix is scaled so that its spectral radius is at most 1."""


class IGNN(ImplicitModel):
    r"""Implicit graph neural network (Gu, Chang, Zhu, Sojoudi, El Ghaoui, NeurIPS 2020, arXiv 2009.06211).

    .. math::
        H = \phi(\hat A H W^\top + \hat A X \Omega^\top), \qquad \lVert W \rVert_\infty \leq \kappa < 1,
        \qquad \rho(\hat A) \leq 1

    With :math:`\phi` non-expansive in every component the right side is a contraction in a weighted maximum norm,
    so there is exactly one fixed point, also under delays. Rows of W outside the ball are projected onto it
    whenever W is read, and gradients pass through the projection. The paper's condition is
    :math:`\lVert W \rVert_\infty \leq \kappa / \rho(A)`; here every graph's A is divided by its own radius instead,
    which allows the same products of W and A and keeps a graph independent of its batch.

    Forward is the Picard iteration, backward the adjoint one, :math:`v \leftarrow J^\top v + \partial \ell/\partial H`.
    Several layers, each reading the states of the one before it, are solved together: the joint map has a
    block-triangular matrix, and contracts as well.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width of the states of each layer, and of the features with an encoder.
        implicit_layers: Implicit layers; the paper's models of graphs have 3, those of nodes 1.
        kappa: :math:`\kappa`, below 1.
        phi: Factory of :math:`\phi`, applied to every entry; ReLU, Tanh, ELU, ... but not GELU or SiLU, which
            expand.
        adjacency: ``symmetric``, :math:`\hat D^{-1/2} (A + I) \hat D^{-1/2}`, as the released code has it, or
            ``radius``, :math:`A / \rho(A)` of the graph (:math:`\rho` from above, by power iteration, at least the
            largest edge weight; to gradients with respect to edge weights a constant).
        encoder: As in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        pool: How the nodes of a graph are pooled: ``mean``, ``sum``, ``max`` or ``min``.
        head: Factory (in_channels, out_channels) of the last network.
        level: What a prediction is made for: ``graph`` (pooled), ``node``, or ``link`` (node embeddings).
        tolerance: Of the largest change of an entry in one step; the released code's by default.
        max_iterations: Steps at most, in either direction; the released code's by default.
        not_converged: ``warn`` or ``error`` where a graph is not done by then.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`; ``edge_weight``, if there,
          must not be negative
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: :math:`\kappa` outside [0, 1), an expansive :math:`\phi`, or settings that do not fit each other.
        GraphError: negative weights, or a batch without what the parts read.
        ConvergenceError: states or gradients not found, with ``not_converged="error"``.

    Example:
        >>> model = IGNN(2, hidden_channels=8, in_channels=3)
        >>> model(Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        implicit_layers: int = 1,
        kappa: float = 0.9,
        phi: Callable[[], nn.Module] = nn.ReLU,
        adjacency: AdjacencyNorm = "symmetric",
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        pool: Reduce = "mean",
        head: Callable[[int, int], nn.Module] = MLPHead,
        level: TaskLevel = "graph",
        tolerance: float = 3e-6,
        max_iterations: int = 300,
        not_converged: NotConverged = "warn",
    ) -> None:
        if implicit_layers < 1 or not 0 <= kappa < 1:
            raise ConfigError(
                f"implicit_layers must be at least 1 and kappa in [0, 1), got {implicit_layers} and {kappa}",
                where="IGNN",
            )
        if adjacency not in _SCALED:
            raise ConfigError(f"unknown adjacency {adjacency!r}", where="IGNN", hint=nearest(str(adjacency), _SCALED))
        features = feature_width(encoder, hidden_channels, in_channels, "IGNN")
        super().__init__(
            None if encoder is None else encoder(hidden_channels),
            node_readout(hidden_channels, out_channels, head, pool, level),
            tolerance,
            max_iterations,
            not_converged,
        )
        self.hidden_channels, self.implicit_layers, self.kappa = hidden_channels, implicit_layers, kappa
        self.adjacency, self.phi = adjacency, phi()
        _check_non_expansive(self.phi)
        self.weight = nn.Parameter(torch.empty(implicit_layers, hidden_channels, hidden_channels))
        widths = [features] + [hidden_channels] * (implicit_layers - 1)
        self.omega = nn.ModuleList(Linear(width, hidden_channels, bias=False) for width in widths)
        self._reset_weight()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self._reset_weight()

    def _reset_weight(self) -> None:
        bound = self.hidden_channels**-0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def solve(self, x: Tensor, edges: Edges) -> list[Tensor]:
        update = self._bind(x, edges)
        start = x.new_zeros(x.size(0), self.implicit_layers * self.hidden_channels)
        h, record = fixed_point(update.detach(), start, edges.ptr, self.tolerance, self.max_iterations)
        self.convergence = record.report("the fixed point", self.not_converged)
        h = self._with_gradient(update, h, edges.ptr) if torch.is_grad_enabled() else h
        return list(h.split(self.hidden_channels, dim=1))

    def local_rule(self, batch: Data) -> FixedPointRule:
        """What every node computes by itself, for asynchronous inference; its state is that of all layers."""
        with torch.no_grad():
            x, edges = self.inputs(batch)
            update = self._bind(x, edges).detach()
        start = x.new_zeros(x.size(0), self.implicit_layers * self.hidden_channels)
        return _Rule(self, update, LocalGraph(edges.adj, edges.ptr), start)

    def _bind(self, x: Tensor, edges: Edges) -> _Update:
        weight = non_negative(edges.weight, "edge weights")
        coefficient, root = _SCALED[self.adjacency](edges.adj, edges.ptr, weight, x.dtype)
        bare = _Update(edges.adj, coefficient, root, self._matrix(), x, self.phi)
        shift = self.omega[0](bare.aggregated(x))
        return replace(bare, shift=pad(shift, (0, (self.implicit_layers - 1) * self.hidden_channels)))

    def _matrix(self) -> Tensor:
        """[L d, L d]: the projected W on the diagonal, what passes to the next layer below it."""
        weight = project_rows(self.weight, self.kappa)
        matrix = torch.block_diag(*weight)
        if self.implicit_layers == 1:
            return matrix
        d = self.hidden_channels
        return matrix + pad(torch.block_diag(*(omega.weight for omega in self.omega[1:])), (0, d, d, 0))

    def _with_gradient(self, update: _Update, h: Tensor, ptr: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = h.detach().requires_grad_()
            out = update(leaf)
        product = jacobian_product(out, leaf)

        def solve(grad: Tensor) -> Tensor:
            v, record = fixed_point(lambda v: product(v) + grad, grad, ptr, self.tolerance, self.max_iterations)
            self.adjoint_convergence = record.report("the gradient of the fixed point", self.not_converged)
            return v

        return implicit_state(h, out, solve)


@dataclass(frozen=True)
class _Update:
    """The right side for given features and edges."""

    adj: CSR
    coefficient: Tensor
    root: Tensor | None
    matrix: Tensor
    shift: Tensor
    phi: nn.Module

    def __call__(self, h: Tensor) -> Tensor:
        return self.phi(linear(self.aggregated(h), self.matrix) + self.shift)

    def local(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        seen = self._with_own(aggregate_edges(h_views, self.adj, h_own.size(0), self.coefficient), h_own)
        return self.phi(linear(seen, self.matrix) + self.shift)

    def aggregated(self, h: Tensor) -> Tensor:
        return self._with_own(aggregate(h, self.adj, edge_weight=self.coefficient), h)

    def detach(self) -> _Update:
        root = None if self.root is None else self.root.detach()
        coefficient, matrix, shift = self.coefficient.detach(), self.matrix.detach(), self.shift.detach()
        return replace(self, coefficient=coefficient, root=root, matrix=matrix, shift=shift)

    def _with_own(self, seen: Tensor, h: Tensor) -> Tensor:
        return seen if self.root is None else torch.addcmul(seen, self.root.unsqueeze(-1), h)


@dataclass(frozen=True)
class _Rule:
    model: IGNN
    function: _Update
    graph: LocalGraph
    start: Tensor

    def initial(self) -> Tensor:
        return self.start

    def update(self, h_views: Tensor, h_own: Tensor) -> Tensor:
        return self.function.local(h_views, h_own)

    def readout(self, h: Tensor) -> Tensor:
        return self.model.readout([h[:, -self.model.hidden_channels :]], self.graph.ptr)


def _symmetric(adj: CSR, ptr: Tensor, weight: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    return symmetric_norm(adj, weight, True, dtype)


def _by_radius(adj: CSR, ptr: Tensor, weight: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, None]:
    """Weights over the radius of their graph; a graph without cycles has radius 0, hence the largest weight."""
    graph = gather(expand_ptr(ptr, adj.num_nodes), adj.rows)
    values = torch.ones(adj.num_edges, dtype=dtype, device=adj.device) if weight is None else weight.to(dtype)
    in_rows = values if adj.eid is None else values.index_select(0, adj.eid)
    heaviest = segment_reduce(segment_reduce(in_rows.detach().double(), adj.ptr, "max"), ptr, "max")
    radius = torch.maximum(spectral_radius_bound(adj, ptr, weight), heaviest)
    scale = torch.where(radius > 0, 1 / radius, 1).to(dtype).index_select(0, graph)
    scale = scale if adj.eid is None else torch.empty_like(scale).index_copy(0, adj.eid.long(), scale)
    return values * scale, None


_SCALED = {"symmetric": _symmetric, "radius": _by_radius}


def _check_non_expansive(phi: nn.Module) -> None:
    """Slopes between points of a fine grid; enough to find the activations that expand."""
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    with torch.no_grad():
        steepest = float((phi(grid).diff() / grid.diff()).abs().max())
    if not steepest <= 1 + 1e-6:
        raise ConfigError(
            f"{type(phi).__name__} has a slope of {steepest:.3g}, so the layer need not contract",
            where="IGNN.phi",
            hint="use an activation with slopes of at most 1, such as torch.nn.ReLU or torch.nn.Tanh",
        )
