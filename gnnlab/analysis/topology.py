"""The topology of a dataset: size, resistance, commute time, spectral gap, Cheeger bounds, curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis._topology_measures import KINDS, Settings, measure
from gnnlab.errors import ConfigError
from gnnlab.rewiring.report import node_chunks

__all__ = ["TopologyProfile", "topology_profile"]

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class TopologyProfile:
    """Measures per graph; ``print`` it for their distribution over the graphs.

    Args:
        graph: [G] long, which graphs of the dataset were looked at.
        available: Graphs in the dataset.
        values: [G] float64 each, by name; NaN where a measure is not defined (no pairs, no edges).
        errors: [G] float64 each, standard errors: 0 if exact, NaN if not known.
        kinds: [G] long each: 0 exact, 1 estimate, 2 lower bound.
        curvature_bins: [B + 1] float64, edges of the bins of the curvature.
        curvature_counts: [G, B] long, edges by curvature.
    """

    graph: Tensor
    available: int
    values: dict[str, Tensor]
    errors: dict[str, Tensor]
    kinds: dict[str, Tensor]
    curvature_bins: Tensor
    curvature_counts: Tensor

    def rows(self) -> list[dict[str, object]]:
        """A dictionary per graph and metric, for a data frame."""
        graphs = self.graph.tolist()
        return [
            {"graph": graph, "metric": name, "value": value, "kind": KINDS[kind], "error": error}
            for name, values in self.values.items()
            for graph, value, kind, error in zip(
                graphs, values.tolist(), self.kinds[name].tolist(), self.errors[name].tolist(), strict=True
            )
        ]

    def summary(self) -> list[dict[str, object]]:
        """A dictionary per metric: graphs where it is finite, share that is exact, mean and quantiles over them."""
        return [self._summary(name, values) for name, values in self.values.items()]

    def _summary(self, name: str, values: Tensor) -> dict[str, object]:
        finite = values.isfinite()
        kept = values[finite]
        exact = self.kinds[name][finite] == 0
        line: dict[str, object] = {"metric": name, "graphs": kept.numel(), "exact": float(exact.double().mean())}
        if kept.numel():
            points = torch.quantile(kept, kept.new_tensor(_QUANTILES)).tolist()
            line |= {"mean": float(kept.mean())} | {
                f"q{100 * q:.0f}": point for q, point in zip(_QUANTILES, points, strict=True)
            }
        return line

    def __str__(self) -> str:
        columns = ("mean", "q0", "q5", "q50", "q95", "q100")
        lines = [f"{self.graph.numel():,} of {self.available:,} graphs; ~ marks measures that are not all exact"]
        lines.append(f"{'':<26}" + "".join(f"{name:>12}" for name in columns))
        for line in self.summary():
            mark = "~" if line["graphs"] and line["exact"] < 1 else " "
            cells = "".join(f"{line[name]:>12.5g}" if name in line else f"{'-':>12}" for name in columns)
            lines.append(f"{line['metric']:<25}{mark}{cells}")
        return "\n".join(lines)


@torch.no_grad()
def topology_profile(
    data: Data | object,
    *,
    sample: int | None = None,
    seed: int = 0,
    exact_limit: int = 3000,
    max_pairs: int = 5000,
    epsilon: float = 0.1,
    ollivier: bool = False,
    chunk_nodes: int = 2**16,
    track: Callable[[Iterable[Tensor]], Iterable[Tensor]] = iter,
) -> TopologyProfile:
    r"""Measure the graphs of a dataset as simple undirected graphs without weights.

    Counts and degrees, components and diameter; the total resistance and its mean over connected pairs; the
    commute time :math:`\tau_{st} = R_{st} \sum d_v`, mean and quantiles over connected pairs; ``resistance_by_degree``,
    the mean of :math:`R_{st} / (1 / d_s + 1 / d_t)` over them, which tends to 1 where the resistance tells nothing
    but the degrees (von Luxburg, Radl and Hein, JMLR 2014); resistances of edges (their sum is n minus the components
    by Foster, and 1 is a bridge) and the curvature they make; the spectral gap, bounds on the Cheeger constant, and
    the balanced Forman curvature of the edges (if asked for also Ollivier-Ricci).

    A graph of more than ``max_pairs`` pairs is represented by as many of them (drawn with replacement by
    the seed, so a graph has the same values in any dataset), and above ``exact_limit`` nodes resistances are sketched
    or estimated and the diameter bounded from below: ``kinds`` and ``errors`` say so. Spectral gaps of large
    graphs are exact to the tolerance of the solver.

    Cost: n^3 per graph up to ``exact_limit`` nodes and memory of n^2; above, 2 / epsilon^2 solutions of a sparse system
    of n unknowns: minutes for 100,000 nodes.

    Args:
        data: A graph, a batch, or a store such as :class:`gnnlab.data.GraphStore`.
        sample: Most graphs of a store to look at, drawn by the seed; all by default.
        seed: Of all that is drawn.
        exact_limit: Nodes up to which resistances and diameters are exact.
        max_pairs: Pairs of a graph whose resistances are looked at.
        epsilon: Relative error (rms) of a sketched resistance.
        ollivier: Whether to compute the Ollivier-Ricci curvature, by an optimal transport per edge.
        chunk_nodes: Nodes of a store that are looked at together.
        track: Wraps the list of chunks to show progress.

    Raises:
        ConfigError: no graphs to sample, or no pairs.
        GraphError: tensors that do not describe a union.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]), num_nodes=4)
        >>> profile = topology_profile(path)
        >>> [round(profile.values[name].item(), 6) for name in ("total_resistance", "spectral_gap", "commute_q100")]
        [10.0, 0.5, 18.0]
    """
    if max_pairs < 1 or (sample is not None and sample < 1):
        raise ConfigError(f"max_pairs and sample must be positive, got {max_pairs}, {sample}", where="topology_profile")
    settings = Settings(exact_limit, max_pairs, epsilon, seed, ollivier)
    if isinstance(data, Data):
        part = measure(data, settings)
        graph, available, parts = torch.arange(part.counts.size(0)), part.counts.size(0), [part]
    else:
        available = len(data)
        graph = torch.arange(available)
        if sample is not None and sample < available:
            graph = torch.randperm(available, generator=torch.Generator().manual_seed(seed))[:sample].sort().values
        chunks = node_chunks(data.sizes("node")[graph].cpu(), chunk_nodes)
        parts = [measure(data[graph[chunk]], settings) for chunk in track(chunks)]
    values, errors, kinds = (
        {name: torch.cat([getattr(part, field)[name] for part in parts]) for name in parts[0].values}
        for field in ("values", "errors", "kinds")
    )
    counts = torch.cat([part.counts for part in parts])
    return TopologyProfile(graph, available, values, errors, kinds, parts[0].bins, counts)
