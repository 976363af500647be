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

    Args:
        walk_length: Number K of steps, the width of the encoding.
        name: Written to ``pe_<name>``.
        start: First step. One step never returns without self-loops, so 2 spares a column of zeros.

    Shapes:
        writes ``pe_<name>`` [N, walk_length] float32.

    Example:
        >>> square = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]]), num_nodes=4)
        >>> RandomWalkPE(walk_length=4)(square).pe_rwse[0].tolist()
        [0.0, 0.5, 0.0, 0.5]
    """

    walk_length: int
    name: str = "rwse"
    start: int = 1

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        if self.walk_length < 1 or self.start < 1:
            raise ConfigError(
                f"walk_length and start must be at least 1, got {self.walk_length} and {self.start}",
                where="RandomWalkPE",
            )

    def forward(self, data: Data) -> Data:
        steps = self.start + self.walk_length - 1
        returns = walk_return_probabilities(data.edge_index, graph_ptr(data), steps, data.get("edge_weight"))
        data[f"pe_{self.name}"] = returns[:, self.start - 1 :].contiguous()
        return data
