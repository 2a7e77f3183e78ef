"""With the policy's exact values, the advantage expected of every token is the true one: Q - V.

Bi-level GAE is the exception where tokens decide when a turn ends; that has a test of its own. All
sixteen episodes of two turns of two binary tokens are enumerated, under a random policy, with
random rewards that depend on everything written so far.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.flattened import flattened_gae
from algorithms.credit.macro import macro_action_gae
from algorithms.credit.tokens import (
    action_decomposition_gae,
    bilevel_gae,
    dual_discount_gae,
    token_gae,
)

Written = tuple[int, ...]
LENGTH, DEPTH = 2, 4  # tokens of a turn and of an episode
WRITTEN: list[Written] = [w for depth in range(DEPTH + 1) for w in product((0, 1), repeat=depth)]
generator = np.random.default_rng(41)
CHANCE = {w: dict(enumerate(generator.dirichlet([1.0, 1.0]))) for w in WRITTEN}
REWARD = {w: float(generator.normal()) for w in WRITTEN if len(w) in (LENGTH, DEPTH)}
NOISE = {w: float(generator.normal()) for w in WRITTEN}
AFTER_TRUNCATION = 0.7  # the exact value behind the last turn

Estimate = Callable[[list[float], list[list[float]]], list[np.ndarray]]


def action_value(written: Written, token: int, discount: float) -> float:
    """The return expected from here on, discounted once per finished turn."""
    after = (*written, token)
    ahead = AFTER_TRUNCATION if len(after) == DEPTH else value(after, discount)
    return REWARD[after] + discount * ahead if len(after) in (LENGTH, DEPTH) else ahead


def value(written: Written, discount: float) -> float:
    return sum(
        chance * action_value(written, token, discount) for token, chance in CHANCE[written].items()
    )


def expected_advantages(estimate: Estimate, values: dict[Written, float]) -> dict[Written, float]:
    """By what was written, its last token being the one judged."""
    totals = dict.fromkeys(WRITTEN[1:], 0.0)
    weights = dict.fromkeys(WRITTEN[1:], 0.0)
    for episode in product((0, 1), repeat=DEPTH):
        weight = float(np.prod([CHANCE[episode[:i]][episode[i]] for i in range(DEPTH)]))
        before = [values[episode[:i]] for i in range(DEPTH)]
        rewards = [REWARD[episode[:LENGTH]], REWARD[episode]]
        credit = np.concatenate(estimate(rewards, [before[:LENGTH], before[LENGTH:]]))
        for i in range(DEPTH):
            totals[episode[: i + 1]] += weight * credit[i]
            weights[episode[: i + 1]] += weight
    return {written: totals[written] / weights[written] for written in totals}


def truth(discount: float) -> dict[Written, float]:
    return {w: action_value(w[:-1], w[-1], discount) - value(w[:-1], discount) for w in WRITTEN[1:]}


def distance(estimate: Estimate, discount: float) -> float:
    exact = {written: value(written, discount) for written in WRITTEN if len(written) < DEPTH}
    found, right = expected_advantages(estimate, exact), truth(discount)
    return max(abs(found[written] - right[written]) for written in right)


END = AFTER_TRUNCATION
EXACT: dict[str, tuple[Estimate, float]] = {
    "token": (lambda r, v: token_gae(r, v, 1.0, 0.3, END), 1.0),
    "action decomposition": (lambda r, v: action_decomposition_gae(r, v, 0.8, 0.3, END), 0.8),
    "dual": (lambda r, v: dual_discount_gae(r, v, 0.8, 0.3, 1.0, 0.6, END), 0.8),
    "bilevel": (lambda r, v: bilevel_gae(r, v, 0.8, 1.0, 0.3, END), 0.8),
    "flattened": (lambda r, v: flattened_gae(r, v, [3, 4], 1.0, 0.3, END), 1.0),
    "macro": (lambda r, v: macro_action_gae(r, v, [[0, 1], [0, 1]], 1.0, 0.3, END), 1.0),
}
BIASED: dict[str, Estimate] = {
    "token": lambda r, v: token_gae(r, v, 0.8, 0.3, END),
    "dual": lambda r, v: dual_discount_gae(r, v, 0.8, 0.3, 0.9, 0.6, END),
    "bilevel": lambda r, v: bilevel_gae(r, v, 0.8, 0.9, 0.3, END),
    "flattened": lambda r, v: flattened_gae(r, v, [3, 4], 0.8, 0.3, END),
}


@pytest.mark.parametrize(("estimate", "discount"), EXACT.values(), ids=EXACT.keys())
def test_exact_values_make_the_estimator_exact_for_any_lambda(estimate: Estimate, discount: float):
    assert distance(estimate, discount) == approx(0.0, abs=1e-12)


@pytest.mark.parametrize("estimate", BIASED.values(), ids=BIASED.keys())
def test_a_discount_at_every_token_is_biased_even_with_the_exact_values_of_turns(
    estimate: Estimate,
):
    assert distance(estimate, 0.8) > 0.01


def test_one_macro_action_per_turn_is_exact_up_to_a_baseline_that_has_not_seen_the_token():
    exact = {written: value(written, 0.8) for written in WRITTEN if len(written) < DEPTH}
    labels = [[0, 0], [0, 0]]
    found = expected_advantages(lambda r, v: macro_action_gae(r, v, labels, 0.8, 0.3, END), exact)
    for written in WRITTEN[1:]:
        first = written[: (len(written) - 1) // LENGTH * LENGTH]
        baseline = exact[first]
        assert found[written] == approx(action_value(written[:-1], written[-1], 0.8) - baseline)


@pytest.mark.parametrize("name", ["action decomposition", "bilevel"])
def test_with_lambda_one_any_values_are_a_mere_baseline(name: str):
    estimate: Estimate = {
        "action decomposition": lambda r, v: action_decomposition_gae(r, v, 0.8, 1.0, END),
        "bilevel": lambda r, v: bilevel_gae(r, v, 0.8, 1.0, 1.0, END),
    }[name]
    found = expected_advantages(estimate, NOISE)
    for written in WRITTEN[1:]:
        right = action_value(written[:-1], written[-1], 0.8) - NOISE[written[:-1]]
        assert found[written] == approx(right)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_bilevel_is_biased_for_exact_values_where_a_token_may_end_the_turn(lam: float):
    # After one token that matters to nothing the policy says "wait" and earns 0, or "go on" and
    # earns 1, each with chance one half: values .5, .5 and, after "go", 1.
    plays = {"wait": ([0.0, 0.0], [[0.5], [0.5]]), "go on": ([0.0, 1.0], [[0.5], [0.5, 1.0]])}

    def mean_credit_of_the_first_token(estimate: Estimate) -> float:
        return 0.5 * sum(float(estimate(*play)[0][0]) for play in plays.values())

    bilevel = mean_credit_of_the_first_token(lambda r, v: bilevel_gae(r, v, 1.0, 1.0, lam))
    # "go on" shows the turn pass a 1 where "wait" shows it a .5: the first token gets .25 for luck
    assert bilevel == approx((1.0 - lam) / 4)
    decomposed = mean_credit_of_the_first_token(
        lambda r, v: action_decomposition_gae(r, v, 1.0, lam)
    )
    assert decomposed == approx(0.0)
