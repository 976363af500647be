"""Resistances as exact rational numbers, in the fields of two primes: equal if they are equal, without a tolerance."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph._refinement import EqualGraphs
from gnnlab.graph.components import connected_components

__all__ = ["exact_resistances"]

_PRIMES = (2**31 - 1, 2**31 - 19)
"""Below 2^31, so that products of residues fit into a word."""


def exact_resistances(graphs: EqualGraphs) -> Tensor:
    """[B, n, n] long, numbers that are equal where resistances are, -1 between components.

    Different resistances have equal numbers with a probability of about 2^-62. An edge in one direction alone
    conducts half, duplicates conduct together, self-loops do not count. A graph whose number of spanning trees is a
    multiple of a prime loses what that prime has to say.
    """
    source, target = graphs.edge_index
    count, size = graphs.count, graphs.size
    flat = torch.zeros(count * size * size, dtype=torch.long, device=source.device)
    flat.index_add_(0, source * size + target % max(size, 1), torch.ones_like(source))
    conductance = flat.view(count, size, size)
    conductance = (conductance + conductance.transpose(1, 2)) * (1 - graphs.identity)
    component = connected_components(graphs.edge_index, count * size).view(count, size)
    together = component[:, :, None] == component[:, None, :]
    # L + J on every component has the inverse L^+ + J / n^2, and the second term cancels in a resistance.
    matrix = torch.diag_embed(conductance.sum(2)) - conductance + together.long()
    first, second = (_resistances(matrix, prime) for prime in _PRIMES)
    return torch.where(together, first * _PRIMES[1] + second, -1)


def _resistances(matrix: Tensor, prime: int) -> Tensor:
    inverse = _inverses(matrix, prime)
    own = inverse.diagonal(dim1=1, dim2=2)
    return (own[:, :, None] + own[:, None, :] - 2 * inverse) % prime


def _inverses(matrix: Tensor, prime: int) -> Tensor:
    """[B, n, n] long, inverses of matrices modulo a prime (Gauss and Jordan); 0 for those that have none."""
    count, size = matrix.shape[:2]
    unit = torch.eye(size, dtype=torch.long, device=matrix.device).expand_as(matrix)
    table = torch.cat([matrix, unit], 2) % prime
    each = torch.arange(count, device=matrix.device)
    regular = torch.ones_like(each, dtype=torch.bool)
    for step in range(size):
        # Any row with an entry will do: exact arithmetic has no good and bad pivots.
        place = step + (table[:, step:, step] != 0).long().argmax(1)
        row = table[each, place]
        table[each, place] = table[:, step].clone()
        regular &= row[:, step] != 0
        row = row * _reciprocals(row[:, step], prime)[:, None] % prime
        factor = table[:, :, step].clone()
        table = (table - factor[:, :, None] * row[:, None, :]) % prime
        table[:, step] = row
    return table[:, :, size:] * regular[:, None, None]


def _reciprocals(values: Tensor, prime: int) -> Tensor:
    """[B] long, by Fermat: the power p - 2, by squaring."""
    result, square, power = torch.ones_like(values), values, prime - 2
    while power:
        if power % 2:
            result = result * square % prime
        square, power = square * square % prime, power // 2
    return result
