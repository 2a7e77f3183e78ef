"""What holds for every estimator of algorithms.credit, each called as a trainer would call it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from pytest import approx

from algorithms import credit, gigpo, grpo, rloo, stratified_grpo
from lmenvs.types import Action, Episode, Turn

SEEDS = range(5)


@dataclass(frozen=True)
class Plays:
    """Ragged episodes: rewards, values and what tells their turns apart, for every estimator."""

    rewards_ET: list[np.ndarray]
    values_ETL: list[list[np.ndarray]]
    keys_ET: list[list[str]]
    groups_E: list[str]
    bootstraps_E: list[float]

    @property
    def returns_E(self) -> list[float]:
        return [float(rewards_T.sum()) for rewards_T in self.rewards_ET]

    @property
    def turns_E(self) -> list[int]:
        return list(map(len, self.rewards_ET))


def plays(seed: int, truncated: bool = False) -> Plays:
    """Twelve episodes of three tasks; half of all rewards are 0."""
    chance = np.random.default_rng((seed, 77))
    turns_E = chance.integers(1, 6, size=12)
    rewards_ET = [chance.normal(size=t) * (chance.random(t) < 0.5) for t in turns_E]
    tokens_ET = [chance.integers(1, 4, size=t) for t in turns_E]
    values_ETL = [[chance.normal(size=n) for n in tokens_T] for tokens_T in tokens_ET]
    keys_ET = [[f"s{key}" for key in chance.integers(0, 4, size=t)] for t in turns_E]
    groups_E = [f"task {index % 3}" for index in range(12)]
    bootstraps_E = chance.normal(size=12) if truncated else np.zeros(12)
    for array in (*rewards_ET, *(values_L for values_TL in values_ETL for values_L in values_TL)):
        array.setflags(write=False)  # whoever writes to what it is given is stopped at once
    return Plays(rewards_ET, values_ETL, keys_ET, groups_E, bootstraps_E.tolist())


def numbered(given: Plays) -> list[list[str]]:
    """States that no play visits twice: one play is then nothing to compare with, in itself."""
    return [[f"s{turn}" for turn in range(turns)] for turns in given.turns_E]


PerTurn = Callable[[Plays], Sequence[np.ndarray]]
PerToken = Callable[[Plays], Sequence[Sequence[np.ndarray]]]


def whole(estimate: Callable[[Plays], np.ndarray]) -> PerTurn:
    return lambda given: credit.spread(estimate(given), given.turns_E)


def unit(returns_E: list[float]) -> np.ndarray:
    """Squeezed into [0, 1] by a fixed map, so that equal returns stay equal."""
    return 1 / (1 + np.exp(-np.array(returns_E)))


GROUPS: dict[str, PerTurn] = {
    "group_relative": whole(lambda p: credit.group_relative(p.returns_E, p.groups_E)),
    "group_relative, no std": whole(
        lambda p: credit.group_relative(p.returns_E, p.groups_E, "none")
    ),
    "leave_one_out": whole(lambda p: credit.leave_one_out(p.returns_E, p.groups_E)),
    "beta_normalised": whole(lambda p: credit.beta_normalised(unit(p.returns_E), p.groups_E)),
    "stratified": whole(
        lambda p: credit.stratified(p.returns_E, p.groups_E, [t % 2 for t in p.turns_E], 0.5)
    ),
    "group_in_group": lambda p: credit.group_in_group(p.rewards_ET, p.keys_ET, p.groups_E, 0.9),
    "turn_leave_one_out": lambda p: credit.turn_leave_one_out(p.rewards_ET, p.groups_E),
    "turn_index_normalised": lambda p: credit.turn_index_normalised(p.rewards_ET, p.groups_E),
    "prefix_tree": lambda p: credit.prefix_tree(p.returns_E, p.keys_ET, p.groups_E),
    "phase_factored": lambda p: credit.phase_factored(
        [{key: r for key in k_T} for r, k_T in zip(p.returns_E, p.keys_ET, strict=True)],
        p.keys_ET,
        p.groups_E,
    ),
    "sibling_relative": whole(lambda p: credit.sibling_relative(p.returns_E, p.groups_E)),
}


# they compare with no other play of the group
ALONE: dict[str, PerTurn] = {
    "discounted_returns": lambda p: [
        credit.discounted_returns(r, 0.9, b)
        for r, b in zip(p.rewards_ET, p.bootstraps_E, strict=True)
    ],
    "identical_credit": lambda p: credit.identical_credit(p.returns_E, p.turns_E),
    "greedy_baseline": whole(lambda p: credit.greedy_baseline(p.returns_E, p.bootstraps_E)),
    "segment_advantages": lambda p: credit.segment_advantages(
        [[values_L[0] for values_L in values_TL] for values_TL in p.values_ETL], p.returns_E
    ),
    "tracked_advantages": whole(
        lambda p: credit.tracked_advantages(unit(p.returns_E), p.groups_E, {"task 0": (2.0, 6.0)})
    ),
    "pivotal": lambda p: credit.pivotal(p.rewards_ET, [t // 2 for t in p.turns_E]),
}
TURNS = {**GROUPS, **ALONE}


def each(
    estimate: Callable[[np.ndarray, list[np.ndarray], float], Sequence[np.ndarray]],
) -> PerToken:
    return lambda p: [
        estimate(r, v, b)
        for r, v, b in zip(p.rewards_ET, p.values_ETL, p.bootstraps_E, strict=True)
    ]


def macros(r: np.ndarray, v: list[np.ndarray], b: float) -> Sequence[np.ndarray]:
    return credit.macro_action_gae(r, v, credit.ngram_macros(list(map(len, v)), 2), 1.0, 1.0, b)


# lambda 1 and no discount, so that what each of them adds up can be said in one line
CRITICS: dict[str, PerToken] = {
    "token_gae": each(lambda r, v, b: credit.token_gae(r, v, 1.0, 1.0, b)),
    "action_decomposition_gae": each(
        lambda r, v, b: credit.action_decomposition_gae(r, v, 1.0, 1.0, b)
    ),
    "dual_discount_gae": each(
        lambda r, v, b: credit.dual_discount_gae(r, v, 1.0, 1.0, 1.0, 1.0, b)
    ),
    "bilevel_gae": each(lambda r, v, b: credit.bilevel_gae(r, v, 1.0, 1.0, 1.0, b)),
    "flattened_gae": each(lambda r, v, b: credit.flattened_gae(r, v, [3] * len(r), 1.0, 1.0, b)),
    "macro_action_gae": each(macros),
    "gae": each(
        lambda r, v, b: [
            np.full(len(tokens), advantage)
            for tokens, advantage in zip(
                v, credit.gae(r, [tokens[0] for tokens in v], 1.0, 1.0, b), strict=True
            )
        ]
    ),
}
FIRST_ONLY = ("gae",)  # judge a turn by the value before its first token


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_turn_has_a_number_whatever_it_earned(name: str, seed: int):
    given = plays(seed)
    advantages_ET = TURNS[name](given)
    assert [len(a) for a in advantages_ET] == given.turns_E
    assert all(np.isfinite(a).all() for a in advantages_ET)


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_of_one_gives_zero(name: str):
    given = plays(0)
    alone = replace(given, groups_E=[f"task {e}" for e in range(12)], keys_ET=numbered(given))
    assert all((advantages_T == 0.0).all() for advantages_T in GROUPS[name](alone))


@pytest.mark.parametrize("name", GROUPS)
def test_equal_plays_give_zero(name: str):
    given = plays(0)
    same = Plays(
        [given.rewards_ET[0]] * 12,
        [given.values_ETL[0]] * 12,
        [numbered(given)[0]] * 12,
        ["task"] * 12,
        [0.0] * 12,
    )
    assert len(given.rewards_ET[0]) > 1
    for advantages_T in GROUPS[name](same):
        assert advantages_T == approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_episodes_does_not_matter(name: str, seed: int):
    given = plays(seed)
    order = np.random.default_rng(seed).permutation(12)
    shuffled = Plays(
        [given.rewards_ET[i] for i in order],
        [given.values_ETL[i] for i in order],
        [given.keys_ET[i] for i in order],
        [given.groups_E[i] for i in order],
        [given.bootstraps_E[i] for i in order],
    )
    plain, other = TURNS[name](given), TURNS[name](shuffled)
    for index, place in enumerate(order):
        assert other[index] == approx(plain[place], abs=1e-9)


@pytest.mark.parametrize("name", CRITICS)
@pytest.mark.parametrize("truncated", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_with_lambda_one_a_token_gets_what_follows_less_its_value_zero_rewards_included(
    name: str, truncated: bool, seed: int
):
    given = plays(seed, truncated)
    for e, advantages_TL in enumerate(CRITICS[name](given)):
        for t, advantages_L in enumerate(advantages_TL):
            ahead = given.rewards_ET[e][t:].sum() + given.bootstraps_E[e]
            values_L = given.values_ETL[e][t]
            if name in FIRST_ONLY:
                values_L = np.full(len(values_L), values_L[0])
            if name == "macro_action_gae":  # pairs of tokens, judged before the first
                values_L = values_L[np.arange(len(values_L)) // 2 * 2]
            assert advantages_L == approx(ahead - values_L)


@pytest.mark.parametrize("name", CRITICS)
def test_only_a_truncated_end_is_worth_something(name: str):
    ended, cut = plays(2), replace(plays(2), bootstraps_E=[1.0] * 12)
    for one, other in zip(CRITICS[name](ended), CRITICS[name](cut), strict=True):
        for mine_L, theirs_L in zip(one, other, strict=True):
            assert theirs_L - mine_L == approx(np.ones(len(mine_L)))


@pytest.mark.parametrize("seed", SEEDS)
def test_inputs_are_never_written_to(seed: int):
    given, before = plays(seed, True), plays(seed, True)
    of_turns = [a for estimate in TURNS.values() for a in estimate(given)]
    of_tokens = [a for estimate in CRITICS.values() for a_TL in estimate(given) for a in a_TL]
    for advantages in (*of_turns, *of_tokens):
        advantages += 1.0  # what comes out is the caller's
    for mine, theirs in zip(given.rewards_ET, before.rewards_ET, strict=True):
        assert mine.tolist() == theirs.tolist()
    for mine, theirs in zip(given.values_ETL, before.values_ETL, strict=True):
        assert [v.tolist() for v in mine] == [v.tolist() for v in theirs]


# what turns returns into rates makes a finite one of every other reward
RATES = ("beta_normalised", "tracked_advantages")
BROKEN = [(name, np.nan) for name in RATES] + [
    (name, reward)
    for name in (*TURNS, *CRITICS)
    if name not in RATES
    for reward in (np.nan, np.inf, -np.inf, 1e200)
]


@pytest.mark.parametrize(("name", "reward"), BROKEN)
def test_a_reward_that_nothing_can_be_made_of_is_refused_by_every_estimator(
    name: str, reward: float
):
    given = plays(0)
    broken_T = np.array([*given.rewards_ET[1][:-1], reward])
    broken = replace(given, rewards_ET=[given.rewards_ET[0], broken_T, *given.rewards_ET[2:]])
    episode = "" if name in {*CRITICS, "discounted_returns"} else r"(\[1\]|episode 1)"
    with pytest.raises(ValueError, match=rf"{episode}.*{re.escape(str(reward))}.*, leave out"):
        {**TURNS, **CRITICS}[name](broken)


def episodes(words: int) -> list[Episode]:
    """The same plays, with observations of so many words."""
    found: list[Episode] = []
    for index, rewards_T in enumerate(plays(3).rewards_ET):
        turns = tuple(
            Turn("seen " * words, Action(f"say {t}"), float(r), state_key=f"s{t % 2}")
            for t, r in enumerate(rewards_T)
        )
        group = f"task {index % 3}"
        found.append(
            Episode(f"e{index}", "env", 0, "all", "i", turns, "", True, False, False, group)
        )
    return found


@pytest.mark.parametrize("algorithm", [grpo, rloo, gigpo, stratified_grpo])
def test_how_long_observations_are_does_not_matter(algorithm):
    config = algorithm.Config()
    short, long = (algorithm.credit(episodes(words), config) for words in (1, 500))
    assert [a.tolist() for a in short] == [a.tolist() for a in long]
