"""Potentials of charges on the nodes as node encodings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph import electrostatic_statistics
from gnnlab.ops import expand_ptr
from gnnlab.transform import Transform, graph_ptr

__all__ = ["ElectrostaticPE"]

_VARIANTS = ("paper", "released")
_COLUMNS = {"all": tuple(range(10)), "gpse": (0, 2, 3, 4, 7, 8, 9)}


@dataclass(frozen=True, repr=False)
class ElectrostaticPE(Transform):
    r"""Statistics of the potentials between unit charges on the nodes, the "ElstaticSE" of GraphGPS and GPSE.

    "Recipe for a General, Powerful, Scalable Graph Transformer" (Rampášek et al., NeurIPS 2022, arXiv 2205.12454),
    after the electrostatic view of "Rethinking Graph Transformers with Spectral Attention" (Kreuzer et al.,
    NeurIPS 2021, arXiv 2106.03893); a target of GPSE (Cantürk et al., ICML 2024, arXiv 2307.07107):

    .. math:: G_{ij} = L^+_{ij} - L^+_{jj}, \qquad P = D^{-1} A

    the potential at i of a unit charge at j, measured from the place of the charge. Subtracting the diagonal
    column by column is what makes rows (what a node feels) and columns (what it causes) differ. The encoding of
    v is the minimum, maximum, mean and standard deviation of column v, the same of row v, and the sums
    :math:`\sum_i P_{iv} G_{iv}` and :math:`\sum_j P_{vj} G_{vj}` over neighbours (the first divides by the degree of
    the neighbour, as released: by that of v it would be :math:`(1/n - 1) / d_v`, the degree alone). Three columns say
    nothing of v: both maxima are 0, as a potential is highest at its charge, and the mean of a row is
    :math:`-\mathrm{tr}(L^+) / n` for every node. GPSE leaves them out: ``columns="gpse"``.

    All statistics are taken over the component of the node, itself included; deviations are those of a sample
    (n - 1), and 0 for a node on its own. ``edge_weight`` conducts if the graph has one, duplicate edges conduct
    together, directions and self-loops are ignored. Isolated nodes, and graphs without edges, get zeros.

    Cost: time O(sum of n^3) and memory O(n^2) float64 for components of n nodes, solved in stacks of similar size.
    Minima and maxima over all pairs need the dense matrix, so components of more than 10,000 nodes are refused;
    :class:`gnnlab.encodings.ResistancePE` estimates similar statistics for them.

    Args:
        variant: ``"released"`` repeats what the code of GraphGPS does with disconnected graphs: statistics run over the
            whole graph, where a charge in another component shows as :math:`-L^+_{jj}`, and one isolated node makes
            both sums over neighbours NaN in all of its graph (1/0), read as 0 by GPSE and here. On connected graphs
            both variants agree (that its maximum of the row is computed from the column changes nothing: both are 0).
        columns: ``"all"`` ten, or ``"gpse"``: columns 0, 2, 3, 4, 7, 8 and 9, the seven that GPSE is trained on.
        name: Written to ``pe_<name>``.

    Shapes:
        writes ``pe_<name>`` [N, 10] float32, or [N, 7].

    Raises:
        BudgetError: a component (released: a graph) of more than 10,000 nodes.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> ElectrostaticPE()(path).pe_electrostatic[1, :3].mul(9).round().tolist()  # 2/9 there, -1/9 at the ends
        [-3.0, 0.0, -2.0]
    """

    variant: str = "paper"
    columns: str = "all"
    name: str = "electrostatic"

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        for field, known in (("variant", _VARIANTS), ("columns", _COLUMNS)):
            value = getattr(self, field)
            if value not in known:
                raise ConfigError(f"unknown {field} {value!r}", where="ElectrostaticPE", hint=nearest(value, known))

    def forward(self, data: Data) -> Data:
        ptr, weight = graph_ptr(data), data.get("edge_weight")
        released = self.variant == "released"
        values = electrostatic_statistics(data.edge_index, ptr, weight, whole_graph=released)
        if released:
            values[:, 8:] *= ~_beside_isolated(data.edge_index, ptr, weight)[:, None]
        data[f"pe_{self.name}"] = values[:, _COLUMNS[self.columns]].float()
        return data


def _beside_isolated(edge_index: Tensor, ptr: Tensor, weight: Tensor | None) -> Tensor:
    """[N] bool, whether the graph of a node has a node without neighbours."""
    conducts = edge_index[0] != edge_index[1]
    if weight is not None:
        conducts &= weight != 0
    graph = expand_ptr(ptr)
    alone = torch.ones_like(graph, dtype=torch.bool)
    alone[edge_index[:, conducts].flatten()] = False
    holds = torch.zeros_like(ptr[1:], dtype=torch.bool)
    holds[graph[alone]] = True
    return holds[graph]
