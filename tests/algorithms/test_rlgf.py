from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.protocols import Policy
from agents.scripted import ExpertPolicy, NoisyPolicy, RandomPolicy
from algorithms import rlgf, rloo
from algorithms.demonstrated import own_turns
from algorithms.rlgf import Config, Way, credit, guided_groups, settled, way_now
from algorithms.trainer.objective import Objective
from algorithms.trainer.session import Session, open_session
from lmenvs.exact import solve
from lmenvs.types import Action, Episode, Turn
from tests.support.learners import assert_first_step_is_credit_times_slope, by_token
from tests.support.training import MICROWAVE, assert_same_run, metrics, start, weights

TINY: dict[str, Any] = {"iterations": 2, "groups": 4, "group_size": 3, "max_new_tokens": 8}
SIZE = 3


def opened(out: Path) -> Session:
    return open_session("rlgf", MICROWAVE, start(), out, Config(**TINY))


def groups(
    session: Session, way: Way, learner: Policy | None = None, guide: Policy | None = None
) -> list[Episode]:
    """Groups from eight tasks; by default the model learns and noisy expert play guides."""
    chance, guide = np.random.default_rng(3), guide or NoisyPolicy(ExpertPolicy(), 0.5)
    with session.sampler(0) as policy:
        tasks = np.arange(8)
        return guided_groups(session, learner or policy, guide, tasks, SIZE, way, chance)


def test_without_a_guide_it_is_rloo_to_the_last_bit(tmp_path: Path):
    shared: dict[str, Any] = {**TINY, "objective": Objective(reference_kl=0.1)}
    ours = rlgf.train(MICROWAVE, start(), tmp_path / "ours", Config(**shared, guided=0.0))
    plain = rloo.train(MICROWAVE, start(), tmp_path / "plain", rloo.Config(**shared))
    assert_same_run(ours, plain)


def test_what_the_guide_does_makes_another_run_and_is_paid_for(tmp_path: Path):
    moved: list[torch.Tensor] = []
    for method in ("ppo++", "aggrevated", "d2lols"):
        config = Config(**TINY, method=method)
        run = rlgf.train(MICROWAVE, start(), tmp_path / method, config)
        moved.append(torch.cat([weight.flatten() for weight in weights(run).values()]))
        for row in metrics(run):
            assert row["rollout/episodes"] == 6  # the policy's own from the start
            own = row["rollout/episodes"] * row["rollout/turns"]
            assert row["rollout/environment_turns"] > own + 6
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(moved[one], moved[other])


def test_all_groups_may_be_guided(tmp_path: Path):
    one: dict[str, Any] = {**TINY, "iterations": 1, "guided": 1.0}
    config = Config(**one, method="aggrevated")
    (row,) = metrics(rlgf.train(MICROWAVE, start(), tmp_path / "run", config))
    assert row["rollout/episodes"] == 12 and 0 <= row["guided/success"] <= 1


@pytest.mark.parametrize("way", ["ppo++", "aggrevated"])
def test_members_of_a_group_share_the_state_and_what_led_to_it(way: Way, tmp_path: Path):
    forks = groups(opened(tmp_path / "run"), way)
    assert set(Counter(fork.group for fork in forks).values()) == {SIZE}
    firsts = set[int]()
    for group in {fork.group for fork in forks}:
        members = [fork for fork in forks if fork.group == group]
        assert members[0].parent is not None
        first = members[0].parent[1]
        firsts.add(first)
        for one in members[1:]:
            assert one.turns[:first] == members[0].turns[:first]
            assert one.turns[first].state_key == members[0].turns[first].state_key
    assert len(firsts) > 1


@pytest.mark.parametrize("way", ["ppo++", "aggrevated"])
def test_only_what_the_policy_said_is_trained(way: Way, tmp_path: Path):
    forks = groups(opened(tmp_path / "run"), way)
    own_ET = [own_turns(fork) for fork in forks]
    for fork, own_T in zip(forks, own_ET, strict=True):
        # a guide, and an episode in words, say nothing of how likely it was
        assert all(turn.action.logprobs for turn, own in zip(fork.turns, own_T, strict=True) if own)
        if way == "aggrevated":
            assert own_T.tolist() == [*[False] * (len(own_T) - 1), True]
    assert not np.concatenate(own_ET).all()
    advantages_ET = credit(forks)
    assert np.abs(np.concatenate(advantages_ET)).max() > 0.2
    assert_first_step_is_credit_times_slope(forks, by_token(forks, advantages_ET), own_ET)


def test_a_turn_before_the_guides_is_worth_its_true_q_value(tmp_path: Path):
    # the guide opens, puts and closes; nothing is left to chance, so one play says all
    truth = solve(MICROWAVE, policy=lambda key, actions: [a == EXPERT[key] for a in actions])
    forks = groups(opened(tmp_path / "run"), "aggrevated", RandomPolicy(), ExpertPolicy())
    worths = set[float]()
    for fork in forks:
        (first,) = np.flatnonzero(own_turns(fork)).tolist()
        turn = fork.turns[first]
        assert turn.reward == truth.q(str(turn.state_key), turn.action.text, first)
        worths.add(turn.reward)
    assert worths == {-1.0, 1.0}


EXPERT = {
    "0": "open the microwave",
    "1": "put the pancake in the microwave",
    "2": "close the microwave",
}


def test_the_expected_credit_is_the_advantage_over_the_guide():
    # two actions of equal chance, worth q; a group of two: the mean over all four groups
    q = {"a": 3.0, "b": 1.0}
    seen: dict[str, list[float]] = {"a": [], "b": []}
    for one in "ab":
        for other in "ab":
            pair = [episode(q[one]), episode(q[other])]
            for said, advantages_T in zip((one, other), credit(pair), strict=True):
                seen[said].append(float(advantages_T[0]))
    assert np.mean(seen["a"]) == 3.0 - 2.0 and np.mean(seen["b"]) == 1.0 - 2.0


def episode(*rewards: float, parent: tuple[str, int] | None = None) -> Episode:
    turns = tuple(Turn("", Action(str(index)), reward) for index, reward in enumerate(rewards))
    return Episode("e", "e", 0, "all", "i", turns, "", False, True, False, "g", parent)


def test_the_guides_turns_are_folded_into_the_turn_before_them():
    fork = settled(episode(1, 2, 4, 8, parent=("trunk", 1)))
    assert [turn.reward for turn in fork.turns] == [1, 14]
    assert [turn.action.text for turn in fork.turns] == ["0", "1"]
    assert fork.terminated and not fork.truncated  # nothing is left to bootstrap


def test_when_which_part_is_the_guides():
    chance = np.random.default_rng(0)
    late = Config(method="d2lols", switch=0.5)
    assert [way_now(late, done, chance) for done in (0, 0.49, 0.5, 0.9)] == [
        *["aggrevated"] * 2,
        *["ppo++"] * 2,
    ]
    coins = Counter(way_now(Config(method="lols", switch=0.25), 0, chance) for _ in range(400))
    assert 70 < coins["ppo++"] < 130
    for way in ("ppo++", "aggrevated"):
        assert way_now(Config(method=way), 0.7, chance) == way


@pytest.mark.parametrize("wrong", [{"guided": 1.5}, {"switch": -0.1}])
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(Config(), **wrong)
