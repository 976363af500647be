"""Random-walk return probabilities as node encodings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.graph import walk_return_probabilities
from gnnlab.transform import Transform, graph_ptr

__all__ = ["RandomWalkPE"]


@dataclass(frozen=True, repr=False)
class RandomWalkPE(Transform):
    r"""Random-walk encoding: the probability of being back after t steps.

    "Graph Neural Networks with Learnable Structural and Positional Representations" (Dwivedi et al.,
    ICLR 2022, arXiv 2110.07875):

    .. math::
        p_v = \big[(P^t)_{vv}\big]_{t = t_0, \dots, t_0 + K - 1}, \qquad P = D^{-1} A

    ``edge_weight`` is used if the graph has one: :math:`A_{uv}` sums the weights of the edges from u to v
    (PyG's ``AddRandomWalkPE`` divides one, not the weight, by the degree; without weights and duplicate
    edges both agree). Self-loops are steps that stay; isolated nodes get zeros.

    Cost: exact, K E c multiply-adds with c at most the nodes of a component (fewer where distances are long), and
    a few megabytes beside the result, [N, K]. A graph of 1e5 nodes and more may be too much: above ``max_work`` the
    work is refused, and ``probes`` q estimate it in K E q with 16 columns of memory. The standard error of
    :math:`(P^t)_{vv}`, t = a + b with b = a or a - 1, is then at most
    :math:`\sqrt{2/q} \, \lVert (P^a)_{v \cdot} \rVert \, \lVert (P^b)_{\cdot v} \rVert` (on regular graphs and for
    even t a relative error of :math:`\sqrt{2/q}`), and one step is exact; see
    :func:`gnnlab.graph.walk_return_probabilities`. Estimates depend on the numbers of the nodes, not on the batch.

    Args:
        walk_length: Number K of steps, the width of the encoding.
        name: Written to ``pe_<name>``.
        start: First step. One step never returns without self-loops, so 2 spares a column of zeros.
        probes: Random sign vectors of the estimate; exact by default.
        seed: Of the signs.
        max_work: Multiply-adds above which exact walks are refused; 1e13 take hours.

    Shapes:
        writes ``pe_<name>`` [N, walk_length] float32.

    Raises:
        BudgetError: exact walks of more than ``max_work``.

    Example:
        >>> square = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]]), num_nodes=4)
        >>> RandomWalkPE(walk_length=4)(square).pe_rwse[0].tolist()
        [0.0, 0.5, 0.0, 0.5]
    """

    walk_length: int = 20
    name: str = "rwse"
    start: int = 1
    probes: int | None = None
    seed: int = 0
    max_work: float = 1e13

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.walk_length < 1 or self.start < 1:
            raise ConfigError(
                f"walk_length and start must be at least 1, got {self.walk_length} and {self.start}",
                where="RandomWalkPE",
            )
        if self.probes is not None and self.probes < 1:
            raise ConfigError(f"probes must be at least 1, got {self.probes}", where="RandomWalkPE")

    @property
    def equivariance(self) -> str:
        """Signs are hashed from the numbers of the nodes."""
        return "exact" if self.probes is None else "up to ties"

    def forward(self, data: Data) -> Data:
        steps = self.start + self.walk_length - 1
        returns = walk_return_probabilities(
            data.edge_index,
            graph_ptr(data),
            steps,
            data.get("edge_weight"),
            probes=self.probes,
            seed=self.seed,
            max_work=self.max_work,
        )
        data[f"pe_{self.name}"] = returns[:, self.start - 1 :].contiguous()
        return data
