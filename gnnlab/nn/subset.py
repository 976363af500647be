"""Random subsets of exactly k items: partition function, marginals, exact samples, and their gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gnnlab.nn._subset_table import completions, count_table, subsets

__all__ = [
    "exactly_k_log_partition",
    "exactly_k_marginals",
    "exactly_k_mode",
    "exactly_k_straight_through",
    "gumbel_top_k",
    "sample_exactly_k",
]


def exactly_k_log_partition(logits: Tensor, k: int | Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Logarithm of the normalisation of the distribution over subsets of exactly k of n items,

    .. math::
        p_{\theta, k}(z) = e^{\theta^\top z - \log Z} \; [\textstyle\sum_i z_i = k], \qquad
        \log Z = \log \sum_{|S| = k} \prod_{i \in S} e^{\theta_i} = \log e_k(e^{\theta_1}, \dots, e^{\theta_n}),

    the elementary symmetric polynomial. Items that are chosen independently with odds :math:`e^{\theta_i - c}`
    have this law once their number is known to be k, for every c. So :math:`e_k` is, up to known factors, the
    probability of the count k, and the recursion over items adds products of probabilities; with c such that k
    items are expected, none that matters is small, in any precision.

    Costs :math:`O(B n \min(k, n - k))`, differentiable any number of times.

    Args:
        logits: One row of :math:`\theta` per distribution; float16 and bfloat16 are computed in float32.
        k: Items per subset, from 0 to the items of a row.
        mask: Real items; all by default.

    Shapes:
        logits [B, n], k scalar or [B], mask [B, n] bool -> [B]

    Raises:
        GraphError: logits of another shape, or (on the CPU) a k that a row does not have.
        BudgetError: a table of more than 8 GiB.

    Example:
        >>> exactly_k_log_partition(torch.zeros(1, 6), 3).exp().round()   # 6 choose 3
        tensor([20.])
    """
    logits = _at_least_single(logits)
    items = subsets(logits, k, mask)
    last = count_table(items)[-1].gather(1, items.k[:, None]).squeeze(1)
    flipped = items.flipped[:, None]
    relative = torch.where(flipped, -logits, logits) - items.shift[:, None]
    factors = -F.logsigmoid(-relative) + torch.where(flipped, logits, 0)
    return last.log() + factors.masked_fill(~items.mask, 0).sum(1) + items.k * items.shift


def exactly_k_marginals(logits: Tensor, k: int | Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Probability of every item to be among the k chosen, :math:`\mu_i = \partial \log Z / \partial \theta_i`.

    From one pass over the items in both directions, without autograd, so also where it is off; the gradient is
    the covariance of the choices and differentiable again. Arguments and errors as in
    :func:`exactly_k_log_partition`.

    Shapes:
        logits [B, n], k scalar or [B], mask [B, n] bool -> [B, n], rows sum to k, 0 for padding

    Example:
        >>> exactly_k_marginals(torch.tensor([[0.0, 0.0, 0.0, 0.0], [9.0, 9.0, 0.0, 0.0]]), 2).round(decimals=2)
        tensor([[0.5000, 0.5000, 0.5000, 0.5000],
                [1.0000, 1.0000, 0.0000, 0.0000]])
    """
    items = subsets(_at_least_single(logits), k, mask)
    others, counts = completions(count_table(items, both=True))
    marginals = (items.chosen * others).t() / counts.gather(1, items.k[:, None])
    return torch.where(items.flipped[:, None], 1 - marginals, marginals).masked_fill(~items.mask, 0)


@torch.no_grad()
def sample_exactly_k(
    logits: Tensor,
    k: int | Tensor,
    mask: Tensor | None = None,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Exact samples of :math:`p_{\theta, k}`: the table of counts is walked backwards, one decision per item.

    Arguments and errors as in :func:`exactly_k_log_partition`, and

    Args:
        noise: Uniform numbers in [0, 1), one per item; leading dimensions are samples. Drawn if missing.
        generator: Source of the noise; the global one by default.

    Shapes:
        logits [B, n], noise [..., B, n] -> as noise, 0 or 1 in the dtype of ``logits``

    Example:
        >>> noise = torch.tensor([[[0.1, 0.9, 0.1]], [[0.9, 0.1, 0.1]]])
        >>> sample_exactly_k(torch.zeros(1, 3), 1, noise=noise).tolist()
        [[[0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0]]]
    """
    noise = _noise(logits, noise, generator)
    items = subsets(_at_least_single(logits), k, mask)
    table = count_table(items)
    chance = torch.zeros_like(table[1:])
    # States of probability 0 give 0 / 0; no walk that starts at k reaches them.
    chance[..., 1:] = items.chosen[..., None] * table[:-1, :, :-1] / table[1:, :, 1:]
    samples = math.prod(noise.shape[:-2])
    thresholds = noise.reshape(samples, *logits.shape).permute(2, 1, 0)
    taken = torch.empty(thresholds.shape, dtype=torch.bool, device=logits.device)
    left = items.k[:, None].repeat(1, samples)
    for item in reversed(range(logits.size(1))):
        torch.lt(thresholds[item], chance[item].gather(1, left), out=taken[item])
        left -= taken[item].long()
    taken = (taken ^ items.flipped[:, None]).permute(2, 1, 0) & items.mask
    return taken.reshape(noise.shape).to(logits.dtype)


def exactly_k_straight_through(
    logits: Tensor,
    k: int | Tensor,
    mask: Tensor | None = None,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Exact samples whose gradient is that of the marginals (SIMPLE: Ahmed, Zeng, Niepert, Van den Broeck, ICLR 2023).

    Arguments, shapes and errors as in :func:`sample_exactly_k`.

    Example:
        >>> logits = torch.zeros(1, 4, requires_grad=True)
        >>> exactly_k_straight_through(logits, 2)[0, 0].backward()
        >>> (logits.grad * 4).round(decimals=2)   # variance 1/4, covariances -1/12
        tensor([[ 1.0000, -0.3300, -0.3300, -0.3300]])
    """
    sample = sample_exactly_k(logits, k, mask, noise, generator)
    marginals = exactly_k_marginals(logits, k, mask).to(sample.dtype)
    return sample + (marginals - marginals.detach())


def exactly_k_mode(logits: Tensor, k: int | Tensor, mask: Tensor | None = None) -> Tensor:
    """The most likely subset: the k largest logits, the first of equal ones.

    Shapes:
        logits [..., B, n], k scalar or [B], mask [B, n] bool -> as logits, 0 or 1

    Example:
        >>> exactly_k_mode(torch.tensor([[0.1, 0.3, 0.2]]), 2).tolist()
        [[0.0, 1.0, 1.0]]
    """
    values = logits.detach() if mask is None else logits.detach().masked_fill(~mask, -torch.inf)
    order = values.sort(dim=-1, descending=True, stable=True).indices
    first = torch.arange(values.size(-1), device=values.device) < torch.as_tensor(k, device=values.device)[..., None]
    chosen = torch.zeros_like(values).scatter_(-1, order, first.to(values.dtype).expand_as(values))
    return chosen if mask is None else chosen.masked_fill(~mask, 0)


def gumbel_top_k(
    logits: Tensor,
    k: int | Tensor,
    mask: Tensor | None = None,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""The k largest of the logits plus Gumbel noise: successive draws without replacement (Plackett-Luce).

    **Another law** than :math:`p_{\theta, k}`, for k > 1: its marginals are not those of
    :func:`exactly_k_marginals`. Released code of PR-MPNN samples with it.

    Arguments and shapes as in :func:`sample_exactly_k`.
    """
    noise = _noise(logits, noise, generator).clamp(min=torch.finfo(logits.dtype).tiny)
    return exactly_k_mode(logits - (-noise.to(logits.dtype).log()).log(), k, mask)


def _at_least_single(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _noise(logits: Tensor, noise: Tensor | None, generator: torch.Generator | None) -> Tensor:
    if noise is not None:
        return noise
    exact = torch.promote_types(logits.dtype, torch.float32)
    return torch.rand(logits.shape, generator=generator, dtype=exact, device=logits.device)
