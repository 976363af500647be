"""What transformer-like layers are made of beside attention: normalised residuals and the feed-forward block."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import expand_ptr

__all__ = ["FeedForward", "ResidualNorm"]


class ResidualNorm(nn.Module):
    r"""Dropout, residual connection and normalisation, :math:`\mathrm{norm}(x + \mathrm{dropout}(y))`.

    Args:
        channels: Width of the states.
        norm: Factory (channels) of the normalisation; ``None`` for none. One whose ``forward`` has an argument
            ``batch`` (PyG's ``LayerNorm`` over all nodes of a graph, ``GraphNorm``) gets the graph of every row.
        dropout: Probability of dropping a channel.

    Shapes:
        * **y:** [N, channels], what a layer computed
        * **x:** [N, channels], the former states; ``None`` adds nothing
        * **ptr:** [G + 1] first node of every graph, or ``None`` for one graph
        * **node:** [N] a node of the graph of every row, where rows are no nodes
        * **output:** [N, channels]

    Example:
        >>> ResidualNorm(4)(torch.randn(3, 4), torch.randn(3, 4)).shape
        torch.Size([3, 4])
    """

    def __init__(
        self, channels: int, norm: Callable[[int], nn.Module] | None = BatchNorm, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.norm = nn.Identity() if norm is None else norm(channels)
        self.asked = {"batch", "batch_size"} & set(inspect.signature(self.norm.forward).parameters)

    @property
    def by_graph(self) -> bool:
        """Whether the normalisation is one of graphs."""
        return "batch" in self.asked

    def reset_parameters(self) -> None:
        reset(self.norm)

    def forward(
        self, y: Tensor, x: Tensor | None = None, ptr: Tensor | None = None, node: Tensor | None = None
    ) -> Tensor:
        y = self.dropout(y, x)
        if not self.by_graph:
            return self.norm(y)
        if not y.size(0):
            return y  # PyG's normalisations take the maximum of nothing
        if ptr is None:
            return self.norm(y)
        batch = expand_ptr(ptr, y.size(0)) if node is None else expand_ptr(ptr)[node]
        known = {"batch": batch, "batch_size": ptr.numel() - 1}
        return self.norm(y, **{name: known[name] for name in self.asked})


class FeedForward(nn.Module):
    r"""Feed-forward block of a transformer layer (Vaswani et al., NeurIPS 2017), normalised after the residual.

    .. math::
        x' = \mathrm{norm}\big(x + \mathrm{dropout}(W_2 \, \mathrm{dropout}(\phi(W_1 x + b_1)) + b_2)\big)

    Args:
        channels: d, width of the states.
        expansion: Hidden width divided by d.
        norm: Factory (channels) of the normalisation, as in :class:`ResidualNorm`; ``None`` for none.
        activation: Factory of :math:`\phi`.
        dropout: Probability of dropping a hidden channel.
        output_dropout: Probability of dropping a channel of the result; ``None`` is ``dropout``.

    Shapes:
        * **x:** [N, d]
        * **ptr:** [G + 1] first row of every graph, or ``None`` for one graph
        * **output:** [N, d]

    Example:
        >>> sum(p.numel() for p in FeedForward(64, norm=None).parameters())
        16576
    """

    def __init__(
        self,
        channels: int,
        expansion: float = 2.0,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] = nn.ReLU,
        dropout: float = 0.0,
        output_dropout: float | None = None,
    ) -> None:
        super().__init__()
        hidden = round(expansion * channels)
        self.hidden = nn.Sequential(Linear(channels, hidden), activation(), Dropout(dropout))
        self.output = Linear(hidden, channels)
        self.residual = ResidualNorm(channels, norm, dropout if output_dropout is None else output_dropout)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, x: Tensor, ptr: Tensor | None = None) -> Tensor:
        return self.residual(self.output(self.hidden(x)), x, ptr)
