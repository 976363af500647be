"""What L-BFGS remembers, one memory per graph of a union."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.nn.implicit._segments import Segments

__all__ = ["Memory"]


class Memory:
    r"""The last m steps s and changes of the gradient y of every graph, newest last.

    The compact form of Byrd, Nocedal and Schnabel (Mathematical Programming, 1994): with
    :math:`R_{ij} = s_i \cdot y_j` for :math:`i \leq j`, D its diagonal and
    :math:`\gamma = s_m \cdot y_m / y_m \cdot y_m`,

    .. math::
        H g = \gamma g + S R^{-\top} \big((D + \gamma Y^\top Y) R^{-1} S^\top g - \gamma Y^\top g\big)
              - \gamma Y R^{-1} S^\top g

    All small matrices are [G, m, m]. A slot that holds nothing is zero, and drops out.
    """

    def __init__(self, size: int, segments: Segments, like: Tensor) -> None:
        self.size, self.segments = size, segments
        self.steps = like.new_zeros(size, *like.shape)
        self.changes = torch.zeros_like(self.steps)
        self.cross = like.new_zeros(segments.num_graphs, size, size)
        self.square = torch.zeros_like(self.cross)

    def push(self, step: Tensor, change: Tensor, graphs: Tensor) -> None:
        """Remember a pair in the graphs [G] named; pairs without curvature are of no use."""
        if not self.size:
            return
        dot, tiny = self.segments.dot, torch.finfo(step.dtype).eps
        curvature = dot(step, change)
        graphs = graphs & (curvature > tiny * (dot(step, step) * dot(change, change)).sqrt())
        nodes = self.segments.spread(graphs)
        step, change = torch.where(nodes, step, 0), torch.where(nodes, change, 0)
        self.steps = torch.where(nodes, torch.cat([self.steps[1:], step[None]]), self.steps)
        self.changes = torch.where(nodes, torch.cat([self.changes[1:], change[None]]), self.changes)
        chosen = graphs[:, None, None]
        self.cross = torch.where(chosen, _shifted(self.cross, dot(self.steps, change)), self.cross)
        self.square = torch.where(chosen, _shifted(self.square, dot(self.changes, change)), self.square)

    def forget(self, graphs: Tensor) -> None:
        """Empty the memory of the graphs [G] named."""
        nodes, chosen = self.segments.spread(graphs), graphs[:, None, None]
        self.steps, self.changes = self.steps.masked_fill(nodes, 0), self.changes.masked_fill(nodes, 0)
        self.cross, self.square = self.cross.masked_fill(chosen, 0), self.square.masked_fill(chosen, 0)

    def direction(self, gradient: Tensor) -> Tensor:
        """[N, d], the step of every graph; the negative gradient where nothing is remembered."""
        if not self.size:
            return -gradient
        diagonal = self.cross.diagonal(dim1=1, dim2=2)
        upper = self.cross.triu() + torch.diag_embed((diagonal == 0).to(gradient.dtype))
        newest = self.square[:, -1, -1]
        gamma = torch.where(newest > 0, diagonal[:, -1] / newest, 1)
        along = self.segments.dot(self.steps, gradient).unsqueeze(-1)
        across = self.segments.dot(self.changes, gradient).unsqueeze(-1)
        scale = gamma[:, None, None]
        inner = torch.linalg.solve_triangular(upper, along, upper=True)
        outer = diagonal.unsqueeze(-1) * inner + scale * (self.square @ inner - across)
        outer = torch.linalg.solve_triangular(upper.mT, outer, upper=False)
        spread = self.segments.spread
        forward, back = spread(outer.squeeze(-1)), spread((scale * inner).squeeze(-1))
        step = torch.einsum("mnd,nm->nd", self.steps, forward) - torch.einsum("mnd,nm->nd", self.changes, back)
        return -(spread(gamma) * gradient + step)


def _shifted(matrix: Tensor, column: Tensor) -> Tensor:
    """Without the oldest row and column, and with a new last one; below the diagonal of ``cross`` nothing is read."""
    size = matrix.size(1)
    out = matrix.new_zeros(matrix.shape)
    out[:, : size - 1, : size - 1] = matrix[:, 1:, 1:]
    out[:, :, -1] = column
    out[:, -1, :] = column
    return out
