"""Random features propagated along the edges, drawn once per graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph import propagate_features
from gnnlab.graph._noise import node_normals
from gnnlab.graph.feature_propagation import OPERATORS
from gnnlab.transform import Transform, graph_ptr

__all__ = ["RandomFeaturePropagation"]

_BYTES = 24
"""Per value: the trajectory step by step, as one tensor, and the result."""


@dataclass(frozen=True, repr=False)
class RandomFeaturePropagation(Transform):
    r"""Random feature propagation with features that are fixed per graph.

    "Graph Positional Encoding via Random Feature Propagation" (Eliasof et al., ICML 2023, arXiv 2303.02918):

    .. math::
        [R^{(0)} \,\|\, R^{(1)} \,\|\, \dots \,\|\, R^{(P)}], \qquad R^{(p)} = \mathcal{N}(S R^{(p-1)})

    from standard normal :math:`R^{(0)}`, B times. Its first part is random, its last one close to the k dominant
    eigenvectors of S. The draw is hashed from the graph, the places of its nodes and the seed: every epoch sees the
    same features, which a network may memorise. :class:`gnnlab.nn.RFP` draws anew in every step of training.

    Columns that :func:`gnnlab.graph.propagate_features` finds dependent are zero: with QR a graph has no more columns
    than nodes after step 0. Nodes without edges keep their random features, then zeros (``"lazy"`` and ``"looped"``
    keep them all along).

    Cost: time :math:`O(B k P (E + N))`, with QR :math:`O(B k^2 P N)` more; memory :math:`24 B k (P + 1)` bytes per
    node. Linear in the graph, so :math:`10^5` nodes and more are the same program; above ``max_gigabytes`` it refuses.

    Args:
        k: Columns of a trajectory. The defaults of k, steps and normalisation are ours.
        steps: Number P of steps.
        operator: S: ``"adjacency"``, ``"looped"``, ``"laplacian"``, ``"lazy"``, ``"walk"`` or ``"weights"``, see
            :func:`gnnlab.graph.propagate_features`. ``edge_weight`` is used if the graph has one.
        normalization: ``"qr"`` or ``"l2"``, per graph.
        trajectories: Number B of draws.
        qr_every: Steps from one QR to the next.
        seed: Of the draws.
        name: Written to ``pe_<name>``.
        max_gigabytes: Refuse to take more memory than that.

    Shapes:
        writes ``pe_<name>`` [N, B k (P + 1)] float32: trajectory by trajectory, step by step.

    Raises:
        ConfigError: a setting out of range.
        BudgetError: more than ``max_gigabytes``, before anything is allocated.

    Example:
        >>> import torch
        >>> square = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]]), num_nodes=4)
        >>> encoded = RandomFeaturePropagation(k=2, steps=3)(square).pe_rfp
        >>> encoded.shape, (encoded[:, -2:].T @ encoded[:, -2:]).round(decimals=4).abs().tolist()
        (torch.Size([4, 8]), [[1.0, 0.0], [0.0, 1.0]])
    """

    k: int = 16
    steps: int = 16
    operator: str = "adjacency"
    normalization: str = "qr"
    trajectories: int = 1
    qr_every: int = 1
    seed: int = 0
    name: str = "rfp"
    max_gigabytes: float = 16.0

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"  # the draw follows the numbering of the nodes

    def __post_init__(self) -> None:
        where = type(self).__name__
        if min(self.k, self.trajectories, self.qr_every) < 1 or self.steps < 0:
            raise ConfigError(
                f"k, trajectories and qr_every must be at least 1 and steps at least 0, got {self.k}, "
                f"{self.trajectories}, {self.qr_every} and {self.steps}",
                where=where,
            )
        if self.operator not in OPERATORS:
            raise ConfigError(
                f"unknown operator {self.operator!r}", where=where, hint=nearest(str(self.operator), OPERATORS)
            )
        if self.normalization not in ("l2", "qr"):
            raise ConfigError(f"unknown normalization {self.normalization!r}", where=where, hint="known: 'l2', 'qr'")

    def check_budget(self, nodes: Tensor) -> None:
        size = _BYTES * self.trajectories * self.k * (self.steps + 1) * int(nodes.sum()) / 2**30
        if size > self.max_gigabytes:
            raise BudgetError(
                f"trajectories of {int(nodes.sum()):,} nodes take {size:.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where=type(self).__name__,
                hint="lower steps, k or trajectories, or propagate on the device with gnnlab.nn.RFP",
            )

    def forward(self, data: Data) -> Data:
        ptr = graph_ptr(data)
        self.check_budget(ptr.diff())
        start = node_normals(self.trajectories * self.k, data.edge_index, ptr, self.seed)
        trajectory = propagate_features(
            data.edge_index,
            ptr,
            start.view(-1, self.trajectories, self.k),
            self.steps,
            self.operator,
            self.normalization,
            data.get("edge_weight"),
            qr_every=self.qr_every,
        )
        data[f"pe_{self.name}"] = trajectory.flatten(1).float()
        return data
