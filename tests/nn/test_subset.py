"""Subsets of exactly k items against the enumeration of all of them."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from gnnlab.errors import BudgetError, GraphError
from gnnlab.nn.subset import (
    exactly_k_log_partition,
    exactly_k_marginals,
    exactly_k_mode,
    exactly_k_straight_through,
    gumbel_top_k,
    sample_exactly_k,
)


def random_logits(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def enumerate_subsets(theta: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """All subsets [S, n] of one row, their probabilities [S], and log Z."""
    choices = list(combinations(range(theta.numel()), k))
    index = torch.tensor(choices, dtype=torch.long).reshape(len(choices), k)
    subsets = torch.zeros(len(index), theta.numel(), dtype=theta.dtype).scatter_(1, index, 1.0)
    return subsets, (subsets @ theta).softmax(0), (subsets @ theta).logsumexp(0)


def plain_log_partition(logits: Tensor, k: int) -> Tensor:
    """The textbook recursion of elementary symmetric polynomials."""
    table = torch.full((len(logits), k + 1), -1e30, dtype=logits.dtype)
    table[:, 0] = 0
    for theta in logits.unbind(1):
        longer = torch.logaddexp(table[:, 1:], table[:, :-1] + theta[:, None])
        table = torch.cat([table[:, :1], longer], 1)
    return table[:, k]


def test_six_choose_three_by_enumeration():
    theta = random_logits(6)
    subsets, probability, log_z = enumerate_subsets(theta, 3)
    torch.testing.assert_close(exactly_k_marginals(theta[None], 3)[0], probability @ subsets, rtol=0, atol=5e-16)
    torch.testing.assert_close(exactly_k_log_partition(theta[None], 3)[0], log_z, rtol=1e-15, atol=1e-15)


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=7), st.data())
@settings(max_examples=60, deadline=None)
def test_any_row_by_enumeration(values, data):
    theta, k = torch.tensor(values, dtype=torch.float64), data.draw(st.integers(0, len(values)))
    subsets, probability, log_z = enumerate_subsets(theta, k)
    torch.testing.assert_close(exactly_k_marginals(theta[None], k)[0], probability @ subsets, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(exactly_k_log_partition(theta[None], k)[0], log_z, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("k", [1, 80, 175, 300])
def test_marginals_are_the_gradient_of_the_textbook_recursion(k):
    logits = random_logits(3, 350).requires_grad_()
    value = plain_log_partition(logits, k)
    torch.testing.assert_close(exactly_k_log_partition(logits, k), value, rtol=1e-13, atol=1e-11)
    (expected,) = torch.autograd.grad(value.sum(), logits)
    torch.testing.assert_close(exactly_k_marginals(logits, k), expected, rtol=1e-9, atol=1e-12)
    (own,) = torch.autograd.grad(exactly_k_log_partition(logits, k).sum(), logits)
    torch.testing.assert_close(own, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-13), (torch.float32, 5e-5)])
def test_marginals_sum_to_k(dtype, bound):
    logits = random_logits(16, 350, dtype=dtype)
    assert float((exactly_k_marginals(logits, 80).double().sum(1) - 80).abs().max()) <= bound


def test_equal_logits_share_k():
    torch.testing.assert_close(exactly_k_marginals(torch.full((1, 9), 3.0), 4), torch.full((1, 9), 4 / 9))


def test_adding_a_constant_changes_nothing():
    logits, shift = random_logits(4, 40), torch.tensor([[0.0], [7.0], [-1e3], [1e6]], dtype=torch.float64)
    torch.testing.assert_close(
        exactly_k_marginals(logits + shift, 11), exactly_k_marginals(logits, 11), rtol=0, atol=1e-9
    )


def test_all_and_none():
    logits = random_logits(2, 5)
    assert torch.equal(exactly_k_marginals(logits, 5), torch.ones_like(logits))
    assert torch.equal(exactly_k_marginals(logits, 0), torch.zeros_like(logits))
    assert torch.equal(sample_exactly_k(logits, 5), torch.ones_like(logits))
    assert torch.equal(sample_exactly_k(logits, 0), torch.zeros_like(logits))
    torch.testing.assert_close(exactly_k_log_partition(logits, 5), logits.sum(1))


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_far_apart(scale, dtype):
    logits = (scale * random_logits(5, 30, dtype=dtype)).requires_grad_()
    marginals = exactly_k_marginals(logits, 12)
    torch.testing.assert_close(marginals.sum(1), torch.full((5,), 12.0, dtype=dtype))
    (gradient,) = torch.autograd.grad((marginals * random_logits(5, 30, seed=1, dtype=dtype)).sum(), logits)
    assert gradient.isfinite().all()
    assert bool((sample_exactly_k(logits, 12).sum(1) == 12).all())
    if scale > 1e3:
        torch.testing.assert_close(marginals, exactly_k_mode(logits, 12), rtol=0, atol=1e-3)


def test_one_logit_far_above_leaves_the_others_exact():
    logits = torch.tensor([[1e5, 0.0, 1.0, 2.0]], dtype=torch.float64)
    rest = exactly_k_marginals(logits[:, 1:], 1)
    torch.testing.assert_close(exactly_k_marginals(logits, 2), torch.cat([torch.ones(1, 1).double(), rest], 1))


def test_rows_of_different_lengths_and_k_equal_each_alone():
    logits, k = random_logits(5, 8), torch.tensor([3, 0, 5, 1, 8])
    sizes = torch.tensor([7, 0, 5, 4, 8])
    mask = torch.arange(8) < sizes[:, None]
    # Padding in the middle as well: the mask says where, not how many.
    order = torch.randperm(8, generator=torch.Generator().manual_seed(2))
    padded = torch.where(mask, logits, 1e6)
    marginals = exactly_k_marginals(padded[:, order], k, mask[:, order])[:, order.argsort()]
    log_z = exactly_k_log_partition(padded, k, mask)
    noise = torch.rand(5, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sample = sample_exactly_k(padded, k, mask, noise)
    for row, size in enumerate(sizes.tolist()):
        alone = logits[row : row + 1, :size]
        torch.testing.assert_close(marginals[row, :size], exactly_k_marginals(alone, k[row])[0])
        torch.testing.assert_close(log_z[row], exactly_k_log_partition(alone, k[row])[0])
        assert torch.equal(sample[row, :size], sample_exactly_k(alone, k[row], noise=noise[row : row + 1, :size])[0])
    assert not marginals[~mask].any()
    assert not sample[~mask].any()
    assert torch.equal(sample.sum(1), k.double())


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_nothing_to_choose_from(shape):
    logits = torch.zeros(shape)
    assert exactly_k_marginals(logits, 0).shape == shape
    assert exactly_k_log_partition(logits, 0).tolist() == [0.0] * shape[0]
    assert sample_exactly_k(logits, 0).shape == exactly_k_mode(logits, 0).shape == shape


@pytest.mark.parametrize("k", [2, 4])
def test_samples_have_the_exact_law(k):
    theta, draws = random_logits(6), 100_000
    noise = torch.rand(draws, 1, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    sample = sample_exactly_k(theta[None], k, noise=noise).squeeze(1)
    subsets, probability, _ = enumerate_subsets(theta, k)
    weights = 2.0 ** torch.arange(6, dtype=torch.float64)
    observed = ((sample @ weights)[:, None] == subsets @ weights).sum(0)
    assert int(observed.sum()) == draws
    assert chisquare(observed.numpy(), (draws * probability).numpy()).pvalue > 1e-3
    expected = exactly_k_marginals(theta[None], k)[0]
    error = (sample.mean(0) - expected) / (expected * (1 - expected) / draws).sqrt()
    assert float(error.abs().max()) < 4


def test_gumbel_keys_draw_from_another_law():
    theta, draws = torch.tensor([3.0, 1.0, 0.0, 0.0], dtype=torch.float64), 100_000
    noise = torch.rand(draws, 1, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    frequency = gumbel_top_k(theta[None], 2, noise=noise).mean(0)[0]
    weight = theta.exp()
    first = weight / weight.sum()
    # Plackett-Luce: the item itself comes first, or another one does and it comes next.
    second = (first[:, None] * first / (1 - first[:, None])).fill_diagonal_(0).sum(0)
    torch.testing.assert_close(frequency, first + second, rtol=0, atol=5e-3)
    assert float((frequency - exactly_k_marginals(theta[None], 2)[0]).abs().max()) > 0.02


def test_gumbel_keys_agree_for_one_item():
    theta = random_logits(1, 5)
    noise = torch.rand(50_000, 1, 5, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    torch.testing.assert_close(gumbel_top_k(theta, 1, noise=noise).mean(0), theta.softmax(1), rtol=0, atol=1e-2)


def test_the_mode_is_the_most_likely_subset():
    theta = random_logits(7)
    subsets, probability, _ = enumerate_subsets(theta, 3)
    assert torch.equal(exactly_k_mode(theta[None], 3)[0], subsets[probability.argmax()])
    mask = torch.arange(7)[None] < 2
    assert exactly_k_mode(theta[None], torch.tensor([4]), mask).tolist() == [[1, 1, 0, 0, 0, 0, 0]]


def test_noise_and_generator_decide_the_sample():
    logits = random_logits(3, 10)
    first, second = (sample_exactly_k(logits, 4, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    state = torch.get_rng_state()
    sample_exactly_k(logits, 4, noise=torch.rand(2, 3, 10, generator=torch.Generator()))
    assert torch.equal(state, torch.get_rng_state())


K, MASK = torch.tensor([2, 0, 5, 3]), torch.arange(6) < torch.tensor([[6], [2], [6], [3]])


def test_gradients_of_every_order():
    logits = random_logits(4, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: exactly_k_log_partition(x, K, MASK), logits)
    assert torch.autograd.gradcheck(lambda x: exactly_k_marginals(x, K, MASK), logits)
    assert torch.autograd.gradgradcheck(lambda x: exactly_k_log_partition(x, K, MASK), logits)
    assert torch.autograd.gradgradcheck(lambda x: exactly_k_marginals(x, K, MASK), logits)


def test_straight_through_is_hard_forward_and_marginal_backward():
    logits, weight = random_logits(4, 6).requires_grad_(), random_logits(4, 6, seed=1)
    sample = exactly_k_straight_through(logits, K, MASK)
    assert set(sample.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(sample.sum(1), K.double())
    (gradient,) = torch.autograd.grad((sample * weight).sum(), logits)
    (expected,) = torch.autograd.grad((exactly_k_marginals(logits, K, MASK) * weight).sum(), logits)
    torch.testing.assert_close(gradient, expected)
    free = MASK.sum(1) > K  # rows with a choice
    assert bool((gradient[free & (K > 0)].abs() > 1e-6).any())
    assert not gradient[~(free & (K > 0))].any()


def test_half_precision_computes_in_single():
    logits = random_logits(2, 12).bfloat16()
    torch.testing.assert_close(exactly_k_marginals(logits, 5), exactly_k_marginals(logits.float(), 5))
    assert sample_exactly_k(logits, 5).dtype == torch.bfloat16


def test_works_without_autograd():
    with torch.inference_mode():
        logits = random_logits(2, 12)
        assert float(exactly_k_marginals(logits, 5).sum()) == pytest.approx(10)


def test_bad_input_is_named():
    with pytest.raises(GraphError, match="row 1 has 2 items, of which 3"):
        exactly_k_marginals(torch.zeros(2, 3), 3, torch.tensor([[True, True, True], [True, True, False]]))
    with pytest.raises(GraphError, match=r"logits must be a floating tensor \[B, n\]"):
        exactly_k_marginals(torch.zeros(3), 1)
    with pytest.raises(BudgetError, match="GiB"):
        exactly_k_marginals(torch.zeros(1, 1).expand(1000, 20_000), 10_000)
