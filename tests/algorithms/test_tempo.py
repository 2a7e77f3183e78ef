import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms import grpo, tempo
from algorithms.tempo import Config, by_turn, credit, path_of
from lmenvs.types import Action, Episode, Turn, read_episodes
from tests.support.learners import assert_first_step_is_credit_times_slope, by_token
from tests.support.training import MICROWAVE, metrics, played, start

PLAIN = Config(scale="none")
TOKENS = Config(scale="none", step="token")


def episode(said: str, reward: float, *, seen: str = "", end: str = "", group: str = "g"):
    """One turn per letter of `said`, after the observations of `seen`, the reward at the end."""
    seen = seen or "." * len(said)
    turns = [
        Turn(o, Action(a, token_ids=(7, ord(a))), 0.0) for o, a in zip(seen, said, strict=True)
    ]
    turns[-1] = Turn(seen[-1], turns[-1].action, reward)
    return Episode("e", "e", 0, "all", "i", tuple(turns), end, True, False, False, group)


def lists(advantages_ET: list[np.ndarray]) -> list[list[float]]:
    return [advantages_T.tolist() for advantages_T in advantages_ET]


def test_credit_by_hand():
    # mean 2; V after l is 2, after lu 3, after ld 1, after r 2
    group = [episode("lu", 3), episode("ld", 1), episode("ru", 2)]
    assert lists(credit(group, PLAIN)) == [[1, 2], [-1, -2], [0, 0]]
    assert lists(credit(group, Config(scale="none", weight=0.5))) == [[1, 1.5], [-1, -1.5], [0, 0]]
    divided = credit(group, Config())  # their standard deviation is 1
    np.testing.assert_allclose(np.concatenate(divided), [1, 2, -1, -2, 0, 0], rtol=1e-5)


def test_by_token_the_shared_first_token_of_a_turn_earns_what_both_ways_do():
    group = [episode("lu", 3), episode("ld", 1), episode("ru", 2)]
    # all say 7 first; then l or r, and both of l's lead to 2; then 7 again, then u or d
    wanted = [[1, 1, 1, 2], [-1, -1, -1, -2], [0, 0, 0, 0]]
    assert lists(credit(group, TOKENS)) == wanted
    assert lists(by_turn(group[0], np.array(wanted[0]))) == [[1, 1], [1, 2]]


@pytest.mark.parametrize("scale", ["std", "none"])
def test_where_nothing_branches_it_is_grpo(scale: Any):
    # equal paths whose rewards come by chance
    group = [episode("lu", 3), episode("lu", 1), episode("lu", 2)]
    wanted = grpo.credit(group, grpo.Config(scale=scale))
    np.testing.assert_allclose(credit(group, Config(scale=scale)), wanted)


def test_without_its_correction_it_is_grpo():
    episodes = played(3, group_size=4)
    wanted = np.concatenate(grpo.credit(episodes, grpo.Config()))
    given = np.concatenate(credit(episodes, Config(weight=0.0)))
    np.testing.assert_allclose(given, wanted, atol=1e-12)
    assert np.abs(wanted).max() > 0.5


@pytest.mark.parametrize("config", [PLAIN, TOKENS])
def test_equal_actions_lead_apart_where_the_world_answers_differently(config: Config):
    alike = [episode("lu", 3, seen="oa"), episode("lu", 1, seen="oa")]
    apart = [episode("lu", 3, seen="oa"), episode("lu", 1, seen="ob")]
    ends = [episode("lu", 3, end="a"), episode("lu", 1, end="b")]
    assert credit(alike, config)[0].max() == 1
    assert credit(apart, config)[0].max() == credit(ends, config)[0].max() == 2
    # the answer belongs to the turn before it
    halfway = 1 if config.step == "turn" else 2
    assert credit(apart, config)[0].tolist() == [*[1] * (halfway - 1), 2, *[1] * halfway]
    assert credit(ends, config)[0].tolist() == [*[1] * (2 * halfway - 1), 2]


def test_trees_do_not_cross_groups():
    group = [episode("lu", 3), episode("ld", 1), episode("lu", 5, group="h")]
    assert lists(credit(group, PLAIN)) == [[1, 2], [-1, -2], [0, 0]]


def test_a_token_path_has_one_step_per_token():
    for one in played(4):
        assert len(path_of(one, "token")) == sum(len(turn.action.token_ids) for turn in one.turns)
        assert len(path_of(one, "turn")) == len(one.turns)


@pytest.mark.parametrize("step", ["turn", "token"])
def test_the_first_step_is_the_credits(step: Any):
    episodes, config = played(2, group_size=6), Config(scale="none", step=step)
    steps_E = credit(episodes, config)
    if step == "turn":
        advantages_ETL = by_token(episodes, steps_E)
    else:
        advantages_ETL = list(map(by_turn, episodes, steps_E))
    assert_first_step_is_credit_times_slope(episodes, advantages_ETL)


@pytest.mark.parametrize("step", ["turn", "token"])
def test_a_run_logs_the_credit_of_its_groups(step: Any, tmp_path: Path):
    config = Config(iterations=2, groups=2, group_size=4, max_new_tokens=8, step=step)
    run = tempo.train(MICROWAVE, start(), tmp_path / "run", config)
    episodes = list(read_episodes(run / "episodes.jsonl"))
    logged = [json.loads(line) for line in (run / "credit.jsonl").read_text().splitlines()]
    assert len(episodes) == len(logged) == 16
    for begin in (0, 8):
        group = episodes[begin : begin + 8]
        steps_E = credit(group, config)
        if step == "token":
            steps_E = [
                np.array([tokens_L.mean() for tokens_L in by_turn(*pair)])
                for pair in zip(group, steps_E, strict=True)
            ]
        for row, wanted in zip(logged[begin : begin + 8], steps_E, strict=True):
            np.testing.assert_allclose(row["advantages"], wanted, atol=1e-5)
    assert any(row["loss/grad_norm"] > 0 for row in metrics(run))
