"""KL and entropy: their expectations and gradients by enumeration, then numbers by hand."""

import itertools
import math

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from tests.algorithms.test_loss_values import normal, ones

KINDS: tuple[losses.KLKind, ...] = ("k1", "k2", "k3")


def expectation_under_policy(
    logits: Tensor, reference: Tensor, kind: losses.KLKind, sampler: Tensor | None = None
) -> tuple[float, Tensor]:
    """The expected value of an estimator and its expected gradient as a loss, over all tokens; they
    are the policy's own, or those of a sampler that the loss is told of.
    """
    probabilities = (logits if sampler is None else sampler).softmax(-1)
    value, slope = 0.0, torch.zeros_like(logits)
    for token in range(len(logits)):
        leaf = logits.clone().requires_grad_()
        sampled = leaf.log_softmax(-1)[token].reshape(1, 1)
        known = reference.log_softmax(-1)[token].reshape(1, 1)
        old = None if sampler is None else sampler.log_softmax(-1)[token].reshape(1, 1)
        loss = losses.kl_penalty(sampled, known, ones(1), kind, old_logprobs=old).loss
        value += float(probabilities[token] * loss.detach())
        slope += probabilities[token] * torch.autograd.grad(loss, leaf)[0]
    return value, slope


def divergence(first: Tensor, second: Tensor) -> Tensor:
    ours, theirs = first.log_softmax(-1), second.log_softmax(-1)
    return (ours.exp() * (ours - theirs)).sum()


def test_the_three_estimators_of_the_divergence_do_what_the_table_says():
    logits, reference = normal(1, 4, seed=14)[0], normal(1, 4, seed=15)[0]
    leaf = logits.clone().requires_grad_()
    forward = divergence(leaf, reference)
    (forward_slope,) = torch.autograd.grad(forward, leaf)
    leaf = logits.clone().requires_grad_()
    (backward_slope,) = torch.autograd.grad(divergence(reference, leaf), leaf)
    value, slope = {}, {}
    for kind in KINDS:
        value[kind], slope[kind] = expectation_under_policy(logits, reference, kind)
    exact = float(forward.detach())
    assert value["k1"] == approx(exact, rel=1e-5)
    assert value["k3"] == approx(exact, rel=1e-5)
    assert abs(value["k2"] - exact) > 0.01  # biased, and the seed shows it
    torch.testing.assert_close(slope["k1"], torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(slope["k2"], forward_slope)
    torch.testing.assert_close(slope["k3"], backward_slope)
    assert (forward_slope - backward_slope).abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_makes_up_for_an_older_policy_that_sampled(kind: losses.KLKind):
    logits, reference, sampler = (normal(1, 4, seed=seed)[0] for seed in (14, 15, 19))
    value, slope = expectation_under_policy(logits, reference, kind)
    corrected, its_slope = expectation_under_policy(logits, reference, kind, sampler)
    assert corrected == approx(value, rel=1e-5)
    torch.testing.assert_close(its_slope, slope, atol=1e-6, rtol=1e-5)
    known, old = (one.log_softmax(-1)[None] for one in (reference, sampler))
    policy = logits.log_softmax(-1)[None]
    plain = losses.kl_penalty(policy, known, ones(4), kind)
    weighed = losses.kl_penalty(policy, known, ones(4), kind, old_logprobs=old)
    assert abs(float(plain.loss - weighed.loss)) > 0.01  # it does something
    same = losses.kl_penalty(policy, known, ones(4), kind, old_logprobs=policy)
    assert float(same.loss) == float(plain.loss) and same.metrics == plain.metrics


def test_the_exact_gradient_of_the_divergence_is_the_numeric_one():
    logits, reference = normal(1, 3, 16)[0].double(), normal(1, 3, 17)[0].double()
    _, slope = expectation_under_policy(logits.float(), reference.float(), "k2")
    for index, step in itertools.product(range(3), [1e-5]):
        nudge = torch.zeros(3, dtype=torch.float64)
        nudge[index] = step
        above, below = divergence(logits + nudge, reference), divergence(logits - nudge, reference)
        assert float(slope[index]) == approx(float(above - below) / (2 * step), abs=1e-5)


def test_the_penalty_is_zero_for_the_reference_itself_and_reports_k3():
    logprobs = normal(2, 3, seed=18)
    mask = torch.ones(2, 3, dtype=torch.bool)
    for kind in KINDS:
        assert float(losses.kl_penalty(logprobs, logprobs, mask, kind).loss) == 0.0
        shifted = losses.kl_penalty(logprobs + 0.5, logprobs, mask, kind)
        assert shifted.metrics["kl"] == approx(math.exp(-0.5) - 1 + 0.5, rel=1e-5)


def test_the_entropy_is_that_of_the_distribution_and_minimising_the_loss_raises_it():
    logits = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [0.0, -math.inf, -math.inf, 0.0]]])
    result = losses.entropy(logits, ones(2))
    expected = (math.log(4) + math.log(2)) / 2  # impossible tokens add nothing, and no nan
    assert result.metrics["entropy"] == approx(expected)
    assert float(result.loss) == approx(-expected)
    leaf = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    (slope,) = torch.autograd.grad(losses.entropy(leaf, ones(1)).loss, leaf)
    assert slope[0, 0, 0] > 0 > slope[0, 0, 1]
    leaf = logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(losses.entropy(leaf, ones(2)).loss, leaf)
    assert torch.isfinite(slope).all()
