from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from algorithms.forward import policy_logprobs
from algorithms.mismatch import importance_weights
from algorithms.trainer.experience import Experience
from algorithms.trainer.objective import Objective, count, weighted
from algorithms.trainer.update import LARGEST_BONUS, SMALLEST_BONUS, update
from tests.support.learners import CONFIG, descend, prepared, under
from tests.support.training import flat, played

LOOSE = replace(CONFIG, target_kl=None, max_norm=1e9)  # nothing but the objective holds a step
CHANCE = np.random.default_rng  # of a seed


def ones(seen: Experience, sign: float = 1.0) -> Tensor:
    return torch.where(seen.mask, sign, 0.0)


def random_advantages(seen: Experience) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.where(seen.mask, torch.randn(seen.mask.shape, generator=generator), 0.0)


def stepped(
    advantages: Tensor | None = None, *, seen: Experience | None = None, **options: Any
) -> tuple[Tensor, dict[str, float]]:
    """The weights after one step of plain descent with these options, and what was measured."""
    config = under(LOOSE, **options)
    learner, read = prepared(played(), config, "nothing")
    descend(learner, 0.1)
    seen = read if seen is None else seen
    given = random_advantages(seen) if advantages is None else advantages
    measured = update(learner, seen, given, config, CHANCE(0))
    return flat(learner.model), measured


OFF: dict[str, dict[str, Any]] = {
    "a bound on the ratio that nothing reaches": {"dual_clip": 100.0},
    "clips that nothing reaches": {"clip_low": 0.9, "clip_high": 9.0},
    "all tokens": {"entropy_share": 1.0 - 1e-9},
    "no token held": {"kl_covariance": 1e-9},
    "weights of one": {"positive": 1.0, "negative": 1.0},
    "no penalty": {"reference_kl": 0.0, "kl_in": "reward"},
    "no bonus": {"entropy_bonus": 0.0},
    "a target for later": {"target_entropy": 1.0},
    "normalised where it is spread": {"normalise": "standardise"},
}


@pytest.mark.parametrize("what", OFF)
def test_an_option_that_has_nothing_to_do_changes_no_bit(what: str):
    assert torch.equal(stepped(**OFF[what])[0], stepped()[0])


def test_a_share_that_leaves_out_no_token_leaves_advantages_as_they_are():
    _, seen = prepared(played(), LOOSE, "nothing")
    advantages = random_advantages(seen)
    given = advantages, seen.mask, seen.old_logprobs, seen.entropies, seen.sampled
    unmoved: list[dict[str, Any]] = [{}, {"clip_covariance": 1e-9, "kl_covariance": 1e-9}]
    for options in unmoved:
        same, held = weighted(*given, Objective(**options), CHANCE(0))
        assert torch.equal(same, advantages)
        assert held is None or not bool(held.any())


def by_option(seen: Experience, advantages: Tensor, name: str) -> Tensor:
    """The advantages that an option is to make, by the functions of algorithms/losses."""
    mask, logprobs = seen.mask, seen.old_logprobs
    if name == "entropy_share":
        kept = losses.high_entropy_mask(seen.entropies, mask, 0.3)
        assert int(kept.sum()) == np.ceil(0.3 * int(mask.sum()))
        return torch.where(kept, advantages, 0.0)
    if name == "clip_covariance":
        draws = torch.from_numpy(CHANCE(0).random(tuple(mask.shape)))
        kept = losses.covariance_mask(logprobs, advantages, mask, 0.1, draws)
        assert 0 < int((mask & ~kept).sum()) <= 0.1 * int(mask.sum())
        return torch.where(kept, advantages, 0.0)
    if name == "sampler_cap":
        weights = importance_weights(seen.sampled, logprobs, 1.5)
        assert weights.max() == 1.5 and weights[mask].min() < 1
        return advantages * weights
    return torch.where(advantages > 0, 0.25 * advantages, 3.0 * advantages)


WEIGHED: dict[str, dict[str, float]] = {
    "entropy_share": {"entropy_share": 0.3},
    "clip_covariance": {"clip_covariance": 0.1},
    "sampler_cap": {"sampler_cap": 1.5},
    "signs": {"positive": 0.25, "negative": 3.0},
}


@pytest.mark.parametrize("name", WEIGHED)
def test_an_option_weighs_tokens_and_leaves_the_count_as_it_is(name: str):
    _, seen = prepared(played(), LOOSE, "nothing")
    generator = torch.Generator().manual_seed(1)
    apart = torch.randn(seen.mask.shape, generator=generator)
    seen = replace(seen, sampled=seen.old_logprobs + apart)
    advantages = 3 * random_advantages(seen)
    expected = by_option(seen, advantages, name)
    assert not torch.equal(expected, advantages)
    got, _ = stepped(advantages, seen=seen, **WEIGHED[name])
    by_hand, _ = stepped(expected, seen=seen)
    # drawing for clip_covariance deals the rows in another order
    torch.testing.assert_close(got, by_hand, atol=1e-6, rtol=0)
    assert (got - stepped(advantages, seen=seen)[0]).abs().max() > 1e-4


@pytest.mark.parametrize("reduction", ["token", "turn", "episode"])
def test_a_held_token_weighs_in_the_mean_as_every_token_does(reduction: str):
    # all gradients come from the KL term: advantages are 0 and the policy has moved by 0.1
    _, seen = prepared(played(), LOOSE, "nothing")
    moved = replace(seen, old_logprobs=seen.old_logprobs - 0.1)
    held = losses.covariance_top(seen.old_logprobs, 0 * ones(seen), seen.mask, 0.2)
    assert 0 < held.sum() < seen.mask.sum()
    got, _ = stepped(0 * ones(seen), seen=moved, kl_covariance=0.2, reduction=reduction)
    # the gradient of x^2 / 2 is x, as if each held token had the advantage -x
    alike, _ = stepped(torch.where(held, -0.1, 0.0), reduction=reduction)
    torch.testing.assert_close(got, alike, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("shift", "sign", "options", "moves"),
    [
        (0.1, 1, {}, True),
        (0.1, 1, {"clip_high": 0.05}, False),
        (0.1, 1, {"clip_low": 0.05}, True),
        (0.1, -1, {"clip_high": 0.05}, True),
        (-0.1, -1, {}, True),
        (-0.1, -1, {"clip_low": 0.05}, False),
        (-0.1, -1, {"clip_high": 0.05}, True),
        (-0.1, 1, {"clip_low": 0.05}, True),
        (2.0, -1, {}, True),
        (2.0, -1, {"dual_clip": 3.0}, False),
        (1.0, -1, {"dual_clip": 3.0}, True),
    ],
)
def test_a_clip_stops_what_it_is_to_stop(
    shift: float, sign: int, options: dict[str, float], moves: bool
):
    _, seen = prepared(played(), LOOSE, "nothing")
    before = stepped(0 * ones(seen))[0]
    seen = replace(seen, old_logprobs=seen.old_logprobs - shift)  # the policy has moved by `shift`
    after, measured = stepped(ones(seen, sign), seen=seen, **options)
    assert torch.equal(after, before) != moves
    assert measured["loss/clip_fraction"] == (0.0 if moves else 1.0)
    assert measured["loss/ratio_max"] == approx(np.exp(shift), rel=1e-3)


def test_the_ratio_is_that_of_the_unit():
    _, seen = prepared(played(), LOOSE, "nothing")
    shifted = replace(seen, old_logprobs=seen.old_logprobs - 0.1)
    turns = [len(t.action.token_ids) for one in seen.episodes for t in one.turns]
    largest = {"token": 0.1, "turn": 0.1 * max(turns), "sequence": 0.1, "hybrid": 0.1}
    for ratio, log in largest.items():
        _, measured = stepped(seen=shifted, ratio=ratio, clip_high=0.2)
        assert measured["loss/ratio_max"] == approx(np.exp(log), rel=1e-3)
    assert max(turns) > 2


@pytest.mark.parametrize("reduction", ["token", "turn", "episode"])
def test_a_step_is_along_the_mean_that_the_reduction_names(reduction: str):
    config = under(LOOSE, reduction=reduction)
    learner, seen = prepared(played(), config, "nothing")
    advantages = random_advantages(seen)
    before = flat(learner.model)
    logprobs, _ = policy_logprobs(learner.model, seen.tokens)
    gains = logprobs * advantages
    turn = seen.tokens.turn_index
    means = []
    for row in range(len(seen.tokens)):
        of_row, said = gains[row], seen.mask[row]
        if reduction == "token":
            means += list(of_row[said])
        elif reduction == "episode":
            means.append(of_row[said].mean())
        else:
            means += [of_row[turn[row] == t].mean() for t in turn[row][said].unique()]
    slopes = torch.autograd.grad(torch.stack(means).mean(), list(learner.model.parameters()))
    expected = before + 0.1 * torch.cat([slope.flatten() for slope in slopes])
    got, measured = stepped(advantages, reduction=reduction)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)
    assert f"loss/policy_per_{reduction}" in measured
    assert count(seen.tokens, seen.mask, config.objective) == len(means)


def test_what_is_counted_has_a_trained_token():
    episodes = played(6)
    trained_ET = [np.arange(len(one.turns)) < (i % 3) for i, one in enumerate(episodes)]
    _, seen = prepared(episodes, LOOSE, "nothing", trained_turns_ET=trained_ET)
    chosen = [
        (i, len(turn.action.token_ids))
        for i, (one, trained_T) in enumerate(zip(episodes, trained_ET, strict=True))
        for turn, trained in zip(one.turns, trained_T, strict=True)
        if trained
    ]
    counts = {r: count(seen.tokens, seen.mask, Objective(reduction=r)) for r in REDUCTIONS}
    assert counts["token"] == sum(tokens for _, tokens in chosen)
    assert counts["turn"] == len(chosen)
    assert counts["episode"] == len({episode for episode, _ in chosen})
    assert set(seen.tokens.by_token(seen.mask.float(), 6)[0][0]) == {0.0}


REDUCTIONS: tuple[losses.Reduction, ...] = ("token", "turn", "episode")


def entropy(weights: Tensor) -> float:
    learner, seen = prepared(played(), LOOSE, "nothing")
    torch.nn.utils.vector_to_parameters(weights, learner.model.parameters())
    with torch.no_grad():
        return float(policy_logprobs(learner.model, seen.tokens)[1][seen.mask].mean())


def test_the_bonus_raises_the_entropy():
    _, seen = prepared(played(), LOOSE, "nothing")
    still, measured = stepped(0 * ones(seen))
    raised, _ = stepped(0 * ones(seen), entropy_bonus=1.0)
    assert measured["loss/entropy"] == approx(entropy(still), rel=1e-4)
    assert entropy(raised) > entropy(still) + 1e-4


@pytest.mark.parametrize("miss", [-0.5, 0.5])
def test_the_bonus_grows_below_the_target_and_shrinks_above_it(miss: float):
    now = stepped(ones(prepared(played())[1]))[1]["loss/entropy"]
    config = under(replace(LOOSE, learning_rate=0.0), target_entropy=now + miss, entropy_bonus=0.01)
    learner, seen = prepared(played(), config, "nothing")
    for past in (1, 2):
        update(learner, seen, ones(seen), config, CHANCE(0))
        assert learner.entropy_bonus == approx(0.01 * np.exp(0.1 * miss * past), rel=1e-4)


def test_the_bonus_stays_within_its_bounds_and_begins_at_the_smallest():
    for target, bound in ((500.0, LARGEST_BONUS), (1e-3, SMALLEST_BONUS)):
        config = under(replace(LOOSE, learning_rate=0.0), target_entropy=target)
        learner, seen = prepared(played(), config, "nothing")
        assert learner.entropy_bonus == 0.0
        update(learner, seen, ones(seen), config, CHANCE(0))
        assert learner.entropy_bonus == bound
    config = under(replace(LOOSE, learning_rate=0.0), entropy_bonus=0.02)
    learner, seen = prepared(played(), config, "nothing")
    update(learner, seen, ones(seen), config, CHANCE(0))
    assert learner.entropy_bonus == 0.02  # without a target it stays


@pytest.mark.parametrize(
    "wrong",
    [
        {"clip_low": 0.0},
        {"clip_low": 1.5},
        {"clip_high": -0.1},
        {"dual_clip": 1.0},
        {"entropy_bonus": -1.0},
        {"target_entropy": 0.0},
        {"reference_kl": -1.0},
        {"reference_kl": float("nan")},
        {"entropy_share": 0.0},
        {"clip_covariance": 1.0},
        {"kl_covariance": -0.1},
        {"positive": -1.0},
        {"negative": -1.0},
        {"sampler_cap": 0.5},
    ],
)
def test_an_objective_that_makes_no_sense_is_refused(wrong: dict[str, Any]):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"^{name} {value}; expected "):
        Objective(**wrong)
