"""Categorical choices by Gumbel noise: hard ones with the gradient of soft ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnlab.graph._noise import pair_noise
from gnnlab.ops import expand_ptr

__all__ = ["gumbel", "hashed_gumbel", "most_likely", "straight_through"]


def gumbel(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Standard Gumbel numbers from torch's random state, in float32 at least, where ``like`` is."""
    exact = torch.promote_types(like.dtype, torch.float32)
    waiting = torch.empty(shape, dtype=exact, device=like.device).exponential_()
    return -waiting.clamp_(min=torch.finfo(exact).tiny).log_()


def hashed_gumbel(count: int, edge_index: Tensor, ptr: Tensor, seed: int) -> Tensor:
    """[N, count] float64, standard Gumbel numbers hashed from graph, place of the node and seed: a graph gets the same
    alone and in any batch.

    Args:
        count: Numbers per node.
        edge_index: [2, E] long.
        ptr: [G + 1] long, first node of every graph.
        seed: Any integer.
    """
    first = ptr[expand_ptr(ptr)]
    node = torch.arange(first.numel(), device=ptr.device)[:, None].expand(-1, count)
    # The second place of a pair is but a number to the hash: it counts the columns.
    column = first[:, None] + torch.arange(count, device=ptr.device)
    uniform = pair_noise(torch.stack([node, column]).view(2, -1), edge_index, ptr, seed)
    return -(-uniform.clamp(min=2.0**-54).log()).log().view(-1, count)


def most_likely(logits: Tensor) -> Tensor:
    """One-hot indicator of the largest logit of every row; of equal ones the first."""
    return F.one_hot(logits.argmax(-1), logits.size(-1)).to(logits.dtype)


def straight_through(logits: Tensor, noise: Tensor, sharpness: Tensor | float) -> Tensor:
    r"""One-hot samples with the gradient of :math:`\mathrm{softmax}((\mathrm{logits} + \mathrm{noise}) / \tau)`
    (Jang, Gu and Poole, ICLR 2017).

    The value is exactly 0 or 1, and does not depend on the temperature.

    Args:
        logits: [..., C].
        noise: As ``logits``.
        sharpness: :math:`1 / \tau`, one number, or what is broadcast to ``logits``.
    """
    perturbed = logits + noise
    soft = (sharpness * perturbed).softmax(-1)
    return most_likely(perturbed.detach()) + (soft - soft.detach())
