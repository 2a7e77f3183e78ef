"""Token-level estimators on a corridor whose actions are words of one or two tokens.

The environment is told tokens, so the exact values and the true gradient are those of tokens. With
a discount between turns, both are found by adding up the plays.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from pytest import approx

from algorithms import truth
from algorithms.credit import gae
from algorithms.credit.flattened import flattened_gae
from algorithms.credit.macro import macro_action_gae, ngram_macros, turn_macros
from algorithms.credit.tokens import (
    action_decomposition_gae,
    bilevel_gae,
    dual_discount_gae,
    token_gae,
)
from algorithms.truth import Floats, Play
from tests.support.chain import in_turns, lengths_of, turn_rewards
from tests.support.enumeration import CHAIN, Batch, documented_bias, exactly, expected, scene

TokenCredit = Callable[[list[float], list[np.ndarray]], Sequence[np.ndarray]]
LAMBDAS = (0.0, 0.5, 0.95)
OBSERVED = (7, 2, 5)  # environment tokens before each turn


def flat_credit(credit: TokenCredit, value_of: Callable[[Play], Floats]) -> Floats:
    """The expected gradient of token credit with these values before the tokens of a play."""

    def of_batch(batch: Batch) -> list[np.ndarray]:
        return [
            np.concatenate(credit(turn_rewards(play), in_turns(play, value_of(play))))
            for play in batch.plays
        ]

    return expected(scene(CHAIN), scene(CHAIN).alone, of_batch)


def bias_of(credit: TokenCredit, value_of: Callable[[Play], Floats]) -> tuple[float, float]:
    """The cosine to the true gradient, and the relative error |g - true| / |true|."""
    found, true = flat_credit(credit, value_of), scene(CHAIN).gradient
    return truth.cosine(found, true), float(np.linalg.norm(found - true) / np.linalg.norm(true))


def wrong_values(play: Play) -> Floats:
    """They have seen what was said before the token, and nothing else."""
    places = truth.places_of(scene(CHAIN).table, [play])
    return 3.0 * np.sin(np.cumsum(places) - places + np.arange(len(places)))


def exact_values(play: Play) -> Floats:
    return truth.true_values(scene(CHAIN).solution, play)


def no_values(play: Play) -> Floats:
    return np.zeros(len(play.keys_T))


def discounts_of(play: Play, discount: float) -> Floats:
    """The weight of each token's turn: discount ** turn."""
    turns = np.repeat(np.arange(len(lengths_of(play))), lengths_of(play))
    return np.power(discount, turns, dtype=np.float64)


def values_discounted_by_turn(discount: float) -> Callable[[Play], Floats]:
    """The mean of what follows each prefix, seen from the turn it is in."""
    seen: dict[str, float] = {}
    earned: dict[str, float] = {}
    for play in scene(CHAIN).alone.plays:
        weights = discounts_of(play, discount)
        to_go = np.cumsum((weights * play.rewards_T)[::-1])[::-1] / weights
        for key, value in zip(play.keys_T, to_go, strict=True):
            seen[key] = seen.get(key, 0.0) + play.probability
            earned[key] = earned.get(key, 0.0) + play.probability * value
    return lambda play: np.array([earned[key] / seen[key] for key in play.keys_T])


def gradient_discounted_by_turn(discount: float) -> Floats:
    """That of the mean discounted return: each play's return times its score."""

    def credit(batch: Batch) -> list[np.ndarray]:
        return [
            np.full(len(play.rewards_T), discounts_of(play, discount) @ play.rewards_T)
            for play in batch.plays
        ]

    return expected(scene(CHAIN), scene(CHAIN).alone, credit)


def turn_gae(rewards_T: list[float], values_TL: list[np.ndarray], lam: float) -> list[np.ndarray]:
    advantages_T = gae(rewards_T, [values_L[0] for values_L in values_TL], 1.0, lam)
    pairs = zip(advantages_T, values_TL, strict=True)
    return [np.full(len(values_L), advantage) for advantage, values_L in pairs]


def macros(
    rewards_T: list[float], values_TL: list[np.ndarray], lam: float, n: int, discount: float = 1.0
):
    lengths_T = [len(values_L) for values_L in values_TL]
    macros_TL = ngram_macros(lengths_T, n) if n else turn_macros(lengths_T)
    return macro_action_gae(rewards_T, values_TL, macros_TL, discount, lam)


def flattened(rewards_T: list[float], values_TL: list[np.ndarray], lam: float):
    return flattened_gae(rewards_T, values_TL, OBSERVED[: len(rewards_T)], 1.0, lam)


UNDISCOUNTED: dict[str, Callable[[float], TokenCredit]] = {
    "token": lambda lam: lambda r, v: token_gae(r, v, 1.0, lam),
    "action decomposition": lambda lam: lambda r, v: action_decomposition_gae(r, v, 1.0, lam),
    "dual discount": lambda lam: lambda r, v: dual_discount_gae(r, v, 1.0, lam, 1.0, lam),
    "bi-level": lambda lam: lambda r, v: bilevel_gae(r, v, 1.0, 1.0, lam),
    "turn": lambda lam: partial(turn_gae, lam=lam),
    "macro of one": lambda lam: partial(macros, lam=lam, n=1),
    "macro of a turn": lambda lam: partial(macros, lam=lam, n=0),
    "flattened": lambda lam: partial(flattened, lam=lam),
}
every = pytest.mark.parametrize("credit", UNDISCOUNTED.values(), ids=UNDISCOUNTED)


@every
def test_lambda_one_is_exact_for_any_values_that_have_not_seen_the_token(
    credit: Callable[[float], TokenCredit],
):
    assert flat_credit(credit(1.0), wrong_values) == exactly(scene(CHAIN).gradient)


@pytest.mark.parametrize("name", [name for name in UNDISCOUNTED if name != "bi-level"])
@pytest.mark.parametrize("lam", LAMBDAS)
def test_any_lambda_is_exact_for_the_true_values(name: str, lam: float):
    assert flat_credit(UNDISCOUNTED[name](lam), exact_values) == exactly(scene(CHAIN).gradient)


BIASED: dict[str, tuple[TokenCredit, Callable[[Play], Floats]]] = {
    "token, lambda 0.95, values 0": (UNDISCOUNTED["token"](0.95), no_values),
    "action decomposition, lambda 0.95, values 0": (
        UNDISCOUNTED["action decomposition"](0.95),
        no_values,
    ),
    "bi-level, lambda 0.95, values 0": (UNDISCOUNTED["bi-level"](0.95), no_values),
    "bi-level, lambda 0.95, true values": (UNDISCOUNTED["bi-level"](0.95), exact_values),
    "bi-level, lambda 0, true values": (UNDISCOUNTED["bi-level"](0.0), exact_values),
    "token, discount 0.9": (lambda r, v: token_gae(r, v, 0.9, 1.0), no_values),
    "dual discount, token_discount 0.9": (
        lambda r, v: dual_discount_gae(r, v, 1.0, 1.0, 0.9, 1.0),
        no_values,
    ),
    "dual discount, turn_lam 0.95, values 0": (
        lambda r, v: dual_discount_gae(r, v, 1.0, 0.95, 1.0, 1.0),
        no_values,
    ),
    "bi-level, token_discount 0.9": (lambda r, v: bilevel_gae(r, v, 1.0, 0.9, 1.0), no_values),
    "macro of two, discount 0.9": (partial(macros, lam=1.0, n=2, discount=0.9), no_values),
    "macro of two, lambda 0.95, values 0": (partial(macros, lam=0.95, n=2), no_values),
    "action decomposition, discount 0.9": (
        lambda r, v: action_decomposition_gae(r, v, 0.9, 1.0),
        no_values,
    ),
    "flattened, lambda 0.95, values 0": (UNDISCOUNTED["flattened"](0.95), no_values),
    "flattened, discount 0.9": (
        lambda r, v: flattened_gae(r, v, OBSERVED[: len(r)], 0.9, 1.0),
        no_values,
    ),
}
# fmt: off
BIASES = {  # (cosine, relative error)
    "token, lambda 0.95, values 0": (0.9983, 0.068),
    "action decomposition, lambda 0.95, values 0": (0.9983, 0.068),
    "bi-level, lambda 0.95, values 0": (0.9989, 0.057),
    "bi-level, lambda 0.95, true values": (0.9999, 0.012),
    "bi-level, lambda 0, true values": (0.9585, 0.305),
    "token, discount 0.9": (0.9931, 0.134),
    "action decomposition, discount 0.9": (0.9966, 0.082),
    "dual discount, token_discount 0.9": (0.9957, 0.109),
    "dual discount, turn_lam 0.95, values 0": (0.9991, 0.042),
    "bi-level, token_discount 0.9": (0.9930, 0.126),
    "macro of two, discount 0.9": (0.9966, 0.082),
    "macro of two, lambda 0.95, values 0": (0.9991, 0.042),
    "flattened, lambda 0.95, values 0": (0.9845, 0.177),
    "flattened, discount 0.9": (0.9526, 0.305),
}
# fmt: on


@pytest.mark.parametrize("name", BIASED)
def test_the_bias_is_the_recorded_one(name: str):
    assert bias_of(*BIASED[name]) == approx(BIASES[name], abs=6e-4)


DOCUMENTED: dict[Callable[..., object], tuple[str, ...]] = {
    token_gae: ("token, discount 0.9", "token, lambda 0.95, values 0"),
    action_decomposition_gae: (
        "action decomposition, discount 0.9",
        "action decomposition, lambda 0.95, values 0",
    ),
    dual_discount_gae: (
        "dual discount, token_discount 0.9",
        "dual discount, turn_lam 0.95, values 0",
    ),
    bilevel_gae: (
        "bi-level, token_discount 0.9",
        "bi-level, lambda 0.95, true values",
        "bi-level, lambda 0.95, values 0",
    ),
    flattened_gae: ("flattened, discount 0.9", "flattened, lambda 0.95, values 0"),
    macro_action_gae: ("macro of two, discount 0.9", "macro of two, lambda 0.95, values 0"),
}


@pytest.mark.parametrize("estimator", DOCUMENTED)
def test_a_biased_estimators_docstring_says_how_much(estimator: Callable[..., object]):
    assert documented_bias(estimator) == [BIASES[name] for name in DOCUMENTED[estimator]]


def test_bi_level_gae_needs_lambda_one_as_which_token_is_the_last_depends_on_what_it_says():
    """It bootstraps from the value before the next turn's last token.

    Of a turn of one token this is the value before the word is known, of a turn of two that after
    its first: on average it is not the next turn's value, though every one of them is true.
    """
    of = scene(CHAIN)
    seconds = [
        (play.probability, in_turns(play, exact_values(play))[1][-1])
        for play in of.alone.plays
        if len(lengths_of(play)) > 1
    ]
    mean = sum(chance * value for chance, value in seconds) / sum(chance for chance, _ in seconds)
    assert abs(mean - of.solution.value("1")) > 0.03
    assert bias_of(*BIASED["bi-level, lambda 0, true values"])[1] > 0.3


@every
@pytest.mark.parametrize("lam", LAMBDAS)
def test_a_smaller_lambda_is_biased_for_wrong_values(
    credit: Callable[[float], TokenCredit], lam: float
):
    found = flat_credit(credit(lam), wrong_values)
    assert np.abs(found - scene(CHAIN).gradient).max() > 0.01


DISCOUNT = 0.8
DISCOUNTED: dict[str, Callable[[float], TokenCredit]] = {
    "action decomposition": lambda lam: lambda r, v: action_decomposition_gae(r, v, DISCOUNT, lam),
    "dual discount": lambda lam: lambda r, v: dual_discount_gae(r, v, DISCOUNT, lam, 1.0, 1.0),
    "bi-level": lambda lam: lambda r, v: bilevel_gae(r, v, DISCOUNT, 1.0, lam),
}


def weighted(credit: TokenCredit) -> TokenCredit:
    return lambda r, v: [DISCOUNT**turn * a for turn, a in enumerate(credit(r, v))]


@pytest.mark.parametrize("name", DISCOUNTED)
def test_a_discount_between_turns_is_exact_with_the_weight_of_the_turn(name: str):
    found = flat_credit(weighted(DISCOUNTED[name](1.0)), wrong_values)
    assert found == exactly(gradient_discounted_by_turn(DISCOUNT))


@pytest.mark.parametrize("name", ["action decomposition", "dual discount"])
def test_a_discount_between_turns_is_exact_with_any_lambda_for_its_true_values(name: str):
    credit, true = weighted(DISCOUNTED[name](0.5)), gradient_discounted_by_turn(DISCOUNT)
    assert flat_credit(credit, values_discounted_by_turn(DISCOUNT)) == exactly(true)
    assert np.abs(flat_credit(credit, wrong_values) - true).max() > 0.01


def test_a_discount_at_every_token_is_exact_for_tokens_and_favours_turns_of_few():
    of = scene(CHAIN)

    def by_token(rewards_T: list[float], values_TL: list[np.ndarray]) -> list[np.ndarray]:
        flat = np.concatenate(token_gae(rewards_T, values_TL, DISCOUNT, 1.0))
        lengths_T = [len(values_L) for values_L in values_TL]
        weighted_by_token = flat * DISCOUNT ** np.arange(len(flat))
        return np.split(weighted_by_token, np.cumsum(lengths_T)[:-1])

    by_tokens = truth.true_gradient(of.env, of.policy, DISCOUNT)
    assert flat_credit(by_token, wrong_values) == exactly(by_tokens)
    # `wait` has one token and the other words have two, each of which costs a fifth
    wait = of.table.places["0", "wait"]
    assert by_tokens[wait] > gradient_discounted_by_turn(DISCOUNT)[wait] + 0.005
