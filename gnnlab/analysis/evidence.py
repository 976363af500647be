"""What graphs can be told apart by: values of graphs, nodes, edges and pairs; written by a transform or computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._pairs import all_pairs
from gnnlab.errors import ConfigError
from gnnlab.graph import (
    effective_resistance,
    laplacian_eigh,
    shortest_path_distances,
    total_effective_resistance,
    walk_counts,
    walk_probabilities,
    walk_return_probabilities,
)
from gnnlab.graph.buckets import size_buckets, sort_union
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.transform import Transform

__all__ = ["INVARIANTS", "Evidence", "written_evidence"]

_SAME = 1e-5
"""Eigenvalues stored in float32 are one eigenvalue if they are closer, relative to the largest (or 1)."""

_PREFIXES = ("edge_pe_", "pair_pe_", "pe_")


@dataclass(frozen=True)
class Evidence:
    """Values that depend on a graph up to isomorphism, on a union of graphs; nothing at all by default.

    Args:
        graph: [G, F] of graphs.
        node: [N, F] of nodes.
        edge: [E, F] of the edges of the union.
        pairs: [2, P] long, node pairs.
        pair: [P, F] of them.
    """

    graph: Tensor | None = None
    node: Tensor | None = None
    edge: Tensor | None = None
    pairs: Tensor | None = None
    pair: Tensor | None = None


def written_evidence(transform: Transform, data: Data) -> Evidence:
    """What a transform writes on a union.

    Encodings that are fixed up to signs or a basis are replaced by what does not depend on either: the eigenvalues,
    and for every node the sum of its squared entries over an eigenspace (the diagonal of the projector). An
    eigenspace the encoding cuts, or may have cut, is left out.

    Raises:
        ConfigError: the transform writes no encoding, or one up to sign without eigenvalues.
    """
    before = set(data.keys())
    result = transform(data)
    names = [key for key in result.keys() if key not in before and key.startswith(_PREFIXES)]  # noqa: SIM118
    if not names:
        raise ConfigError("writes no pe_*, edge_pe_* or pair_pe_*", where=type(transform).__name__)
    if getattr(transform, "equivariance", "exact") in ("up to sign", "up to basis"):
        return _projected(transform, result, names)
    of = {prefix: [result[key] for key in names if key.startswith(prefix)] for prefix in _PREFIXES}
    node, edge, pair = _joined(of["pe_"]), _joined(of["edge_pe_"]), _joined(of["pair_pe_"])
    return Evidence(node=node, edge=edge, pairs=None if pair is None else result.pair_index, pair=pair)


def _joined(columns: list[Tensor]) -> Tensor | None:
    """[R, F] in the precision the columns are written in, which is what rounding is judged by."""
    if not columns:
        return None
    return torch.cat([column.reshape(column.size(0), -1) for column in columns], 1)


def _projected(transform: Transform, data: Data, names: list[str]) -> Evidence:
    bases = [key for key in names if f"{key}_values" in names]
    if not bases:
        raise ConfigError("is fixed up to sign only and writes no <name>_values", where=type(transform).__name__)
    columns = []
    for key in bases:
        values, mask, whole = (data.get(f"{key}_{suffix}") for suffix in ("values", "mask", "whole"))
        mask = values != 0 if mask is None else mask
        space = _eigenspaces(values, mask)
        if whole is None:
            # What follows the last column is not known, unless it is padding: its eigenspace may go on.
            whole = mask & ((space != space[:, -1:]) | ~mask[:, -1:])
        columns.append(values * whole)
        # Several vectors of one value, such as the left and the right one, turn together.
        vectors = (data[key].double().view(values.size(0), -1, values.size(1)) * whole[:, None]).unbind(1)
        for first, second in combinations_with_replacement(vectors, 2):
            columns.append(torch.zeros_like(first).scatter_add_(1, space, first * second))
    return Evidence(node=torch.cat(columns, 1).to(data[bases[0]].dtype))


def _eigenspaces(values: Tensor, mask: Tensor) -> Tensor:
    """[N, k] number of the distinct value, of rows of increasing values."""
    limit = _SAME * (values.abs() * mask).amax(1, keepdim=True).clamp(min=1)
    apart = (values.diff(dim=1).abs() > limit) | (mask[:, 1:] != mask[:, :-1])
    return torch.cat([torch.zeros_like(mask[:, :1]), apart], 1).cumsum(1)


def _nothing(data: Data) -> Evidence:
    return Evidence()


def _hops(data: Data) -> Evidence:
    pairs = all_pairs(data.ptr)
    table = shortest_path_distances(data.edge_index, data.ptr)
    distance = table[pairs[0], pairs[1] - data.ptr[expand_ptr(data.ptr)[pairs[1]]]]
    return Evidence(pairs=pairs, pair=distance[:, None])


def _resistance(data: Data) -> Evidence:
    pairs = all_pairs(data.ptr)
    return Evidence(pairs=pairs, pair=effective_resistance(data.edge_index, data.ptr, pairs)[:, None])


def _resistance_and_hops(data: Data) -> Evidence:
    first, second = _resistance(data), _hops(data)
    return Evidence(pairs=first.pairs, pair=torch.cat([first.pair, second.pair], 1))


def _walks(data: Data) -> Evidence:
    pairs = all_pairs(data.ptr)
    return Evidence(pairs=pairs, pair=walk_probabilities(data.edge_index, data.ptr, pairs, 20, dtype=torch.float64))


def _closed_walks(data: Data) -> Evidence:
    loops = torch.arange(data.num_nodes, device=data.ptr.device).expand(2, -1)
    counts = [walk_counts(data.edge_index, data.ptr, loops, k, self_loops=False) for k in range(1, 9)]
    return Evidence(node=torch.stack(counts, 1))


def _returns(data: Data) -> Evidence:
    return Evidence(node=walk_return_probabilities(data.edge_index, data.ptr, 20, dtype=torch.float64))


def _adjacency_spectrum(data: Data) -> Evidence:
    sizes = data.ptr.diff()
    graph = expand_ptr(data.ptr)
    position = ragged_arange(sizes)
    union = sort_union(data.edge_index, torch.ones_like(data.edge_index[0]).double(), graph, position, sizes)
    spectra = torch.full((sizes.numel(), int(sizes.max())), torch.inf, dtype=torch.float64, device=sizes.device)
    for first, last in size_buckets(union.ptr, union.ptr.diff(), 2**20, growth=1.0):
        matrices = union.blocks(first, last)
        spectra[union.group[first:last], : matrices.size(-1)] = torch.linalg.eigvalsh(matrices)
    return Evidence(graph=spectra)


def _laplacian_spectrum(data: Data) -> Evidence:
    spectrum = laplacian_eigh(data.edge_index, data.ptr, int(data.ptr.diff().max()), "sym")
    return Evidence(graph=spectrum.values.masked_fill(~spectrum.mask, torch.inf))


def _eigenspace_squares(data: Data) -> Evidence:
    spectrum = laplacian_eigh(data.edge_index, data.ptr, int(data.ptr.diff().max()), "sym")
    space = spectrum.group.clamp(min=0)[expand_ptr(data.ptr)]
    sums = torch.zeros_like(spectrum.vectors).scatter_add_(1, space, spectrum.vectors.square())
    return Evidence(graph=spectrum.values.masked_fill(~spectrum.mask, torch.inf), node=sums)


def _total_resistance(data: Data) -> Evidence:
    return Evidence(graph=total_effective_resistance(data.edge_index, data.ptr)[:, None])


INVARIANTS: dict[str, Callable[[Data], Evidence]] = {
    "1-WL": _nothing,
    "SPD-WL": _hops,
    "closed walks, k <= 8": _closed_walks,
    "spectrum of A": _adjacency_spectrum,
    "spectrum of the normalised L": _laplacian_spectrum,
    "total effective resistance": _total_resistance,
    "RWSE-20": _returns,
    "sum of v^2 per eigenspace": _eigenspace_squares,
    "RRWP-21": _walks,
    "RD-WL": _resistance,
    "RD-WL and SPD-WL": _resistance_and_hops,
}
"""Invariants in double precision, by name: yardsticks for the encodings."""
