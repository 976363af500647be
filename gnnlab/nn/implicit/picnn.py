"""Networks that are convex in a part of their input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from gnnlab.errors import ConfigError
from gnnlab.nn._reset import reset
from gnnlab.nn.linear import Linear
from gnnlab.ops import gather

__all__ = ["PICNN", "BoundPICNN", "PositiveLinear"]


class PositiveLinear(nn.Module):
    r"""A linear map without bias whose entries are positive: :math:`x \mapsto \mathrm{softplus}(V) x`.

    Smooth, so that no entry ever sticks to zero as it does where a step is followed by clamping. The entries
    begin around 1 over the number of inputs: then a mean is taken, whatever the width.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.

    Example:
        >>> bool((PositiveLinear(3, 4).weight > 0).all())
        True
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.empty(out_channels, in_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        # softplus(log(expm1(w))) = w
        with torch.no_grad():
            wanted = torch.empty_like(self.raw).uniform_(0.5, 1.5) / max(self.raw.size(1), 1)
            self.raw.copy_(wanted.expm1().log())

    @property
    def weight(self) -> Tensor:
        """[out_channels, in_channels], positive."""
        return softplus(self.raw)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight)


class PICNN(nn.Module):
    r"""Partially input-convex network (Amos, Xu, Kolter, ICML 2017, arXiv 1609.07152) with twice differentiable layers.

    Convex in y, arbitrary in the context s, and non-decreasing in the first ``monotone`` entries of y:

    .. math::
        s_{k+1} &= \mathrm{ReLU}(\tilde W_k s_k + \tilde b_k) \\
        z_{k+1} &= g_k\big(W^z_k (z_k \odot [W^{zs}_k s_k + b^z_k]_+) + W^y_k (y \odot (W^{ys}_k s_k + b^y_k))
                   + W^s_k s_k + b_k\big)

    with :math:`W^z_k > 0` (:class:`PositiveLinear`), g softplus, and identity in the last layer. On the monotone
    entries of y, :math:`W^y_k > 0` and the gate is :math:`[\cdot]_+` too.

    Everything that depends on the context alone is computed once, by :meth:`bind`; what it returns is evaluated
    for many y.

    Args:
        convex_channels: Width of y.
        context_channels: Width of s.
        out_channels: Width of the output.
        hidden_channels: Width of the hidden layers, and of their contexts.
        num_layers: Number of layers, at least 1 (without hidden layers).
        monotone: Number of leading entries of y in which the output does not decrease.
        offset: Whether the last layer has the term :math:`W^s s + b` that does not depend on y.

    Shapes:
        * **y:** [R, convex_channels]
        * **context:** [R, context_channels]
        * **output:** [R, out_channels]

    Raises:
        ConfigError: no layer, or more monotone entries than there are.

    Example:
        >>> network = PICNN(2, 3, 1, hidden_channels=8)
        >>> a, b, context = torch.randn(5, 2), torch.randn(5, 2), torch.randn(5, 3)
        >>> bool((network((a + b) / 2, context) <= (network(a, context) + network(b, context)) / 2 + 1e-6).all())
        True
    """

    def __init__(
        self,
        convex_channels: int,
        context_channels: int,
        out_channels: int,
        hidden_channels: int = 16,
        num_layers: int = 3,
        monotone: int = 0,
        offset: bool = True,
    ) -> None:
        super().__init__()
        if num_layers < 1 or not 0 <= monotone <= convex_channels:
            raise ConfigError(
                f"num_layers must be at least 1 and monotone within 0 to {convex_channels}, got {num_layers} and "
                f"{monotone}",
                where="PICNN",
            )
        widths = [hidden_channels] * (num_layers - 1)
        contexts, outs = [context_channels, *widths], [*widths, out_channels]
        self.context = nn.ModuleList(Linear(*pair) for pair in pairwise(contexts))
        self.layers = nn.ModuleList(
            _Layer(convex_channels, context, out, hidden_channels if k else 0, monotone, offset or k < num_layers - 1)
            for k, (context, out) in enumerate(zip(contexts, outs, strict=True))
        )

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def bind(self, context: Tensor) -> BoundPICNN:
        """The network as a function of y alone."""
        bound = []
        for k, layer in enumerate(self.layers):
            context = self.context[k - 1](context).relu() if k else context
            bound.append(layer.bind(context))
        return BoundPICNN(tuple(bound))

    def forward(self, y: Tensor, context: Tensor) -> Tensor:
        return self.bind(context)(y)


class _Layer(nn.Module):
    def __init__(self, convex: int, context: int, out: int, hidden: int, monotone: int, offset: bool) -> None:
        super().__init__()
        self.monotone = monotone
        self.rising = PositiveLinear(monotone, out) if monotone else None
        self.free = Linear(convex - monotone, out, bias=False)
        self.gate = Linear(context, convex)
        self.shift = Linear(context, out) if offset else None
        self.hidden = PositiveLinear(hidden, out) if hidden else None
        self.hidden_gate = Linear(context, hidden) if hidden else None
        self._open_gates()

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)
        self._open_gates()

    def _open_gates(self) -> None:
        # As in Amos et al.: in the beginning the context modulates, it does not switch off.
        for gate in (self.gate, self.hidden_gate):
            if gate is not None:
                nn.init.ones_(gate.bias)

    def bind(self, context: Tensor) -> BoundLayer:
        gate, weight = self.gate(context), self.free.weight
        if self.monotone:
            gate = torch.cat([gate[:, : self.monotone].relu(), gate[:, self.monotone :]], 1)
            weight = torch.cat([self.rising.weight, weight], 1)
        shift = None if self.shift is None else self.shift(context)
        if self.hidden is None:
            return BoundLayer(weight, gate, shift)
        return BoundLayer(weight, gate, shift, self.hidden.weight, self.hidden_gate(context).relu())


@dataclass(frozen=True)
class BoundLayer:
    """One layer for given contexts.

    Args:
        weight: [O, Y], of y.
        gate: [R, Y], factors of y.
        shift: [R, O], or ``None``.
        hidden_weight: [O, H], not negative; ``None`` in the first layer.
        hidden_gate: [R, H], not negative.
    """

    weight: Tensor
    gate: Tensor
    shift: Tensor | None = None
    hidden_weight: Tensor | None = None
    hidden_gate: Tensor | None = None

    def __call__(self, z: Tensor | None, y: Tensor) -> Tensor:
        out = linear(y * self.gate, self.weight)
        out = out if self.shift is None else out + self.shift
        return out if self.hidden_weight is None else out + linear(z * self.hidden_gate, self.hidden_weight)


@dataclass(frozen=True)
class BoundPICNN:
    """A :class:`PICNN` for given contexts: y [R, Y] to [R, O], cheap to evaluate again and again."""

    layers: Sequence[BoundLayer]

    def __call__(self, y: Tensor) -> Tensor:
        z = self.layers[0](None, y)
        for layer in self.layers[1:]:
            z = layer(softplus(z), y)
        return z

    def detach(self) -> BoundPICNN:
        """Without the gradients of parameters and contexts."""
        return self._map(lambda layer: {field.name: _detached(getattr(layer, field.name)) for field in fields(layer)})

    def rows(self, index: Tensor) -> BoundPICNN:
        """For the contexts named, [R'] of [R]."""
        return self._map(
            lambda layer: {
                name: None if getattr(layer, name) is None else gather(getattr(layer, name), index)
                for name in ("gate", "shift", "hidden_gate")
            }
        )

    def _map(self, changes: object) -> BoundPICNN:
        return BoundPICNN(tuple(replace(layer, **changes(layer)) for layer in self.layers))


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach()
