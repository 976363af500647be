"""Equivariant polynomials of the adjacency matrix as features of nodes and pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._pairs import PairEncoding
from gnnlab.errors import ConfigError
from gnnlab.graph import Multigraph, cyclic_patterns, polynomial_entries, undirected_edges
from gnnlab.transform import graph_ptr

__all__ = ["PolynomialPE"]

_DEGREES = range(3, 7)


@dataclass(frozen=True, repr=False)
class PolynomialPE(PairEncoding):
    r"""Homomorphism counts of small cyclic graphs through every node and every pair.

    "Equivariant Polynomials for Graph Neural Networks" (Puny, Lim, Kiani, Maron, Lipman, ICML 2023, arXiv
    2302.11556): every equivariant polynomial of the adjacency matrix is a combination of

    .. math:: P_H(A)_{uv} = \sum_{\varphi(1, 2) = (u, v)} \; \prod_{(r, s) \in E(H)} A_{\varphi(r) \varphi(s)}

    over multigraphs H with marked vertices 1 and 2, summed over the maps of all vertices of H to nodes. On a matrix of
    zeros and ones loops vanish and parallel edges change nothing, and what hangs off a cut vertex message passing
    computes from the parts. So the features are those of the 2-connected simple H of at most ``degree`` edges:
    triangles, squares, pentagons, hexagons, the square with a diagonal (two ways to be a node, three to be a pair), K4,
    :math:`K_{2,3}`, the house. Pairs get the entries :math:`P_{H - uv}(A)_{uv}`, one column for every orbit of ordered
    edges (u, v) of H; at an edge that is :math:`P_H(A)_{uv}`, and elsewhere it tells what the edge would close. Nodes
    get the diagonals :math:`P_H(A)_{vv}`, one for every orbit of vertices. All but K4 (degree 6) are products and
    entrywise products of matrices, which PPGN and other models as strong as 2-FWL can compute; message passing can
    compute none of them.

    These are homomorphisms (maps that may identify vertices), not subgraphs: a walk back and forth is a square.

    Cost: graphs of up to 512 nodes 14 dense products (2 at degree 4, 5 at degree 5), :math:`O(n^3)` time in batches of
    similar size and 22 matrices of :math:`n^2` numbers; larger ones sparse products, the last one at the pairs only:
    :math:`\sum_x d_x^2` terms for :math:`A^2` up to degree 5, the walks of three steps at degree 6, and for every pair
    the nodes two steps from one end; refused above ``max_terms``. K4: :math:`\sum_{uv} \sum_w \min(d_w, c_{uv})`
    over the :math:`c_{uv}` common neighbours w. A grid of :math:`10^5` nodes takes seconds at degree 6; a graph of that
    size with hubs takes minutes at degree 4, and is refused at degree 6.

    Graphs are taken as simple and undirected: an edge in one direction counts for both, duplicates once,
    self-loops not at all. Nodes without edges get zeros; nodes on no cycle the maps that fold a cycle onto edges.

    Args:
        degree: Most edges of a pattern, 3 to 6.
        log: Whether to write :math:`\log(1 + P)`; the counts themselves span many orders of magnitude.
        name: Written to ``pe_<name>``, and ``edge_pe_<name>`` or ``pair_pe_<name>``.
        max_terms: Refuse more terms of a sparse product, or candidates for common neighbours, than that.
        pairs, hops, max_gigabytes: See :class:`gnnlab.encodings.PairEncoding`.

    Shapes:
        writes ``pe_<name>`` [N, 1, 2, 5 or 12] float32 and values of pairs, 1, 2, 6 or 16 wide, for degrees 3 to 6.

    Raises:
        ConfigError: another degree, or unknown ``pairs``.
        BudgetError: too many terms, or too many pairs.

    Example:
        >>> triangle = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
        >>> result = PolynomialPE(degree=4, log=False)(triangle)
        >>> result.pe_polynomial[0].tolist(), result.edge_pe_polynomial[0].tolist()
        ([2.0, 6.0], [1.0, 3.0])
    """

    degree: int = 6
    log: bool = True
    name: str = "polynomial"
    max_terms: int = 2 * 10**8

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.degree not in _DEGREES:
            raise ConfigError(f"degree must be 3 to {_DEGREES[-1]}, got {self.degree}", where="PolynomialPE")

    @property
    def pair_channels(self) -> int:
        return len(self.pair_patterns)

    @property
    def pair_patterns(self) -> tuple[Multigraph, ...]:
        """The pattern of every pair column; its marks are u and v, and the edge between them is left out."""
        return cyclic_patterns(self.degree)[0]

    @property
    def node_patterns(self) -> tuple[Multigraph, ...]:
        """The pattern of every node column."""
        return tuple(pattern for pattern, _ in cyclic_patterns(self.degree)[1])

    def forward(self, data: Data) -> Data:
        ptr = graph_ptr(data)
        edges = undirected_edges(data.edge_index, ptr, symmetrise=True)
        both = torch.cat([edges, edges.flip(0)], 1)

        def encode(pairs: Tensor) -> Tensor:
            wanted = torch.cat([both, pairs], 1)
            entries = polynomial_entries(data.edge_index, ptr, wanted, self.degree, max_terms=self.max_terms)
            at_edges, at_pairs = entries.split([both.size(1), pairs.size(1)])
            # A diagonal is the sum of the entries at the edges of the node.
            columns = [place for _, place in cyclic_patterns(self.degree)[1]]
            nodes = entries.new_zeros(data.num_nodes, len(columns)).index_add_(0, both[0], at_edges[:, columns])
            data[f"pe_{self.name}"] = self._scaled(nodes).float()
            return self._scaled(at_pairs)

        if self.pairs is None:
            encode(both[:, :0])
        self.write_pairs(data, self.name, encode)
        return data

    def _scaled(self, counts: Tensor) -> Tensor:
        return counts.log1p() if self.log else counts
