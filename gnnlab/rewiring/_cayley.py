"""Cayley graphs of the special linear groups over the integers modulo n, elements in breadth-first order."""

from __future__ import annotations

from functools import lru_cache
from itertools import count, takewhile

import torch
from torch import Tensor

from gnnlab.errors import BudgetError

__all__ = ["cayley_graph", "cayley_modulus", "group_order"]

_MAX_MODULUS = 64
"""Largest modulus that is generated, for graphs of up to 226,920 nodes: the search keeps n^4 numbers, 67 MB."""


def group_order(n: int) -> int:
    r"""Elements of :math:`SL(2, \mathbb{Z}_n)`, :math:`n^3 \prod_{p | n} (1 - p^{-2})` over the primes p.

    Example:
        >>> [group_order(n) for n in range(1, 8)]
        [1, 6, 24, 48, 120, 144, 336]
    """
    order, rest, prime = n**3, n, 2
    while rest > 1:
        if rest % prime == 0:
            order = order // prime**2 * (prime**2 - 1)
        while rest % prime == 0:
            rest //= prime
        prime += 1
    return order


def cayley_modulus(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest n whose group has at least as many elements as a graph has nodes, and their number.

    Shapes:
        sizes [G] long -> [G] long twice

    Raises:
        BudgetError: graphs so large that no group is generated for them.

    Example:
        >>> cayley_modulus(torch.tensor([1, 7, 24, 1000]))
        (tensor([ 1,  3,  3, 11]), tensor([   1,   24,   24, 1320]))
    """
    largest = int(sizes.max()) if sizes.numel() else 0
    limit = next(n for n in count(1) if n > _MAX_MODULUS or group_order(n) >= largest)
    if limit > _MAX_MODULUS:
        raise BudgetError(
            f"a Cayley graph for {largest:,} nodes needs a group larger than SL(2, Z_{_MAX_MODULUS})",
            hint='kind="regular" has an expander of any size',
        )
    orders = torch.tensor([group_order(n) for n in takewhile(lambda n: n <= limit, count(1))], device=sizes.device)
    # Orders are not increasing (12 has fewer elements than 11): the first that is large enough is meant.
    reached = orders.cummax(0).values
    n = torch.searchsorted(reached, sizes) + 1
    return n, orders[n - 1]


@lru_cache(maxsize=32)
def cayley_graph(n: int) -> Tensor:
    r"""Edges of :math:`\mathrm{Cay}(SL(2, \mathbb{Z}_n), S)` with the generators

    .. math::
        S = \Big\{\begin{pmatrix} 1 & \pm 1 \\ 0 & 1 \end{pmatrix},
        \begin{pmatrix} 1 & 0 \\ \pm 1 & 1 \end{pmatrix}\Big\}.

    Elements are numbered in breadth-first order from the identity, so that the first N of them are connected for
    every N. 4-regular for n > 2; for n = 2 both signs are one generator and the graph is the cycle of 6.

    Shapes:
        returns [2, E] long on the CPU, both directions, no repetitions, in increasing order of the larger end.

    Example:
        >>> cayley_graph(2).size(1), cayley_graph(5).size(1)
        (12, 480)
    """
    size = group_order(n)
    place = torch.full((n**4,), -1, dtype=torch.int32)
    found = torch.tensor([[1, 0, 0, 1]]) % n
    place[_code(found, n)] = 0
    edges, total = [], 1
    while found.numel():
        source = place[_code(found, n)].long()
        codes = torch.stack([_code(product, n) for product in _neighbours(found, n)], 1).flatten()
        fresh = codes[place[codes] < 0]
        # In the order in which they are met: by parent, then by generator.
        values, where = fresh.unique(return_inverse=True)
        first = torch.full_like(values, fresh.numel()).scatter_reduce_(
            0, where, torch.arange(fresh.numel()), reduce="amin"
        )
        fresh = fresh[first.sort().values]
        place[fresh] = torch.arange(total, total + fresh.numel(), dtype=torch.int32)
        total += fresh.numel()
        edges.append(torch.stack([source.repeat_interleave(4), place[codes].long()]))
        found = torch.stack([fresh // n**3, fresh // n**2 % n, fresh // n % n, fresh % n], 1)
    source, target = torch.cat(edges, 1)
    key = torch.maximum(source, target) * size**2 + source * size + target
    key = key[source != target].unique() % size**2
    return torch.stack([key // size, key % size])


def _neighbours(matrix: Tensor, n: int) -> list[Tensor]:
    """The products of matrices [F, 4] (a, b, c, d) with every generator."""
    a, b, c, d = matrix.t()
    products = ((a, a + b, c, c + d), (a, b - a, c, d - c), (a + b, b, c + d, d), (a - b, b, c - d, d))
    return [torch.stack(product, 1) % n for product in products]


def _code(matrix: Tensor, n: int) -> Tensor:
    """[F] long, a number for every matrix [F, 4] of entries below n."""
    a, b, c, d = matrix.t()
    return ((a * n + b) * n + c) * n + d
