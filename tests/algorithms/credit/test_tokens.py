"""Token-level credit: identities and slow references on random episodes, then numbers by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from pytest import approx

from algorithms.credit import discounted_returns, gae
from algorithms.credit.flattened import flattened_gae
from algorithms.credit.tokens import (
    action_decomposition_gae,
    bilevel_gae,
    dual_discount_gae,
    token_gae,
)

SEEDS = range(20)
# Every estimator as a function of (rewards, values, discount, lam, bootstrap) that is turn-level
# GAE where each turn is one token and each observation is empty.
ESTIMATORS: dict[str, Callable[..., list[np.ndarray]]] = {
    "token": token_gae,
    "action decomposition": action_decomposition_gae,
    "dual": lambda r, v, d, lam, b=0.0: dual_discount_gae(r, v, d, lam, 0.7, 0.6, b),
    "bilevel": lambda r, v, d, lam, b=0.0: bilevel_gae(r, v, d, 0.7, lam, b),
    "flattened": lambda r, v, d, lam, b=0.0: flattened_gae(r, v, [0] * len(r), d, lam, b),
}
every_estimator = pytest.mark.parametrize("estimate", ESTIMATORS.values(), ids=ESTIMATORS.keys())


def random_episode(seed: int, shortest: int = 1) -> tuple[np.ndarray, list[np.ndarray], float]:
    """Rewards, token values and a bootstrap value; one to six turns of up to five tokens."""
    generator = np.random.default_rng((seed, 21))
    turns = int(generator.integers(1, 7))
    values = [generator.normal(size=generator.integers(shortest, 6)) for _ in range(turns)]
    return generator.normal(size=turns), values, float(generator.normal())


def random_rates(seed: int, count: int) -> list[float]:
    return np.random.default_rng((seed, 22)).uniform(0.1, 1.0, size=count).tolist()


def flat(credit: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(credit)


def slow_gae(rewards, values, inside, between, bootstrap, observations=None) -> np.ndarray:
    """The recursion token by token, environment tokens written out; no turn may be empty."""
    stream = []  # (value, reward, discount, lam, is the policy's)
    for turn, values_L in enumerate(values):
        count = observations[turn] if observations else 0
        stream += [(values_L[0], 0.0, *between, False)] * count
        stream += [(value, 0.0, *inside, True) for value in values_L[:-1]]
        stream += [(values_L[-1], rewards[turn], *between, True)]
    advantage, next_value, advantages = 0.0, bootstrap, []
    for value, reward, discount, lam, chosen in reversed(stream):
        advantage = reward + discount * next_value - value + discount * lam * advantage
        next_value = value
        if chosen:
            advantages.insert(0, advantage)
    return np.array(advantages)


def slow_bilevel(rewards, values, turn_discount, token_discount, lam, bootstrap) -> np.ndarray:
    """Turn by turn from the end, each turn's tokens at once; no turn may be empty."""
    advantages, turn_advantage, next_last_value = [], 0.0, bootstrap
    for reward, values_L in zip(rewards[::-1], values[::-1], strict=True):
        last = values_L[-1]
        difference = reward + turn_discount * next_last_value - last
        turn_advantage = difference + turn_discount * lam * turn_advantage
        next_last_value = last
        token_advantage = turn_advantage
        advantages.insert(0, token_advantage)
        for place in reversed(range(len(values_L) - 1)):
            difference = token_discount * values_L[place + 1] - values_L[place]
            token_advantage = difference + token_discount * lam * token_advantage
            advantages.insert(0, token_advantage)
    return np.array(advantages)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_estimator_equals_its_slow_recursion(seed: int):
    rewards, values, end = random_episode(seed)
    discount, lam, token_discount, token_lam = random_rates(seed, 4)
    counts = np.random.default_rng((seed, 23)).integers(0, 6, size=len(rewards)).tolist()
    turn, token = (discount, lam), (token_discount, token_lam)
    assert flat(token_gae(rewards, values, *turn, end)) == approx(
        slow_gae(rewards, values, turn, turn, end)
    )
    assert flat(action_decomposition_gae(rewards, values, *turn, end)) == approx(
        slow_gae(rewards, values, (1.0, lam), turn, end)
    )
    assert flat(dual_discount_gae(rewards, values, *turn, *token, end)) == approx(
        slow_gae(rewards, values, token, turn, end)
    )
    assert flat(bilevel_gae(rewards, values, discount, token_discount, lam, end)) == approx(
        slow_bilevel(rewards, values, discount, token_discount, lam, end)
    )
    assert flat(flattened_gae(rewards, values, counts, *turn, end)) == approx(
        slow_gae(rewards, values, turn, turn, end, counts)
    )


@every_estimator
@pytest.mark.parametrize("seed", SEEDS)
def test_where_every_turn_is_one_token_every_estimator_is_turn_level_gae(seed: int, estimate):
    rewards, values, bootstrap = random_episode(seed)
    discount, lam = random_rates(seed, 2)
    firsts = [values_L[0] for values_L in values]
    credit = estimate(rewards, [[first] for first in firsts], discount, lam, bootstrap)
    assert flat(credit) == approx(gae(rewards, firsts, discount, lam, bootstrap))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_estimators_are_special_cases_of_one_another(seed: int):
    rewards, values, end = random_episode(seed, shortest=0)
    discount, lam = random_rates(seed, 2)
    token = flat(token_gae(rewards, values, discount, lam, end))
    decomposed = flat(action_decomposition_gae(rewards, values, discount, lam, end))
    assert flat(dual_discount_gae(rewards, values, discount, lam, discount, lam, end)) == approx(
        token
    )
    assert flat(dual_discount_gae(rewards, values, discount, lam, 1.0, lam, end)) == approx(
        decomposed
    )
    assert flat(bilevel_gae(rewards, values, discount, 1.0, 1.0, end)) == approx(
        flat(action_decomposition_gae(rewards, values, discount, 1.0, end))
    )
    no_observations = [0] * len(rewards)
    assert flat(flattened_gae(rewards, values, no_observations, discount, lam, end)) == approx(
        token
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_without_discount_action_decomposition_is_token_gae(seed: int):
    rewards, values, end = random_episode(seed, shortest=0)
    (lam,) = random_rates(seed, 1)
    decomposed = action_decomposition_gae(rewards, values, 1.0, lam, end)
    assert flat(decomposed) == approx(flat(token_gae(rewards, values, 1.0, lam, end)))


@pytest.mark.parametrize("seed", SEEDS)
def test_with_lambda_one_decomposed_and_bilevel_advantages_are_return_minus_value(seed: int):
    rewards, values, end = random_episode(seed)
    (discount,) = random_rates(seed, 1)
    returns = discounted_returns(rewards, discount, end)
    expected = np.concatenate([returns[k] - values_L for k, values_L in enumerate(values)])
    assert flat(action_decomposition_gae(rewards, values, discount, 1.0, end)) == approx(expected)
    assert flat(bilevel_gae(rewards, values, discount, 1.0, 1.0, end)) == approx(expected)


@every_estimator
@pytest.mark.parametrize("seed", SEEDS)
def test_with_lambda_one_and_no_discount_every_estimator_is_exact_for_any_values(
    seed: int, estimate
):
    rewards, values, end = random_episode(seed)
    if estimate is ESTIMATORS["dual"]:
        credit = dual_discount_gae(rewards, values, 1.0, 1.0, 1.0, 1.0, end)
    elif estimate is ESTIMATORS["bilevel"]:
        credit = bilevel_gae(rewards, values, 1.0, 1.0, 1.0, end)
    else:
        credit = estimate(rewards, values, 1.0, 1.0, end)
    returns = discounted_returns(rewards, 1.0, end)
    for turn, values_L in enumerate(values):
        assert credit[turn] == approx(returns[turn] - values_L)


@pytest.mark.parametrize("seed", SEEDS)
def test_action_decomposition_with_lambda_one_closes_the_gap_to_the_turn_level(seed: int):
    rewards, values, end = random_episode(seed)
    discount, turn_lam = random_rates(seed, 2)
    firsts = [values_L[0] for values_L in values]
    decomposed = action_decomposition_gae(rewards, values, discount, 1.0, end)
    assert [a[0] for a in decomposed] == approx(gae(rewards, firsts, discount, 1.0, end))
    # with lambda one inside turns alone, lambda between them may be anything
    dual = dual_discount_gae(rewards, values, discount, turn_lam, 1.0, 1.0, end)
    assert [a[0] for a in dual] == approx(gae(rewards, firsts, discount, turn_lam, end))


def test_the_gap_between_token_and_turn_level_by_hand():
    # the turn is worth 8 - 2 = 6; over three tokens the naive one gives the first .5*.5*8 - 2 = 0
    assert gae([8.0], [2.0], 0.5, 1.0).tolist() == [6.0]
    assert action_decomposition_gae([8.0], [[2.0, 2.0, 2.0]], 0.5, 1.0)[0].tolist() == [6.0] * 3
    assert token_gae([8.0], [[2.0, 2.0, 2.0]], 0.5, 1.0)[0].tolist() == [0.0, 2.0, 6.0]
    # one more token in the second turn and the first turn is worth half
    assert token_gae([0, 8], [[0], [0, 0]], 0.5, 1.0)[0].tolist() == [2.0]
    assert token_gae([0, 8], [[0], [0, 0, 0]], 0.5, 1.0)[0].tolist() == [1.0]


def test_two_turns_by_hand():
    rewards, values = [1.0, 2.0], [[1.0, 3.0], [2.0, 4.0]]
    # last turn, from its end: 2 + .5*4 - 4 = 0, then (4 - 2) + .5*0 = 2
    # first turn: 1 + .5*2 - 3 + .5*.5*2 = -.5, then (3 - 1) + .5*-.5 = 1.75
    credit = action_decomposition_gae(rewards, values, 0.5, 0.5, bootstrap=4.0)
    assert [a.tolist() for a in credit] == [[1.75, -0.5], [2.0, 0.0]]
    # naive: 0, then .5*4 - 2 = 0; 1 + .5*2 - 3 = -1, then .5*3 - 1 + .25*-1 = .25
    credit = token_gae(rewards, values, 0.5, 0.5, bootstrap=4.0)
    assert [a.tolist() for a in credit] == [[0.25, -1.0], [0.0, 0.0]]
    # turns, on the values 3 and 4: 2 + .5*4 - 4 = 0, then 1 + .5*4 - 3 = 0; inside them
    # (4 - 2) + .5*0 = 2 and (3 - 1) + .5*0 = 2
    credit = bilevel_gae(rewards, values, 0.5, 1.0, 0.5, bootstrap=4.0)
    assert [a.tolist() for a in credit] == [[2.0, 0.0], [2.0, 0.0]]


def test_dual_discounts_give_the_turn_before_last_what_verlog_says():
    # A = g * (l * r + (1 - l) * V_{last turn, 0}) - V: rates (g, l) between turns, (1, 1) inside
    credit = dual_discount_gae([0.0, 8.0], [[1.0, 2.0], [4.0, 7.0]], 0.5, 0.25, 1.0, 1.0)
    ahead = 0.5 * (0.25 * 8.0 + 0.75 * 4.0)
    assert credit[0].tolist() == [ahead - 1.0, ahead - 2.0]


@every_estimator
def test_a_turn_that_earned_nothing_is_still_a_turn(estimate):
    values = [[1.0, 2.0], [3.0], [1.0, 4.0]]
    nothing = estimate([1.0, 0.0, 4.0], values, 0.5, 0.5)
    almost_nothing = estimate([1.0, 1e-12, 4.0], values, 0.5, 0.5)
    assert flat(nothing) == approx(flat(almost_nothing), abs=1e-9)


def test_bilevel_keeps_a_turn_of_reward_zero_by_hand():
    # .5 * 4 - 1 in the first turn; seen as one turn of two tokens it would be 4 - 1
    assert flat(bilevel_gae([0, 4], [[1], [1]], 0.5, 1.0, 1.0)).tolist() == [1.0, 3.0]
    assert flat(bilevel_gae([4], [[1, 1]], 0.5, 1.0, 1.0)).tolist() == [3.0, 3.0]


@every_estimator
def test_a_truncated_episode_bootstraps_like_one_more_reward(estimate):
    rewards, values, end = random_episode(5)
    bootstrapped = estimate(rewards, values, 0.5, 0.5, end)
    rewarded = estimate([*rewards[:-1], rewards[-1] + 0.5 * end], values, 0.5, 0.5)
    assert flat(bootstrapped) == approx(flat(rewarded))
    assert np.abs(flat(bootstrapped) - flat(estimate(rewards, values, 0.5, 0.5))).max() > 0.01


@every_estimator
@pytest.mark.parametrize("seed", SEEDS)
def test_turns_without_tokens_keep_their_reward_and_their_place(seed: int, estimate):
    rewards, values, end = random_episode(seed, shortest=0)
    values = [values_L[:1] * 0.0 for values_L in values]
    credit = estimate(rewards, values, 0.8, 1.0, end)
    returns = discounted_returns(rewards, 0.8, end)
    for turn, values_L in enumerate(values):
        assert credit[turn].tolist() == approx([returns[turn]] * len(values_L))


@every_estimator
def test_a_turn_without_tokens_by_hand(estimate):
    # the silent turn's 4 joins the 1 before it, discounted once, and the 8 after it twice:
    # d_0 = 1 + .5*4 + .25*2 - 3 = .5, d_1 = 8 - 2; lambda passes once: A_0 = .5 + .25*.5*6
    credit = estimate([1.0, 4.0, 8.0], [[3.0], [], [2.0]], 0.5, 0.5)
    assert [a.tolist() for a in credit] == [[1.25], [], [6.0]]
    # first in the episode there is nobody to judge
    assert [a.tolist() for a in estimate([9.0, 1.0], [[], [0.0]], 0.5, 0.5)] == [[], [1.0]]
    # last, it carries the bootstrap one turn further: 1 + .5*4 + .25*8
    assert estimate([1.0, 4.0], [[0.0], []], 0.5, 0.5, 8.0)[0].tolist() == [5.0]
    assert [a.tolist() for a in estimate([1.0, 2.0], [[], []], 0.5, 0.5)] == [[], []]
    assert estimate([], [], 0.5, 0.5, 1.0) == []


@every_estimator
def test_the_arguments_are_left_as_they_were_and_the_results_are_the_callers_own(estimate):
    rewards, values, end = random_episode(7)
    before = rewards.tolist(), [values_L.tolist() for values_L in values]
    credit = estimate(rewards, values, 0.9, 0.9, end)
    assert [a.shape for a in credit] == [values_L.shape for values_L in values]
    kept = [a.copy() for a in credit[1:]]
    credit[0][:] = 99.0
    assert (rewards.tolist(), [values_L.tolist() for values_L in values]) == before
    assert all((a == b).all() for a, b in zip(credit[1:], kept, strict=True))


@every_estimator
def test_wrong_arguments_are_refused_in_one_line(estimate):
    with pytest.raises(ValueError, match="token values of 1 turns for 2 rewards; give one array"):
        estimate([1.0, 2.0], [[1.0]], 0.9, 0.9)
    with pytest.raises(ValueError, match=r"values_TL\[1\]\[0\] is nan"):
        estimate([1.0, 2.0], [[1.0], [float("nan")]], 0.9, 0.9)
    with pytest.raises(ValueError, match=r"values_TL\[0\] has shape \(1, 1\); expected one number"):
        estimate([1.0], [[[1.0]]], 0.9, 0.9)
    with pytest.raises(ValueError, match=r"rewards_T\[0\] is inf"):
        estimate([float("inf")], [[1.0]], 0.9, 0.9)
    with pytest.raises(ValueError, match="bootstrap is nan"):
        estimate([1.0], [[1.0]], 0.9, 0.9, float("nan"))
    with pytest.raises(ValueError, match=r"discount is 1\.5; expected a number from 0 to 1"):
        estimate([1.0], [[1.0]], 1.5, 0.9)
    with pytest.raises(ValueError, match=r"lam is -1"):
        estimate([1.0], [[1.0]], 0.9, -1)
