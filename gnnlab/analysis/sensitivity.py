"""How much the state of one node depends on the features of another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.analysis._jacobian import backward, differentiable_states, evaluation, rounds
from gnnlab.errors import BudgetError, ConfigError, GraphError, nearest
from gnnlab.ops import expand_ptr
from gnnlab.transform import graph_ptr

__all__ = ["Sensitivity", "sensitivity"]

_NORMS = {
    "l1": lambda blocks: blocks.abs().sum((0, 2)),
    "frobenius": lambda blocks: blocks.square().sum((0, 2)).sqrt(),
    "spectral": lambda blocks: torch.linalg.matrix_norm(blocks.transpose(0, 1), 2),
}
"""Norms of Jacobians [p_out, N, p_in], one per node."""


@dataclass(frozen=True)
class Sensitivity:
    """Norms of the Jacobians of some nodes with respect to all nodes of their graphs.

    Args:
        value: [T, n_max] float64, norm for target t and node j of its graph, as the rows of
            :func:`gnnlab.graph.shortest_path_distances`; 0 in the padding.
        target: [T] long, the nodes of the union looked at.
        norm: Which norm.
        error: [T, n_max] float64, standard error of ``value`` where it was estimated; ``None`` where it is exact.
    """

    value: Tensor
    target: Tensor
    norm: str
    error: Tensor | None = None

    @property
    def influence(self) -> Tensor:
        """[T, n_max], shares of the row sums (Xu et al., ICML 2018); a row without any sensitivity stays 0."""
        total = self.value.sum(1, keepdim=True)
        return torch.where(total > 0, self.value / total, 0.0)


def sensitivity(
    model: nn.Module,
    batch: Data,
    target: Tensor | None = None,
    norm: str = "l1",
    *,
    layer: int = -1,
    source_layer: int = 0,
    probes: int | None = None,
    seed: int = 0,
    max_gigabytes: float = 8.0,
) -> Sensitivity:
    r"""Norms of the Jacobians between node states (Topping et al., ICLR 2022; Di Giovanni et al., ICML 2023).

    .. math:: s_{vu} = \lVert J_{vu} \rVert, \qquad J_{vu} = \partial h_v^{(m)} / \partial h_u^{(0)}

    in evaluation mode, at the features of the batch. The nodes of different graphs do not see each other, so one
    backward pass over the union gives a row of the Jacobians of one target in every graph at once: all targets cost
    :math:`n_{max} p` passes, however many graphs there are.

    With ``probes`` the Frobenius norm is estimated, which takes :math:`q` passes in place of :math:`p`: for random
    signs g, :math:`E \lVert g^\top J_{vu} \rVert^2 = \lVert J_{vu} \rVert_F^2`. The relative standard deviation of the
    square is at most :math:`\sqrt{2/q}`. All targets share their signs, so the errors of different pairs go together.

    Cost: time :math:`O(n_{max} p)` backward passes (q for p with probes), or as many for every target of the graph that
    has most of them; memory :math:`8 T n_{max} + 4 N p^2` bytes beside the states. Of a graph of 100,000
    nodes ask for some targets: all of them are refused.

    Args:
        model: A model with ``states(batch)``, one row per node.
        batch: The union.
        target: [T] long, nodes v; all by default.
        norm: ``"l1"`` (sum of the absolute entries), ``"frobenius"`` or ``"spectral"``.
        layer: States that respond, an index into ``model.states(batch)``.
        source_layer: States that are varied.
        probes: Number q of random signs, at least 2; ``None`` for exact norms.
        seed: Of the signs.
        max_gigabytes: Largest result and Jacobian blocks to allocate.

    Raises:
        ConfigError: unknown norm, a model without states of nodes, layers that are not there, or probes of another norm
            than the Frobenius norm.
        GraphError: targets outside the union, or first states without a gradient.
        BudgetError: more than ``max_gigabytes``.

    Example:
        >>> from gnnlab.nn import GNN
        >>> path = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> model = GNN(1, num_layers=1, in_channels=2, activation=None)
        >>> (sensitivity(model, path).value > 0).tolist()
        [[True, True, False], [True, True, True], [False, True, True]]
    """
    _check(norm, probes)
    ptr = graph_ptr(batch)
    target = _targets(target, int(ptr[-1]), ptr.device)
    sizes = ptr.diff()
    graph = expand_ptr(ptr, int(ptr[-1]))
    local = torch.arange(graph.numel(), device=ptr.device) - ptr[graph]
    value = torch.zeros(_size(target, sizes, max_gigabytes), dtype=torch.float64, device=ptr.device)
    error = None if probes is None else torch.zeros_like(value)
    with evaluation(model):
        states = differentiable_states(model, batch, "sensitivity")
        output, source = _layer(states, layer), _layer(states, source_layer)
        cotangents = _cotangents(output, probes, seed)
        _check_blocks(cotangents.size(0), source, max_gigabytes)
        for chosen in rounds(graph[target], sizes.numel()):
            blocks = _blocks(output, source, target[chosen], cotangents)
            # Row of the result that the nodes of a graph write to in this round, -1 for none.
            row = torch.full_like(sizes, -1).index_copy_(0, graph[target[chosen]], chosen)[graph]
            kept = row >= 0
            place = row[kept], local[kept]
            if error is None:
                value[place] = _NORMS[norm](blocks)[kept].double()
            else:
                value[place], error[place] = _estimate(blocks[:, kept].double().square().sum(2))
    return Sensitivity(value, target, norm, error)


def _blocks(output: Tensor, source: Tensor, target: Tensor, cotangents: Tensor) -> Tensor:
    """[R, N, p_in], every cotangent times the Jacobians of one target per graph."""
    blocks = source.new_empty(cotangents.size(0), *source.shape)
    for index, row in enumerate(cotangents):
        cotangent = torch.zeros_like(output).index_copy_(0, target, row.expand(target.numel(), -1))
        (blocks[index],) = backward(output, [source], cotangent)
    return blocks


def _cotangents(output: Tensor, probes: int | None, seed: int) -> Tensor:
    """[p, p] units, or [q, p] random signs."""
    width = output.size(1)
    if probes is None:
        return torch.eye(width, dtype=output.dtype, device=output.device)
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randint(2, (probes, width), generator=generator) - 1).to(output)


def _estimate(squares: Tensor) -> tuple[Tensor, Tensor]:
    """Norms [N] and standard errors of samples [q, N] of their squares."""
    norm = squares.mean(0).sqrt()
    error = squares.std(0) / squares.size(0) ** 0.5
    return norm, torch.where(norm > 0, error / (2 * norm), 0.0)


def _check(norm: str, probes: int | None) -> None:
    if norm not in _NORMS:
        raise ConfigError(f"unknown norm {norm!r}", where="sensitivity", hint=nearest(str(norm), _NORMS))
    if probes is not None and norm != "frobenius":
        raise ConfigError(f"probes estimate the Frobenius norm, not {norm!r}", where="sensitivity")
    if probes is not None and probes < 2:
        raise ConfigError(f"an error needs at least 2 probes, got {probes}", where="sensitivity")


def _targets(target: Tensor | None, num_nodes: int, device: torch.device) -> Tensor:
    if target is None:
        return torch.arange(num_nodes, device=device)
    if target.dim() != 1 or target.is_floating_point() or target.dtype == torch.bool:
        raise GraphError(f"target must be [T] long, got {list(target.shape)} of {target.dtype}", where="sensitivity")
    if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < num_nodes:
        raise GraphError(f"a target is outside the union of {num_nodes} nodes", where="sensitivity")
    return target.to(device)


def _layer(states: list[Tensor], index: int) -> Tensor:
    if not -len(states) <= index < len(states):
        raise ConfigError(f"layer {index} of a model with {len(states)} states", where="sensitivity")
    return states[index]


def _size(target: Tensor, sizes: Tensor, max_gigabytes: float) -> tuple[int, int]:
    width = int(sizes.max()) if sizes.numel() else 0
    needed = 8 * target.numel() * width / 2**30
    if needed > max_gigabytes:
        raise BudgetError(
            f"{target.numel():,} targets in graphs of up to {width:,} nodes take {needed:.1f} GiB "
            f"(limit {max_gigabytes:g})",
            where="sensitivity",
            hint="pass fewer targets, or raise max_gigabytes",
        )
    return target.numel(), width


def _check_blocks(rows: int, source: Tensor, max_gigabytes: float) -> None:
    needed = rows * source.numel() * source.element_size() / 2**30
    if needed > max_gigabytes:
        raise BudgetError(
            f"Jacobians of {rows} rows with {source.size(0):,} nodes of width {source.size(1)} take {needed:.1f} GiB "
            f"(limit {max_gigabytes:g})",
            where="sensitivity",
            hint="norm='frobenius' with probes needs fewer rows; or raise max_gigabytes",
        )
