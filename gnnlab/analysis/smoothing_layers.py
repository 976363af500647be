"""Over-smoothing of a model on a dataset, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.analysis._states import node_states
from gnnlab.analysis.smoothing import (
    dirichlet_energy,
    limit_alignment,
    mean_average_distance,
    rayleigh_quotient,
    state_ranks,
)
from gnnlab.errors import GraphError
from gnnlab.transform import graph_ptr

__all__ = ["SmoothingProfile", "smoothing_profile"]

_SAMPLED = ("mad", "mad_near", "mad_far", "mad_gap", "mean_distance")


@dataclass(frozen=True)
class SmoothingProfile:
    """Measures of the states of every graph after every layer; ``print`` it for the means.

    Args:
        values: [L, G] float64 each, by name; layer 0 is what the first layer reads.
        exact: [L, G] bool, whether the ``mad`` columns and ``mean_distance`` were taken over all rows; all other
            measures are exact.
        normalization: Of the energy.
    """

    values: dict[str, Tensor]
    exact: Tensor
    normalization: str | None

    def rows(self) -> list[dict[str, object]]:
        """A dictionary per graph, layer and metric, for a data frame."""
        return [
            {
                "graph": graph,
                "layer": layer,
                "metric": name,
                "value": value,
                "exact": name not in _SAMPLED or bool(self.exact[layer, graph]),
            }
            for name, table in self.values.items()
            for layer, line in enumerate(table.tolist())
            for graph, value in enumerate(line)
        ]

    def means(self) -> list[dict[str, float]]:
        """A dictionary per layer with the mean over the graphs of every measure."""
        return [
            {"layer": layer, **{name: float(table[layer].mean()) for name, table in self.values.items()}}
            for layer in range(self.exact.size(0))
        ]

    def __str__(self) -> str:
        lines = [f"{'layer':>5}" + "".join(f"{name:>17}" for name in self.values)]
        lines += [
            f"{line['layer']:>5}" + "".join(f"{line[name]:>17.4g}" for name in self.values) for line in self.means()
        ]
        return "\n".join(lines)


@torch.no_grad()
def smoothing_profile(
    model: nn.Module,
    loader: Iterable[Data],
    *,
    normalization: str | None = "gcn",
    near: int = 3,
    far: int = 8,
    max_pairs: int = 10**6,
    tolerance: float = 1e-6,
    seed: int = 0,
    track: Callable[[Iterable[Data]], Iterable[Data]] = iter,
) -> SmoothingProfile:
    """Measure the states of all graphs after every layer, in evaluation mode.

    ``energy``, ``rayleigh`` (the energy over the squared norm: report this one, as it has no scale) and
    ``limit_alignment`` see :mod:`gnnlab.analysis.smoothing`; ``mad``, ``mad_near``, ``mad_far``, ``mad_gap`` and
    ``mean_distance`` are those of :func:`gnnlab.analysis.mean_average_distance`; ``effective_rank``, ``stable_rank``
    and ``numerical_rank`` those of :func:`gnnlab.analysis.state_ranks`.

    Args:
        model: With a method ``states(batch)`` that returns node states [N, d], such as :class:`gnnlab.nn.GNN`.
        loader: Batches, or a list of graphs.
        normalization: Of the energy: ``"gcn"``, ``"sym"`` or ``None``.
        near: Hops up to which pairs are near.
        far: Hops from which pairs are far.
        max_pairs: Ordered pairs of a graph up to which all are looked at; beyond, rows are sampled.
        tolerance: Of the numerical rank.
        seed: Of sampled rows.
        track: Wraps the loader to show progress.

    Raises:
        ConfigError: a model without states of nodes, or settings the measures refuse.
        GraphError: no batch.

    Example:
        >>> from gnnlab.nn import GCNConv, GNN
        >>> graph = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> profile = smoothing_profile(GNN(1, 8, 2, GCNConv, in_channels=3), [graph])
        >>> profile.values["rayleigh"].shape
        torch.Size([3, 1])
    """

    def measures(x: Tensor, batch: Data) -> dict[str, Tensor]:
        edges, ptr = batch.edge_index, graph_ptr(batch)
        mad = mean_average_distance(x, edges, ptr, near, far, max_pairs=max_pairs, seed=seed)
        ranks = state_ranks(x, ptr, tolerance)
        return {
            "energy": dirichlet_energy(x, edges, ptr, normalization),
            "rayleigh": rayleigh_quotient(x, edges, ptr, normalization),
            "limit_alignment": limit_alignment(x, edges, ptr, normalization),
            **dict(zip(_SAMPLED, mad[:5], strict=True)),
            "effective_rank": ranks.effective,
            "stable_rank": ranks.stable,
            "numerical_rank": ranks.numerical.double(),
            "exact": mad.exact,
        }

    training = model.training
    model.eval()
    try:
        found = [
            [measures(x, batch) for x in node_states(model, batch, "smoothing_profile")] for batch in track(loader)
        ]
    finally:
        model.train(training)
    if not found:
        raise GraphError("the loader has no batch", where="smoothing_profile")
    values = {
        name: torch.cat([torch.stack([layer[name] for layer in layers]) for layers in found], 1).cpu()
        for name in found[0][0]
    }
    exact = values.pop("exact")
    return SmoothingProfile(values, exact, normalization)
