"""The graph replaced by its diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph import diffusion_matrix
from gnnlab.ops import scatter_reduce
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits

__all__ = ["DIGL"]

_TOP_K = 64


@dataclass(frozen=True, repr=False)
class DIGL(Rewiring):
    r"""Graph diffusion convolution as a rewiring: "Diffusion Improves Graph Learning" (Gasteiger, Weißenberger and
    Günnemann, NeurIPS 2019, arXiv 1911.05485), called DIGL or GDC.

    .. math::
        S = \alpha (I - (1 - \alpha) H)^{-1} \ \text{or} \ e^{-t (I - H)}, \qquad
        H = \tilde D^{-1/2} (A + w I) \tilde D^{-1/2}, \qquad
        w_{uv} = \frac{\tilde S_{uv}}{\sum_{u'} \tilde S_{u'v}}

    where :math:`\tilde S` keeps the ``top_k`` largest entries of every column, or those of at least ``epsilon``.
    Every entry becomes an edge :math:`u \to v` of weight :math:`w_{uv}`, so the weights into a node sum to 1. The
    graph becomes directed, and gets the self-loops that S has; use layers that add none of their own. Edges of the
    graph that are entries keep their attributes and type 0, edges that are none go (with them repetitions).

    Settings of the literature: ``alpha`` 0.05 to 0.2 with ``top_k`` 64 or 128, or ``t`` 1 to 10 in the paper;
    ``alpha=0.1, epsilon=0.05, keep_weights=False`` is the baseline of FoSR (arXiv 2210.11790) on the TU datasets,
    ``alpha=0.05, epsilon=1e-3, keep_weights=False`` that of LASER (arXiv 2310.01668). A graph of at most ``top_k``
    nodes becomes complete: where graphs are small, thin out by ``epsilon``.

    Args:
        kernel: ``"ppr"`` (personalised PageRank) or ``"heat"``.
        alpha: Teleport probability of ``"ppr"``; the smaller, the further S reaches.
        t: Time of ``"heat"``; the larger, the further S reaches.
        top_k: Edges into a node, 64 if neither this nor ``epsilon`` is given. Ties go to the smaller node number.
        epsilon: Smallest entry that becomes an edge; 0 keeps all of S.
        loop_weight: w, weight of the self-loops in H. The released code has 1.
        keep_weights: Write the weights to ``edge_weight``. The baselines named above drop them.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Raises:
        ConfigError: unknown kernel, a setting out of range, or both ``top_k`` and ``epsilon``.
        BudgetError: too many entries; see :func:`gnnlab.graph.diffusion_matrix`.

    Example:
        >>> from torch_geometric.data import Data
        >>> square = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]]), num_nodes=4)
        >>> out = DIGL(alpha=0.5)(square)
        >>> out.num_edges, out.edge_weight[out.edge_index[1] == 0].sum().item()
        (16, 1.0)
    """

    kernel: str = "ppr"
    alpha: float = 0.15
    t: float = 5.0
    top_k: int | None = None
    epsilon: float | None = None
    loop_weight: float = 1.0
    keep_weights: bool = True
    symmetrise: bool = False

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k is not None and self.epsilon is not None:
            raise ConfigError("give top_k or epsilon, not both", where="DIGL")
        self.edits(torch.empty(2, 0, dtype=torch.long), torch.zeros(1, dtype=torch.long))  # checks the settings

    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        top_k = _TOP_K if self.top_k is None and self.epsilon is None else self.top_k
        index, weight = diffusion_matrix(
            edge_index,
            ptr,
            self.kernel,
            alpha=self.alpha,
            t=self.t,
            top_k=top_k,
            epsilon=self.epsilon or 0.0,
            loop_weight=self.loop_weight,
            symmetrise=self.symmetrise,
        )
        num_nodes = int(ptr[-1])
        weight = weight / scatter_reduce(weight, index[1], num_nodes, "sum")[index[1]]
        keys = index[0] * num_nodes + index[1]
        wanted = edge_index[0] * num_nodes + edge_index[1]
        place = torch.searchsorted(keys, wanted).clamp(max=max(keys.numel() - 1, 0))
        kept = (keys[place] == wanted) & _first(wanted)
        known = torch.zeros_like(keys, dtype=torch.bool).index_fill_(0, place[kept], True)
        weights = torch.cat([weight[place[kept]], weight[~known]]).to(torch.get_default_dtype())
        return Edits(index[:, ~known], removed=~kept, weight=weights if self.keep_weights else None)


def _first(keys: Tensor) -> Tensor:
    """[E] bool, whether no earlier key is equal."""
    ordered, order = keys.sort(stable=True)
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return torch.empty_like(fresh).index_copy_(0, order, fresh)
