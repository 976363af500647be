"""Which graphs a network tells apart with random weights, and which it cannot by the refinement that bounds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch_geometric.data import Batch

from gnnlab.analysis.separation import separation
from gnnlab.data import GraphStore
from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import graph_classes
from gnnlab.graph._refinement import Refinement
from gnnlab.transform import Compose, Transform

__all__ = ["ModelReport", "Subject", "exact_classes", "network_separation", "renumbered"]

_CELLS = 2**15
"""Pairs of nodes in one chunk of graphs."""

_PAIRS = 2**16
"""Pairs of graphs compared at once."""

_FOLLOWS = 1e-4
"""A network whose output moves by this share when nodes are renumbered follows their numbers."""

_LAST_BIT = 2.0**-23
"""Relative size of the last bit of an encoding in single precision."""

_ENCODINGS = ("pe_", "edge_pe_", "pair_pe_")

_NUDGE = 0.05
"""Initial values such as zeros would hide what training can reach."""


@dataclass(frozen=True)
class Subject:
    """A network to examine, and what it reads.

    Args:
        build: Factory (columns of ``x``) of a network ``model(batch) -> [G, D]``.
        transforms: Applied to the graphs.
        bound: What no weights of it exceed: a method of :func:`gnnlab.graph.graph_classes`, or a transform that writes
            encodings (colour refinement that starts from them); ``None`` if that is not known.
        prepare: Changes the features of a union to those the network expects.
    """

    build: Callable[[int], nn.Module]
    transforms: Sequence[Transform] = ()
    bound: str | Refinement | Transform | None = None
    prepare: Callable[[Batch], Batch] | None = None

    def read(self, union: Batch) -> Batch:
        """The union as the network reads it, in its precision."""
        union = union if self.prepare is None else self.prepare(union)
        return Compose(tuple(self.transforms))(union) if self.transforms else union


@dataclass(frozen=True)
class ModelReport:
    """Pairs of graphs of every group (two graphs of a pair, or all of a family) that were not told apart.

    Args:
        group: [G] long.
        close: [2, C] long, pairs of graphs (of one group, the first number smaller) not told apart.
        unstable: [G] bool, graphs told apart from a renumbered copy of themselves, which do not count.
        violations: [2, V] long, stable pairs told apart that the bound says no weights tell apart: rounding taken for
            a difference, or a wrong bound. There should be none.
        noise: Largest relative difference between a stable graph and a copy of it.
        joined: Largest relative difference of a pair taken for rounding, as a multiple of the limit; far below 1.
        cut: Smallest one that was not; far above 1.
    """

    group: Tensor
    close: Tensor
    unstable: Tensor
    violations: Tensor
    noise: float
    joined: float
    cut: float

    @property
    def separated(self) -> Tensor:
        """[groups] bool, pairs of stable graphs that were told apart, where every group is a pair."""
        result = ~self.unstable.view(-1, 2).any(1)
        result[self.group[self.close[0]]] = False
        return result

    @property
    def num_classes(self) -> int:
        """Classes of graphs, of all groups together; unstable graphs are one class in every group."""
        close = torch.cat([self.close, self._unstable_pairs()], 1).cpu().numpy()
        graphs = self.group.numel()
        return int(
            connected_components(coo_array(([True] * close.shape[1], close), (graphs, graphs)), directed=False)[0]
        )

    def _unstable_pairs(self) -> Tensor:
        index = self.unstable.nonzero().flatten()
        same = self.group[index][1:] == self.group[index][:-1]
        return torch.stack([index[:-1][same], index[1:][same]])


@torch.no_grad()
def network_separation(
    store: GraphStore,
    subject: Subject,
    group: Tensor,
    *,
    classes: Tensor | None = None,
    draws: int = 5,
    least: int = 3,
    copies: int = 1,
    tolerance: float = 1e-9,
    seed: int = 0,
    track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter,
) -> ModelReport:
    r"""Which graphs of every group a network tells apart, without training.

    Networks with ``draws`` random weights are run in double precision on the graphs and on renumbered copies of them.
    Two graphs are told apart by one of them if their outputs differ by more than

    .. math:: \max(\mathrm{tolerance},\ 10 \max_{G, \pi} \|f(G) - f(\pi G)\| / \|f(G)\|)

    relative to the larger of the two, and told apart at all if they are by ``least`` of them. Encodings in single
    precision, whose last bit may differ where exact arithmetic does not, are moved by up to that bit in the copies, so
    that the limit knows what becomes of it. Weights are moved off
    their initial values, which may be zeros, and batch normalisation takes the statistics of a sample of the graphs,
    without which sums of many layers saturate.

    A network can stay below what some weights of it would tell apart, where the difference drowns; with a limit this
    far above the noise it does not claim more.

    Args:
        store: The graphs, with node features ``x``.
        subject: The network.
        group: [G] long, non-decreasing from 0; graphs of one group are compared.
        classes: [G] long of :func:`exact_classes`: pairs of one class told apart are violations.
        draws: Random weights.
        least: Of them that must agree.
        copies: Renumbered copies of every graph.
        tolerance: Smallest relative difference that counts.
        seed: Of weights and copies.
        track: Wraps the chunks of work, for a progress bar.

    Raises:
        ConfigError: ``least`` outside 1 to ``draws``, or no copy.
        GraphError: outputs that are not numbers, or not one row per graph.
    """
    if not 1 <= least <= draws or copies < 1:
        problem = f"1 <= least <= draws and 1 <= copies, got {least}, {draws} and {copies}"
        raise ConfigError(f"there must be {problem}", where="network_separation")
    networks = [_network(subject, store, seed + draw) for draw in range(draws)]
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for index in track(_chunks(store.sizes("node"))):
        unions = [subject.read(renumbered(store, index, generator, keep=not copy)) for copy in range(copies + 1)]
        for union in unions[1:]:
            _move_last_bits(union, generator)
        parts.append(torch.stack([_outputs(networks, union) for union in unions], 1))
    outputs = torch.cat(parts, 2) if parts else torch.zeros(draws, copies + 1, 0, 1, dtype=torch.float64)
    if not bool(outputs.isfinite().all()):
        raise GraphError("the network returns values that are not numbers", where="network_separation")
    return _compared(outputs, group, classes, least, tolerance)


@torch.no_grad()
def exact_classes(store: GraphStore, bound: str | Refinement | Transform, group: Tensor) -> Tensor:
    """[G] long, classes of graphs that no network with this bound tells apart; see :class:`Subject`."""
    if isinstance(bound, Transform):
        return separation(store, bound, group, ["wl"])["wl"].classes
    union = store[torch.arange(len(store))]
    return graph_classes(union.edge_index, union.ptr, bound, union.x)


def renumbered(store: GraphStore, index: Tensor, generator: torch.Generator, keep: bool = False) -> Batch:
    """The union of some graphs, each with other numbers of its nodes (``keep``: with its own)."""
    union = store[index]
    if keep:
        return union
    # Random numbers sorted within their graph are a permutation of it.
    order = torch.rand(union.num_nodes, generator=generator).argsort()
    order = order[union.batch[order].argsort(stable=True)]
    for key, column in store.columns.items():
        if column.level == "node":
            union[key] = union[key].index_select(column.cat_dim, order)
    union.edge_index = order.argsort()[union.edge_index]
    del union.adj
    return union


def _move_last_bits(union: Batch, generator: torch.Generator) -> None:
    """Move encodings in single precision by up to their last bit."""
    for key, value in union.to_dict().items():
        if key.startswith(_ENCODINGS) and value.dtype == torch.float32:
            union[key] = value * (1 + _LAST_BIT * (2 * torch.rand(value.shape, generator=generator) - 1))


def _network(subject: Subject, store: GraphStore, seed: int) -> nn.Module:
    width = store.column("x").size(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = subject.build(width).double()
        for parameter in model.parameters():
            parameter.add_(_NUDGE * torch.randn_like(parameter))
        _calibrate(model, _double(subject.read(store[_sample(store)])))
    return model.eval()


def _sample(store: GraphStore) -> Tensor:
    """Graphs of all kinds that fit into one chunk."""
    index = torch.arange(len(store))
    share = max(1.0, float(store.sizes("node").square().sum()) / _CELLS)
    return index[:: int(share) + (share > 1)]


def _calibrate(model: nn.Module, union: Batch) -> None:
    """Batch normalisation takes the statistics of one batch; nothing else is in training."""
    norms = [
        module for module in model.eval().modules() if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    if norms:
        model(union)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        # A channel that hardly varies would have its rounding blown up.
        norm.running_var.copy_(norm.running_var.maximum(1e-2 * norm.running_mean.square() + 1e-4))


def _double(union: Batch) -> Batch:
    for key, value in union.to_dict().items():
        if isinstance(value, Tensor) and value.is_floating_point():
            union[key] = value.double()
    return union


def _outputs(networks: list[nn.Module], union: Batch) -> Tensor:
    """[draws, G, D]"""
    graphs, union = union.num_graphs, _double(union)
    outputs = torch.stack([network(union) for network in networks])
    if outputs.dim() != 3 or outputs.size(1) != graphs:
        raise GraphError(
            f"the network returns {list(outputs.shape[1:])} for {graphs} graphs",
            where="network_separation",
            hint="it must have level='graph'",
        )
    return outputs


def _compared(outputs: Tensor, group: Tensor, classes: Tensor | None, least: int, tolerance: float) -> ModelReport:
    original, copies = outputs[:, 0], outputs[:, 1:]
    norm = original.norm(dim=2).clamp(min=torch.finfo(torch.float64).tiny)
    moved = (copies - original[:, None]).norm(dim=3).amax(1) / norm
    stable = moved <= _FOLLOWS
    unstable = ~stable.all(0)
    noise = (moved * stable).amax(1) if moved.size(1) else moved.new_zeros(moved.size(0))
    limit = (10 * noise).clamp(min=tolerance)[:, None]
    close, violations, joined, cut = [], [], 0.0, torch.inf
    for first, second in _pairs(group):
        gap = (original[:, first] - original[:, second]).norm(dim=2)
        ratio = gap / torch.maximum(norm[:, first], norm[:, second]) / limit
        # The vote turns at this one.
        deciding = ratio.kthvalue(ratio.size(0) - least + 1, dim=0).values
        apart = deciding > 1
        sure = ~unstable[first] & ~unstable[second]
        joined = max(joined, _largest(deciding[sure & ~apart], 0.0))
        cut = min(cut, -_largest(-deciding[sure & apart], -torch.inf))
        close.append(torch.stack([first, second])[:, ~apart])
        if classes is not None:
            violations.append(torch.stack([first, second])[:, apart & sure & (classes[first] == classes[second])])
    none = group.new_zeros(2, 0)
    return ModelReport(
        group,
        torch.cat(close, 1) if close else none,
        unstable,
        torch.cat(violations, 1) if violations else none,
        float(noise.max()),
        joined,
        cut,
    )


def _pairs(group: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Numbers of the graphs of every pair within a group, some pairs at a time."""
    graphs = group.numel()
    index = torch.arange(graphs)
    end = torch.searchsorted(group, group, right=True)
    later = end - index - 1
    ends = later.cumsum(0)
    total = int(ends[-1]) if graphs else 0
    for start in range(0, total, _PAIRS):
        pair = torch.arange(start, min(start + _PAIRS, total))
        first = torch.searchsorted(ends, pair, right=True)
        yield first, first + 1 + pair - (ends - later)[first]


def _largest(values: Tensor, otherwise: float) -> float:
    return float(values.max()) if values.numel() else otherwise


def _chunks(sizes: Tensor) -> list[Tensor]:
    """Indices of the graphs of every chunk."""
    cuts = 1 + (sizes.square().cumsum(0) // _CELLS).diff().nonzero().flatten()
    return [part for part in torch.arange(sizes.numel()).tensor_split(cuts) if part.numel()]
