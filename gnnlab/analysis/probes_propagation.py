"""How far a signal travels in a network that has learned nothing, beside the resistance of the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.graph import effective_resistance, shortest_path_distances, total_effective_resistance
from gnnlab.nn import GNN, GCNConv
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.transform import graph_ptr

__all__ = ["SignalPropagation", "signal_propagation"]


@dataclass(frozen=True)
class SignalPropagation:
    """How far signals got from some sources of every graph.

    Args:
        score: [G, S] float64, :math:`h_\\odot` of every source; 0 where nothing arrives anywhere.
        source: [G, S] long, nodes of the union; -1 in a graph without nodes.
        source_resistance: [G, S] float64, sum of the resistances from the source to the nodes of its component.
        total_resistance: [G] float64, :func:`gnnlab.graph.total_effective_resistance`.
    """

    score: Tensor
    source: Tensor
    source_resistance: Tensor
    total_resistance: Tensor

    @property
    def rank_correlation(self) -> float:
        """Spearman's correlation of mean score and total resistance over the graphs; 0 where one is constant."""
        score, total = self.score.mean(1).cpu(), self.total_resistance.cpu()
        if score.numel() < 2 or not score.min() < score.max() or not total.min() < total.max():
            return 0.0
        return float(spearmanr(score.numpy(), total.numpy()).statistic)


@torch.no_grad()
def signal_propagation(
    batch: Data,
    network: Callable[[int, int], nn.Module] | None = None,
    *,
    sources: int = 10,
    width: int = 5,
    depth: int = 10,
    seed: int = 0,
) -> SignalPropagation:
    r"""Send a unit of signal from random sources through an untrained network (Di Giovanni et al., ICML 2023).

    .. math:: h_\odot = \frac{1}{p \, \max_u d(u, s)} \sum_{c=1}^{p} \sum_u \bar h_{u,c} \, d(u, s)

    The source s carries random features of sum 1 (a softmax of noise), all other nodes zeros; :math:`\bar h` are the
    last states over their sum, channel by channel. Near 0 the signal stays where it is; the score grows with the share
    of it that arrives far away, relative to the eccentricity of the source. Negative states count as nothing, and so do
    channels without any signal. Every source has a network of its own, the same in all graphs, because a narrow one
    with rectifiers may let nothing through. The score is to be compared with the resistance.

    Distances are taken along the edges, from the source; nodes it cannot reach do not count.

    Cost: ``sources`` passes over the union, and its table of distances, :math:`4 N n_{max}` bytes.

    Args:
        batch: The union; its features are not read.
        network: Factory (width, depth) of a model with ``states(batch)`` that reads ``width`` features per node; by
            default a GCN with rectifiers.
        sources: Random sources per graph, S.
        width: Of the states, p.
        depth: Number of layers.
        seed: Of parameters, sources and features; the global random state is left as it was.

    Raises:
        ConfigError: fewer than one source.
        BudgetError: a table of distances that is too large.

    Example:
        >>> path = Data(num_nodes=3, edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> signal_propagation(path, sources=4).total_resistance.round(decimals=6).tolist()
        [4.0]
    """
    if sources < 1:
        raise ConfigError(f"sources must be at least 1, got {sources}", where="signal_propagation")
    ptr = graph_ptr(batch)
    graph, device = expand_ptr(ptr, int(ptr[-1])), ptr.device
    sizes = ptr.diff()
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        models = [(network or _gcn)(width, depth).double().to(device).eval() for _ in range(sources)]
    places = torch.rand(sizes.numel(), sources, generator=generator, dtype=torch.float64).to(device)
    signals = torch.randn(sources, width, generator=generator, dtype=torch.float64).softmax(1).to(device)
    source = torch.where(sizes[:, None] > 0, ptr[:-1, None] + (places * sizes[:, None]).long(), -1)
    hops = shortest_path_distances(batch.edge_index, ptr)
    local = torch.arange(graph.numel(), device=device) - ptr[graph]
    score = torch.zeros_like(places)
    real = sizes > 0
    for column, model in enumerate(models):
        x = torch.zeros(graph.numel(), width, dtype=torch.float64, device=device)
        x[source[real, column]] = signals[column]
        states = model.states(Data(x=x, edge_index=batch.edge_index, ptr=ptr, batch=graph))[-1]
        distance = hops[source[graph, column], local].clamp(min=0).double()
        score[:, column] = _travelled(states, distance, graph, sizes.numel())
    resistance = _sums_of_resistance(batch.edge_index, ptr, source[real])
    of_source = torch.zeros_like(places).index_put_((real,), resistance)
    return SignalPropagation(score, source, of_source, total_effective_resistance(batch.edge_index, ptr))


def _travelled(states: Tensor, distance: Tensor, graph: Tensor, num_graphs: int) -> Tensor:
    """[G] mean distance of the signal over the largest distance, averaged over the channels."""
    mass = states.clamp(min=0).nan_to_num(posinf=0.0)
    zeros = mass.new_zeros(num_graphs, mass.size(1))
    total = zeros.index_add(0, graph, mass)
    moment = zeros.index_add(0, graph, mass * distance[:, None])
    farthest = mass.new_zeros(num_graphs).scatter_reduce(0, graph, distance, "amax")
    mean = torch.where(total > 0, moment / total, 0.0).mean(1)
    return mean / farthest.clamp(min=1)


def _sums_of_resistance(edge_index: Tensor, ptr: Tensor, source: Tensor) -> Tensor:
    """[R, S] over the nodes of the component of every source."""
    if source.numel() == 0:
        return source.double()
    nodes, flat = ptr.diff()[expand_ptr(ptr, int(ptr[-1]))[source]].flatten(), source.flatten()
    owner = torch.arange(flat.numel(), device=ptr.device).repeat_interleave(nodes)
    first = ptr[expand_ptr(ptr, int(ptr[-1]))[flat]]
    pairs = torch.stack([flat[owner], first[owner] + ragged_arange(nodes)])
    found = effective_resistance(edge_index, ptr, pairs)
    found = torch.where(found.isfinite(), found, 0.0)
    return found.new_zeros(flat.numel()).index_add_(0, owner, found).view_as(source)


def _gcn(width: int, depth: int) -> nn.Module:
    return GNN(1, width, depth, GCNConv, in_channels=width, residual=False)
