"""A sparse graph of good conductance beside the one there is: Cayley graphs and random regular graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._noise import pair_noise
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._cayley import cayley_graph, cayley_modulus
from gnnlab.rewiring._edits import Edits
from gnnlab.rewiring._nodes import add_nodes
from gnnlab.transform import graph_ptr

__all__ = ["Expander"]

_KINDS, _NODES = ("cayley", "regular"), ("truncate", "keep")
_STREAMS = 64  # random orders of one seed


@dataclass(frozen=True, repr=False)
class Expander(Rewiring):
    r"""An expander on the nodes of every graph, as a relation of its own.

    ``kind="cayley"`` is the Cayley graph of :math:`SL(2, \mathbb{Z}_n)` of the smallest n with at least as many
    elements as the graph has nodes, element i being node i in breadth-first order. With ``nodes="truncate"`` its
    first nodes are kept: EGP, "Expander Graph Propagation" (Deac, Lackenby and Veličković, LoG 2022, arXiv
    2210.02997). That stays connected, but the conductance of the whole is lost; ``nodes="keep"`` adds the missing
    nodes instead (``node_type`` 1, see :class:`VirtualNode`): CGP, "Cayley Graph Propagation" (Wilson, Bechler-Speicher
    and Veličković, LoG 2024, arXiv 2410.03424).

    ``kind="regular"`` is a random graph of the given degree, as in "Exphormer" (Shirzad et al., ICML 2023, arXiv
    2303.06147), from random Hamiltonian cycles (two of them for degree 4) and, for odd degrees, a random matching.
    It is connected; a node misses a neighbour where two cycles share an edge. Its spectral gap comes close to the
    best there is, :math:`1 - 2 \sqrt{d - 1} / d`, which is more than Cayley graphs have.

    The edges are a set of their own, there to be used in alternate layers or as another relation. An edge the
    graph has already is therefore added all the same; to merge both, drop the repetitions.

    Args:
        kind: ``"cayley"`` or ``"regular"``.
        degree: Neighbours of a node, at least 2; 4 for ``"cayley"``.
        nodes: ``"truncate"`` or ``"keep"``, what ``"cayley"`` does if its graph is larger.
        shuffle: Assign nodes to the elements of ``"cayley"`` at random, not by number.
        seed: Of what is random. The same graph gets the same edges, alone and in any batch.

    Raises:
        ConfigError: unknown ``kind`` or ``nodes``, or a combination that does not exist.

    Example:
        >>> ring = Data(edge_index=torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]]), num_nodes=5)
        >>> int((Expander()(ring).edge_type == 1).sum()), Expander(nodes="keep")(ring).node_type.tolist()
        (8, [0, 0, 0, 0, 0, 1])
    """

    kind: str = "cayley"
    degree: int = 4
    nodes: str = "truncate"
    shuffle: bool = False
    seed: int = 0

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, known in (("kind", self.kind, _KINDS), ("nodes", self.nodes, _NODES)):
            if value not in known:
                raise ConfigError(f"unknown {name} {value!r}", where="Expander", hint=nearest(str(value), known))
        if self.degree < 2 or (self.kind == "cayley" and self.degree != 4):
            raise ConfigError(
                f"degree must be at least 2 (and 4 for Cayley graphs), got {self.degree}", where="Expander"
            )
        if self.degree > _STREAMS:
            raise ConfigError(f"degree must be at most {_STREAMS}, got {self.degree}", where="Expander")
        if self.kind == "regular" and self.nodes == "keep":
            raise ConfigError(
                "a regular graph has as many nodes as there are", where="Expander", hint='leave nodes at "truncate"'
            )

    def forward(self, data: Data) -> Data:
        if self.nodes == "keep":
            sizes = graph_ptr(data).diff()
            missing = torch.where(sizes > 0, cayley_modulus(sizes)[1] - sizes, 0)
            data, _ = add_nodes(data, missing)
        return super().forward(data)

    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        check_union(edge_index, ptr)
        return Edits(_cayley(self, edge_index, ptr) if self.kind == "cayley" else _regular(self, edge_index, ptr))


def _cayley(expander: Expander, edge_index: Tensor, ptr: Tensor) -> Tensor:
    """The first edges of the Cayley graph of every graph: those among its first nodes."""
    sizes = ptr.diff()
    modulus, _ = cayley_modulus(sizes)
    kinds, which = modulus.unique(return_inverse=True)
    graphs = [cayley_graph(n).to(ptr.device) for n in kinds.tolist()]
    # Sorted by their larger end, edges among the first nodes come first.
    ends = torch.cat([torch.tensor([0]), torch.tensor([graph.size(1) for graph in graphs]).cumsum(0)]).to(ptr.device)
    pairs = torch.cat([edge_index.new_zeros(2, 0), *graphs], 1)
    counts = torch.zeros_like(sizes)
    for kind, graph in enumerate(graphs):
        larger = graph.max(0).values.contiguous()
        counts = torch.where(which == kind, torch.searchsorted(larger, sizes), counts)
    owner = expand_ptr(torch.cat([counts.new_zeros(1), counts.cumsum(0)]))
    added = pairs[:, ends[which][owner] + ragged_arange(counts, owner.numel())] + ptr[owner]
    return _order(expander, edge_index, ptr, 0)[added] if expander.shuffle else added


def _regular(expander: Expander, edge_index: Tensor, ptr: Tensor) -> Tensor:
    """Random Hamiltonian cycles and a matching of every graph, both directions, no repetitions."""
    num_nodes = int(ptr[-1])
    node, graph = torch.arange(num_nodes, device=ptr.device), expand_ptr(ptr)
    following = torch.where(node + 1 < ptr[graph + 1], node + 1, ptr[graph])
    paired = ((node - ptr[graph]) % 2 == 0) & (node + 1 < ptr[graph + 1])
    rounds = [torch.stack([node, following])] * (expander.degree // 2)
    rounds += [torch.stack([node, node + 1])[:, paired]] * (expander.degree % 2)
    one_way = [_order(expander, edge_index, ptr, stream)[pairs] for stream, pairs in enumerate(rounds)]
    source, target = torch.cat([*one_way, *(pairs.flip(0) for pairs in one_way)], 1)
    key = (source * num_nodes + target)[source != target].unique()
    return torch.stack([key // max(num_nodes, 1), key % max(num_nodes, 1)])


def _order(expander: Expander, edge_index: Tensor, ptr: Tensor, stream: int) -> Tensor:
    """[N] a random order of the nodes of every graph: what stands at the place of every node."""
    node = torch.arange(int(ptr[-1]), device=ptr.device)
    noise = pair_noise(node.expand(2, -1), edge_index, ptr, _STREAMS * expander.seed + stream)
    order = noise.argsort(stable=True)
    return order[torch.argsort(expand_ptr(ptr)[order], stable=True)]
