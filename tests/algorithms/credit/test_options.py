"""Options credit: identities, numbers by hand, and the exact values of an enumerated SMDP."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from pytest import approx

from algorithms.credit import discounted_returns, gae
from algorithms.credit.options import (
    option_ends,
    option_gae,
    option_returns,
    option_rewards,
    option_starts,
    within_options_gae,
)
from lmenvs import make
from lmenvs.core import Snapshot, TextEnv
from lmenvs.exact import solve
from tests.support.chain import Chain

RNG = np.random.default_rng(0)
REWARDS = RNG.normal(size=9)
VALUES = RNG.normal(size=9)
DURATIONS = [3, 1, 4, 1]
DISCOUNT, LAM, END = 0.8, 0.6, 1.7


def test_decisions_of_one_turn_are_flat_credit():
    ones = [1] * 9
    assert option_rewards(REWARDS, ones, DISCOUNT) == approx(REWARDS)
    flat = gae(REWARDS, VALUES, DISCOUNT, LAM, END)
    assert option_gae(REWARDS, ones, VALUES, DISCOUNT, LAM, END) == approx(flat)


def test_returns_are_those_of_the_turns_in_which_decisions_are_made():
    flat = discounted_returns(REWARDS, DISCOUNT, END)
    found = option_returns(REWARDS, DURATIONS, DISCOUNT, END)
    assert found == approx(flat[option_starts(DURATIONS)])


def test_with_lambda_one_the_advantages_telescope_to_return_minus_value():
    values = VALUES[:4]
    found = option_gae(REWARDS, DURATIONS, values, DISCOUNT, 1.0, END)
    assert found == approx(option_returns(REWARDS, DURATIONS, DISCOUNT, END) - values)


def test_the_next_value_is_weighted_by_the_discount_of_all_turns_between():
    found = option_gae([0.0, 0.0, 0.0, 0.0], [3, 1], [0.0, 1.0], 0.5, 0.0)
    assert found == approx([0.5**3, -1.0])
    one_long = option_gae([0.0, 0.0, 0.0], [3], [0.0], 0.5, 0.9, bootstrap=8.0)
    assert one_long == approx([8.0 * 0.5**3])


def test_numbers_by_hand():
    # R = (1 + 0.5 * 2, 4); d = (2 + 0.25 * 3 - 1, 4 - 3); A_0 = 1.75 + 0.25 * 0.5 * 1
    found = option_gae([1.0, 2.0, 4.0], [2, 1], [1.0, 3.0], 0.5, 0.5)
    assert found == approx([1.875, 1.0])
    # within: turn 1: 2 + 0.5 * 3 - 0 = 3.5; turn 0: 1 + 0.5 * 0 - 0 + 0.5 * 3.5; turn 2: 4
    within = within_options_gae([1.0, 2.0, 4.0], [2, 1], [0.0] * 3, 0.5, 1.0, [3.0, 0.0])
    assert within == approx([2.75, 3.5, 4.0])


def test_one_subgoal_for_the_whole_episode_leaves_the_actor_flat_credit():
    flat = gae(REWARDS, VALUES, DISCOUNT, LAM, END)
    assert within_options_gae(REWARDS, [9], VALUES, DISCOUNT, LAM, [END]) == approx(flat)


def test_nothing_crosses_the_end_of_a_subgoal_but_its_value():
    ends = option_ends(VALUES[:4], END)
    changed = REWARDS.copy()
    changed[3:] += 5.0
    one, other = (
        within_options_gae(r, DURATIONS, VALUES, DISCOUNT, LAM, ends) for r in (REWARDS, changed)
    )
    assert one[:3] == approx(other[:3])
    assert np.abs(one[3:] - other[3:]).min() > 0.1


@pytest.mark.parametrize("durations", [[3, 1], [3, 6, 1], [9, 0], [-1, 10]])
def test_turns_that_belong_to_no_decision_are_refused(durations):
    with pytest.raises(ValueError, match="durations_J"):
        option_gae(REWARDS, durations, [0.0] * len(durations), DISCOUNT, LAM)


def test_values_that_are_not_one_per_decision_are_refused():
    with pytest.raises(ValueError, match="3 entries for 4 decisions"):
        option_gae(REWARDS, DURATIONS, [0.0] * 3, DISCOUNT, LAM)


def test_an_episode_without_turns_has_no_credit():
    assert len(option_gae([], [], [], DISCOUNT, LAM)) == 0
    assert len(within_options_gae([], [], [], DISCOUNT, LAM, [])) == 0


# ---- the SMDP that an actor makes of an environment, enumerated ---------------------------------


@dataclass(frozen=True)
class Scene:
    """An environment, its subgoals, and an actor that mostly does what its subgoal says."""

    env: TextEnv
    subgoals: tuple[str, ...]
    every: int

    def planner(self, key: str) -> dict[str, float]:
        weights = np.arange(1.0, len(self.subgoals) + 1) + len(key) % 3
        return dict(zip(self.subgoals, weights / weights.sum(), strict=True))

    def actor(self, subgoal: str, actions: list[str]) -> list[float]:
        likes = np.array([5.0 if subgoal in action else 1.0 for action in actions])
        return list(likes / likes.sum())


SCENES = {
    "DelayedKey": Scene(make("lmenvs/DelayedKey-v0?delay=2&keys=2").unwrapped, ("red", "blue"), 2),  # type: ignore[arg-type]
    "a chain of three doors": Scene(Chain(), ("wait", "right", "left"), 2),
}


@dataclass(frozen=True)
class Play:
    """One way on: its probability, and what happened."""

    chance: float
    keys_J: tuple[str, ...] = ()
    subgoals_J: tuple[str, ...] = ()
    durations_J: tuple[int, ...] = ()
    rewards_T: tuple[float, ...] = ()


def plays(scene: Scene, at: Snapshot, so_far: Play, lasted: int, turn: int) -> Iterator[Play]:
    """Every play from a state in which the last subgoal has been in force for `lasted` turns."""
    env = copy.deepcopy(scene.env)
    env.restore(at)
    if lasted == scene.every or not so_far.subgoals_J:
        key = f"{turn} {env.state_key()}"
        for subgoal, chance in scene.planner(key).items():
            decided = Play(
                so_far.chance * chance,
                (*so_far.keys_J, key),
                (*so_far.subgoals_J, subgoal),
                (*so_far.durations_J, 0),
                so_far.rewards_T,
            )
            yield from acted(scene, env, decided, 0, turn)
    else:
        yield from acted(scene, env, so_far, lasted, turn)


def acted(scene: Scene, env: TextEnv, so_far: Play, lasted: int, turn: int) -> Iterator[Play]:
    actions = env.admissible_actions() or []
    for action, chance in zip(actions, scene.actor(so_far.subgoals_J[-1], actions), strict=True):
        for probability, after, reward, terminated in env.outcomes(action):
            longer = Play(
                so_far.chance * chance * probability,
                so_far.keys_J,
                so_far.subgoals_J,
                (*so_far.durations_J[:-1], lasted + 1),
                (*so_far.rewards_T, reward),
            )
            if terminated:
                yield longer
            else:
                yield from plays(scene, after, longer, lasted + 1, turn + 1)


def every_play(scene: Scene) -> list[Play]:
    starts = scene.env.start_states()
    return [play for p, at in starts for play in plays(scene, at, Play(p), 0, 0)]


def expected(found: list[Play], numbers: list[np.ndarray]) -> dict[tuple[str, str], float]:
    """(key, subgoal) -> the mean over plays of the number at that decision."""
    sums: dict[tuple[str, str], np.ndarray] = {}
    for play, numbers_J in zip(found, numbers, strict=True):
        for key, subgoal, number in zip(play.keys_J, play.subgoals_J, numbers_J, strict=True):
            total = sums.setdefault((key, subgoal), np.zeros(2))
            total += play.chance * np.array([1.0, number])
    return {pair: total[1] / total[0] for pair, total in sums.items()}


def exact_values(scene: Scene, discount: float) -> tuple[dict[str, float], dict[str, float]]:
    """V and Q of the induced SMDP by recursion over states: no play, no return."""
    env = copy.deepcopy(scene.env)
    values: dict[str, float] = {}
    q: dict[str, float] = {}

    def value(at: Snapshot, turn: int) -> float:
        env.restore(at)
        key = f"{turn} {env.state_key()}"
        if key not in values:
            chances = scene.planner(key)
            worth = {g: held(at, turn, g, scene.every) for g in chances}
            q.update({f"{key}/{g}": number for g, number in worth.items()})
            values[key] = sum(p * worth[g] for g, p in chances.items())
        return values[key]

    def held(at: Snapshot, turn: int, subgoal: str, left: int) -> float:
        if left == 0:
            return value(at, turn)
        env.restore(at)
        actions = env.admissible_actions() or []
        outcomes = [env.outcomes(action) for action in actions]
        total = 0.0
        for chance, row in zip(scene.actor(subgoal, actions), outcomes, strict=True):
            for probability, after, reward, over in row:
                later = 0.0 if over else held(after, turn + 1, subgoal, left - 1)
                total += chance * probability * (reward + discount * later)
        return total

    for _, at in scene.env.start_states():
        value(at, 0)
    return values, q


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_the_mean_credit_of_a_decision_is_its_exact_value_in_the_smdp(name: str, discount: float):
    scene = SCENES[name]
    values, q = exact_values(scene, discount)
    found = every_play(scene)
    assert sum(play.chance for play in found) == approx(1.0)
    assert len({length for play in found for length in play.durations_J}) > 1
    returns = [option_returns(p.rewards_T, p.durations_J, discount) for p in found]
    assert {f"{k}/{g}": v for (k, g), v in expected(found, returns).items()} == approx(q)
    for lam in (0.0, 0.5, 1.0):  # exact values make every lambda right
        credit = [
            option_gae(p.rewards_T, p.durations_J, [values[k] for k in p.keys_J], discount, lam)
            for p in found
        ]
        truth = {pair: q["/".join(pair)] - values[pair[0]] for pair in expected(found, credit)}
        assert expected(found, credit) == approx(truth, abs=1e-9)


def test_under_one_constant_subgoal_the_smdp_has_the_values_of_lmenvs_exact():
    full = SCENES["a chain of three doors"]
    for subgoal in full.subgoals:
        scene = Scene(full.env, (subgoal,), full.every)
        solution = solve(scene.env, discount=0.7, policy=lambda _, a, g=subgoal: full.actor(g, a))
        values, _ = exact_values(scene, 0.7)
        assert values["0 0"] == approx(solution.start_value)
        found = every_play(scene)
        returns = [option_returns(p.rewards_T, p.durations_J, 0.7)[0] for p in found]
        assert np.dot([p.chance for p in found], returns) == approx(solution.start_value)
