"""Scoring node pairs, and choosing exactly k of them in every graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._noise import pair_noise
from gnnlab.nn._reset import reset
from gnnlab.nn.models._rewired import rows_of
from gnnlab.nn.subset import exactly_k_marginals, exactly_k_mode, gumbel_top_k, sample_exactly_k
from gnnlab.ops import gather

__all__ = ["EdgeChoice", "EvalSampling", "Sampler", "Sampling", "TrainEdges"]

Sampler: TypeAlias = Literal["exact", "gumbel"]
EvalSampling: TypeAlias = Literal["mode", "sample"]
TrainEdges: TypeAlias = Literal["straight_through", "marginal"]

_SAMPLERS = {"exact": sample_exactly_k, "gumbel": gumbel_top_k}
_STREAM = 1 << 20


@dataclass(frozen=True)
class Sampling:
    """How subsets are drawn; see :class:`gnnlab.nn.PRMPNN`."""

    sampler: Sampler
    eval_sampling: EvalSampling
    num_samples: int
    num_eval_samples: int
    seed: int

    def __post_init__(self) -> None:
        for name, value, known in (
            ("sampler", self.sampler, _SAMPLERS),
            ("eval_sampling", self.eval_sampling, ("mode", "sample")),
        ):
            if value not in known:
                raise ConfigError(f"unknown {name} '{value}'", where="PRMPNN", hint=nearest(value, known))
        if self.num_samples < 1 or self.num_eval_samples < 1:
            raise ConfigError("num_samples and num_eval_samples must be at least 1", where="PRMPNN")


class EdgeChoice(nn.Module):
    r"""Choose k of the candidate pairs of every graph, by the logits of a network that sees both end states.

    .. math::
        \theta_{uv} = \tfrac12 \big(f([h_u \,\|\, h_v]) + f([h_v \,\|\, h_u])\big)

    Args:
        channels: Width of the node states.
        num_priors: E, logits per pair.
        k: Pairs per graph and prior; all where there are fewer.
        score: Factory (in_channels, out_channels) of f.
        sampling: How they are drawn.
        sign: -1 chooses pairs with small logits.
        train_edges: ``straight_through`` returns samples with the gradient of the marginals; ``marginal`` returns
            marginals in training, and samples times marginals in evaluation.

    Shapes:
        * **h:** [N, channels]
        * **pairs:** [2, P] long
        * **output:** [S, E, P], 0 or 1 (or marginals), and a 0-d divergence between the priors
    """

    def __init__(
        self,
        channels: int,
        num_priors: int,
        k: int,
        score: Callable[[int, int], nn.Module],
        sampling: Sampling,
        sign: int,
        train_edges: TrainEdges,
    ) -> None:
        super().__init__()
        self.score = score(2 * channels, num_priors)
        self.num_priors, self.k, self.sampling, self.sign = num_priors, k, sampling, sign
        self.marginal = train_edges == "marginal"

    def reset_parameters(self) -> None:
        reset(self.score)

    def forward(self, h: Tensor, pairs: Tensor, edge_index: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
        rows, logits, k, mask = self._problem(h, pairs, ptr)
        soft = exactly_k_marginals(logits, k, mask) if self.marginal or logits.requires_grad else None
        if self.marginal and self.training:
            chosen = soft[None]
        else:
            noise = None if self.training else self._hashed(pairs, edge_index, ptr)
            chosen = self._draw(logits, k, mask, noise if noise is None else rows.pad(noise).flatten(1, 2))
            if self.marginal:
                chosen = chosen * soft
            elif soft is not None:
                chosen = chosen + (soft - soft.detach())
        chosen = chosen.unflatten(1, (self.num_priors, -1))
        return rows.flatten(chosen), _divergence(chosen, rows.mask)

    def marginals(self, h: Tensor, pairs: Tensor, ptr: Tensor) -> Tensor:
        """[E, P], probability of every pair to be chosen."""
        rows, *problem = self._problem(h, pairs, ptr)
        return rows.flatten(exactly_k_marginals(*problem).unflatten(0, (self.num_priors, -1)))

    def _problem(self, h: Tensor, pairs: Tensor, ptr: Tensor) -> tuple[Any, Tensor, Tensor, Tensor]:
        """Rows of the pairs, and logits [E G, n], k and mask of as many subsets."""
        ends = torch.cat([gather(h, pairs[0]), gather(h, pairs[1])], -1)
        swapped = ends.unflatten(-1, (2, -1)).flip(-2).flatten(-2)
        logits = self.score(torch.cat([ends, swapped])).unflatten(0, (2, -1)).mean(0).t()
        rows = rows_of(pairs, ptr)
        exact = torch.promote_types(logits.dtype, torch.float32)
        table = rows.pad(self.sign * logits.to(exact)).flatten(0, 1)
        mask = rows.mask.repeat(self.num_priors, 1)
        return rows, table, mask.sum(1).clamp(max=self.k), mask

    def _draw(self, logits: Tensor, k: Tensor, mask: Tensor, noise: Tensor | None) -> Tensor:
        """[S, E G, n], 0 or 1."""
        if not self.training and noise is None:
            return exactly_k_mode(logits, k, mask)[None]
        if noise is None:
            noise = torch.rand(self.sampling.num_samples, *logits.shape, dtype=logits.dtype, device=logits.device)
        return _SAMPLERS[self.sampling.sampler](logits, k, mask, noise)

    def _hashed(self, pairs: Tensor, edge_index: Tensor, ptr: Tensor) -> Tensor | None:
        """[S, E, P] noise of an evaluation, if it draws: a graph gets the same alone and in any batch."""
        if self.sampling.eval_sampling == "mode":
            return None
        first, samples = self.sampling.seed * _STREAM, self.sampling.num_eval_samples
        seeds = range(first, first + samples * self.num_priors)
        noise = torch.stack([pair_noise(pairs, edge_index, ptr, seed) for seed in seeds])
        return noise.unflatten(0, (samples, self.num_priors))


def _divergence(chosen: Tensor, mask: Tensor) -> Tensor:
    r"""Mean over graphs, samples and pairs of priors of KL(p || q) + KL(q || p), p and q softmax of their choices.

    The normalisations cancel: it is :math:`\sum_i (p_i - q_i)(z^p_i - z^q_i)`. ``chosen`` [S, E, G, n].
    """
    first, second = torch.triu_indices(chosen.size(1), chosen.size(1), 1, device=chosen.device)
    if not first.numel() or not mask.numel():
        return chosen.new_zeros(())
    p = chosen.masked_fill(~mask, torch.finfo(chosen.dtype).min).softmax(-1)
    terms = (p[:, first] - p[:, second]) * (chosen[:, first] - chosen[:, second])
    return terms.sum(-1).mean()
