"""The losses that compare: by identity, by hand, and CoPG's optimum by enumeration."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms.losses.preference import copg, cpl, dpo, ipo, kto, kto_reference_point, tdpo

SIGMOID_1 = 1 / (1 + math.exp(-1))


def numbers(seed: int, count: int = 5, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(count, generator=torch.Generator().manual_seed(seed))


def pairs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """policy_chosen, policy_rejected, reference_chosen, reference_rejected."""
    chosen, rejected = (numbers(seed + n) - 3 for n in range(2))
    return chosen, rejected, numbers(seed + 2) - 3, numbers(seed + 3) - 3


def slopes(loss_of: Callable[..., Tensor], *at: Tensor) -> list[Tensor]:
    leaves = [values.clone().requires_grad_() for values in at]
    return list(torch.autograd.grad(loss_of(*leaves), leaves))


def test_dpo_at_the_reference_is_log_2_and_pushes_each_pair_apart_by_half_beta():
    chosen, rejected, *_ = pairs()
    assert float(dpo(chosen, rejected, chosen, rejected).loss) == approx(math.log(2))
    up, down = slopes(lambda c, r: dpo(c, r, chosen, rejected, beta=0.3).loss, chosen, rejected)
    torch.testing.assert_close(up, torch.full((5,), -0.3 / 2 / 5))
    torch.testing.assert_close(down, -up)


def test_dpo_by_hand():
    given = [torch.tensor([value]) for value in (-1.0, -4.0, -2.0, -3.0)]
    out = dpo(*given, beta=0.5)  # d is 1 and -1, so m = 0.5 * 2
    assert float(out.loss) == approx(-math.log(SIGMOID_1))
    assert out.metrics == approx(
        {"margin": 1.0, "accuracy": 1.0, "log_ratio_chosen": 1.0, "log_ratio_rejected": -1.0}
    )
    # per token: (1 / 2 - -1 / 4) * 0.5
    lengths: dict[str, Any] = {
        "lengths_chosen": torch.tensor([2.0]),
        "lengths_rejected": torch.tensor([4.0]),
    }
    assert dpo(*given, beta=0.5, **lengths).metrics["margin"] == approx(0.375)


def test_sft_weight_adds_the_negative_log_likelihood_of_the_chosen():
    given = pairs()
    added = dpo(*given, sft_weight=0.2).loss - dpo(*given).loss
    assert float(added) == approx(-0.2 * float(given[0].mean()), rel=1e-5)
    lengths: dict[str, Any] = {
        "lengths_chosen": torch.full((5,), 4.0),
        "lengths_rejected": torch.full((5,), 2.0),
    }
    added = dpo(*given, sft_weight=0.2, **lengths).loss - dpo(*given, **lengths).loss
    assert float(added) == approx(-0.2 * float(given[0].mean()) / 4, rel=1e-4)


def test_without_label_noise_the_robust_loss_is_the_plain_one():
    assert float(dpo(*pairs(), label_noise=0.0).loss) == float(dpo(*pairs()).loss)


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_the_robust_loss_is_unbiased_over_all_flips_of_the_labels(noise: float):
    given = [values[:3] for values in pairs()]
    expected = 0.0
    for flips in itertools.product((False, True), repeat=3):
        flipped = torch.tensor(flips)
        c, r, rc, rr = given
        seen = (  # each pair as it was labelled
            torch.where(flipped, r, c),
            torch.where(flipped, c, r),
            torch.where(flipped, rr, rc),
            torch.where(flipped, rc, rr),
        )
        chance = math.prod(noise if flip else 1 - noise for flip in flips)
        expected += chance * float(dpo(*seen, beta=0.7, label_noise=noise).loss)
    assert expected == approx(float(dpo(*given, beta=0.7).loss), rel=1e-5)


@pytest.mark.parametrize("noise", [-0.1, 0.5])
def test_a_share_of_flips_that_says_nothing_is_refused(noise: float):
    with pytest.raises(ValueError, match="label_noise"):
        dpo(*pairs(), label_noise=noise)


@pytest.mark.parametrize("form", ["tdpo1", "tdpo2"])
def test_tdpo_with_equal_divergences_is_dpo(form: Any):
    equal = torch.full((5,), 0.7)
    options: dict[str, Any] = {"beta": 0.4, "label_noise": 0.1, "sft_weight": 0.2}
    out = tdpo(*pairs(), equal, equal, form=form, **options)
    assert float(out.loss) == approx(float(dpo(*pairs(), **options).loss))
    assert out.metrics["margin"] == approx(dpo(*pairs(), beta=0.4).metrics["margin"])


def test_tdpo_by_hand():
    given: list[Any] = [torch.tensor([v]) for v in (-1.0, -4.0, -2.0, -3.0, 0.5, 1.5)]
    # d_chosen - d_rejected = 2, k_rejected - k_chosen = 1
    one = tdpo(*given, beta=1.0, form="tdpo1").loss
    assert float(one) == approx(-math.log(SIGMOID_1))
    two = tdpo(*given, beta=0.5, form="tdpo2", kl_weight=0.5).loss
    assert float(two) == approx(math.log(1 + math.exp(-0.5 * 1.5)))


def test_tdpo2_pushes_the_divergence_of_the_rejected_only():
    of = pairs()
    kl = numbers(7).abs(), numbers(8).abs()
    chosen, rejected = slopes(lambda a, b: tdpo(*of, a, b, form="tdpo1").loss, *kl)
    torch.testing.assert_close(chosen, -rejected)
    leaves = kl[0].clone().requires_grad_(), kl[1].clone().requires_grad_()
    loss = tdpo(*of, *leaves, form="tdpo2", kl_weight=0.25).loss
    chosen, rejected = torch.autograd.grad(loss, leaves, allow_unused=True)
    assert chosen is None
    assert rejected is not None and bool((rejected > 0).all())
    torch.testing.assert_close(  # at equal logits it is the weight times tdpo1's
        slopes(lambda a: tdpo(*of, kl[0], a, form="tdpo2", kl_weight=1.0).loss, kl[1])[0],
        slopes(lambda a: tdpo(*of, kl[0], a, form="tdpo1").loss, kl[1])[0],
    )


def test_kto_by_hand():
    policy, reference = torch.tensor([-1.0, -5.0]), torch.tensor([-3.0, -3.0])
    desirable = torch.tensor([True, False])
    # d = 2 and -2, z = 1: v = sigmoid(0.5 * 1) and sigmoid(0.5 * 3)
    out = kto(policy, reference, desirable, 0.5, reference_point=1.0, undesirable_weight=2.0)
    v = [1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(-1.5))]
    assert float(out.loss) == approx((1 - v[0] + 2 * (1 - v[1])) / 2)
    assert out.metrics == approx(
        {"log_ratio_chosen": 2.0, "log_ratio_rejected": -2.0, "reference_point": 1.0}
    )


def test_ktos_reference_point_is_the_mean_log_ratio_and_never_negative_nor_trained():
    policy = torch.tensor([-1.0, -2.0], requires_grad=True)
    point = kto_reference_point(policy, torch.tensor([-3.0, -3.0]))
    assert float(point) == 1.5 and not point.requires_grad
    assert float(kto_reference_point(policy, torch.tensor([0.0, 0.0]))) == 0.0
    with pytest.raises(ValueError, match="detach"):
        kto(policy, policy.detach(), policy > 0, reference_point=policy.sum())


def test_kto_at_the_reference_pushes_by_a_quarter_of_beta():
    policy = numbers(1, 2)
    desirable = torch.tensor([True, False])
    (push,) = slopes(lambda p: kto(p, policy, desirable, 0.4).loss, policy)
    torch.testing.assert_close(push, torch.tensor([-0.4, 0.4]) / 4 / 2)


# CoPG on a bandit with four arms: every pair of arms, weighted by any sampling distribution
RETURNS, BETA = torch.tensor([1.0, -0.5, 0.25, 2.0]), 0.7


def bandit_gradient(logits: Tensor, sampling: Tensor, reference: Tensor) -> Tensor:
    """The expected gradient of CoPG over all pairs of two arms drawn from `sampling`."""
    leaf = logits.clone().requires_grad_()
    logprobs = torch.log_softmax(leaf, 0)
    loss = torch.zeros(())
    for one, other in itertools.product(range(4), repeat=2):
        arms = [torch.tensor([arm]) for arm in (one, other)]
        said: list[Any] = [values[arm] for values in (logprobs, reference, RETURNS) for arm in arms]
        loss = loss + sampling[one] * sampling[other] * copg(*said, beta=BETA).loss
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


@pytest.mark.parametrize("seed", range(3))
def test_copgs_gradient_vanishes_at_the_regularised_optimum_whoever_samples(seed: int):
    reference = torch.log_softmax(numbers(seed, 4), 0)
    sampling = torch.softmax(numbers(seed + 10, 4), 0)
    optimum = reference + RETURNS / BETA
    assert bandit_gradient(optimum, sampling, reference).abs().max() < 1e-5
    assert bandit_gradient(reference, sampling, reference).abs().max() > 1e-2
    assert bandit_gradient(optimum + numbers(seed, 4, 0.1), sampling, reference).abs().max() > 1e-3


def test_copg_on_policy_is_twice_the_regularised_policy_gradient():
    logits, reference = numbers(3, 4), torch.log_softmax(numbers(4, 4), 0)
    leaf = logits.clone().requires_grad_()
    logprobs = torch.log_softmax(leaf, 0)
    value = (logprobs.exp() * (RETURNS - BETA * (logprobs - reference))).sum()
    (truth,) = torch.autograd.grad(-value, leaf)
    found = bandit_gradient(logits, torch.softmax(logits, 0), reference)
    torch.testing.assert_close(found, 2 * truth)


def test_ipo_is_copg_whose_returns_differ_by_a_half():
    c, r, rc, rr = pairs()
    half = torch.full((5,), 0.5)
    found = slopes(lambda a, b: copg(a, b, rc, rr, half, 0 * half, beta=0.3).loss, c, r)
    wanted = slopes(lambda a, b: ipo(a, b, rc, rr, tau=0.3).loss, c, r)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, 0.3 / 2 * other)


def test_ipo_and_copg_by_hand():
    given: list[Any] = [torch.tensor([value]) for value in (-1.0, -4.0, -2.0, -3.0)]
    assert float(ipo(*given, tau=0.125).loss) == approx((2 - 4) ** 2)
    returns: list[Any] = [torch.tensor([3.0]), torch.tensor([2.0])]
    out = copg(*[*given, *returns], beta=0.25)
    assert float(out.loss) == approx(-(1.0 * 2 - 0.125 * 4))
    assert out.metrics == approx({"accuracy": 1.0, "residual": 0.5})


def test_cpl_undiscounted_and_unbiased_is_dpo_whose_reference_says_nothing():
    chosen, rejected = numbers(1, 12).view(3, 4), numbers(2, 12).view(3, 4)
    nothing = torch.zeros(3)
    wanted = dpo(chosen.sum(1), rejected.sum(1), nothing, nothing, beta=0.4)
    out = cpl(chosen, rejected, 0.4)
    assert float(out.loss) == approx(float(wanted.loss))
    assert out.metrics["margin"] == approx(wanted.metrics["margin"], rel=1e-5)


def test_cpl_by_hand():
    chosen, rejected = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-3.0, -4.0]])
    # discounted sums -2 and -5; 0.5 * (-2 - 0.5 * -5) = 0.25
    loss = cpl(chosen, rejected, 0.5, discount=0.5, bias=0.5).loss
    assert float(loss) == approx(math.log(1 + math.exp(-0.25)))
    with pytest.raises(ValueError, match="bias"):
        cpl(chosen, rejected, bias=0.0)


def test_a_biased_cpl_prefers_the_likelier_of_two_policies_with_equal_differences():
    chosen, rejected = torch.tensor([[-1.0]]), torch.tensor([[-2.0]])
    near, far = (cpl(chosen - d, rejected - d, 1.0, bias=0.5).loss for d in (0.0, 5.0))
    assert float(near) < float(far)
    near, far = (cpl(chosen - d, rejected - d, 1.0).loss for d in (0.0, 5.0))
    assert float(near) == float(far)


def test_a_reference_that_carries_a_gradient_is_refused():
    c, r, rc, rr = pairs()
    rc.requires_grad_()
    for loss in (dpo, ipo):
        with pytest.raises(ValueError, match="detach"):
            loss(c, r, rc, rr)
    with pytest.raises(ValueError, match="detach"):
        kto(c, rc, c > 0)
