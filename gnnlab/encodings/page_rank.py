"""Personalised PageRank as an encoding of nodes and pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch_geometric.data import Data

from gnnlab.encodings._laplacian_function import LaplacianFunctionPE
from gnnlab.errors import ConfigError

__all__ = ["PersonalizedPageRankPE"]


@dataclass(frozen=True, repr=False)
class PersonalizedPageRankPE(LaplacianFunctionPE):
    r"""Personalised PageRank of a node in its own eyes, and of the nodes of a pair in each other's.

    .. math::
        \Pi = \alpha \, (I - (1 - \alpha) P)^{-1}, \qquad P = D^{-1} A

    (Page, Brin, Motwani and Winograd, 1999): row v of :math:`\Pi` is where a walk from v that starts again with
    probability :math:`\alpha` at every step is found. A node gets :math:`\Pi_{vv}` for every :math:`\alpha`. A pair
    (u, v), read as a message from u to the v that aggregates it, gets :math:`\Pi_{vu}`, as in
    :class:`gnnlab.encodings.RRWP`, so that the values of one v sum to 1. The graph is taken as
    undirected, without self-loops, with the weights in ``edge_weight`` if there are any. From an isolated node the
    walk goes nowhere: 1 for itself. For :math:`U \Sigma^{1/2}` of :math:`\Pi` see
    :class:`gnnlab.encodings.PageRankVectorPE`.

    Cost: 10 n^3 multiply-adds and 24 n^2 bytes for a component of n nodes, for all :math:`\alpha` together, components
    of a size in one stack. Those above ``dense_limit`` nodes are refused, unless ``probes`` q are given: q times
    about :math:`13 / \sqrt\alpha` sparse products estimate the diagonal with a relative standard error of at most
    :math:`\sqrt{2/q}`, and pairs with :math:`\sqrt{(\Pi_{uu} \Pi_{vv} + \Pi_{uv} \Pi_{vu}) / q}` times the root of
    :math:`d_u / d_v`; see :func:`gnnlab.graph.laplacian_kernel`. Estimates depend on the numbers of the nodes, not on
    the batch. Sparse rows of large graphs are :func:`gnnlab.graph.diffusion_matrix`.

    Args:
        alphas: Restart probabilities, each above 0 and at most 1.
        loop_weight: Weight of a self-loop given to every node first; 1 for the convention of GCN.
        name: Of the attributes.
        probes: Random sign vectors for components above ``dense_limit``.
        seed: Of the signs.
        dense_limit: Largest component that is decomposed.
        pairs: None by default; see :class:`gnnlab.encodings._pairs.PairEncoding`, as ``hops``, ``max_gigabytes``.

    Shapes:
        writes ``pe_<name>`` [N, k] float32 for k values of alpha, and the same width for pairs.

    Raises:
        ConfigError: no alpha, or one out of range.
        BudgetError: a component above ``dense_limit`` and no ``probes``.

    Example:
        >>> edge = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> [round(value, 4) for value in PersonalizedPageRankPE(alphas=(0.5,))(edge).pe_ppr[:, 0].tolist()]
        [0.6667, 0.6667, 1.0]
    """

    alphas: tuple[float, ...] = (0.1, 0.15, 0.2)
    loop_weight: float = 0.0
    name: str = "ppr"

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "alphas", tuple(float(alpha) for alpha in self.alphas))
        where = "PersonalizedPageRankPE"
        if not self.alphas or not all(0 < alpha <= 1 for alpha in self.alphas):
            raise ConfigError(f"alphas must be some numbers above 0 and at most 1, got {self.alphas}", where=where)
        if self.loop_weight < 0:
            raise ConfigError(f"loop_weight must be at least 0, got {self.loop_weight}", where=where)

    @property
    def pair_channels(self) -> int:
        return len(self.alphas)

    def forward(self, data: Data) -> Data:
        alphas = torch.tensor(self.alphas, dtype=torch.float64, device=data.edge_index.device)
        self.write(
            data,
            self.name,
            lambda eigenvalues: alphas / (alphas + (1 - alphas) * eigenvalues[..., None]),
            normalization="rw",
            loop_weight=self.loop_weight,
        )
        return data
