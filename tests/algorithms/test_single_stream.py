from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from algorithms import single_stream
from algorithms.single_stream import (
    Config,
    as_read,
    credit,
    divergences,
    return_bounds,
    task_pool,
)
from algorithms.trainer.objective import Objective
from algorithms.trainer_state import read_state
from lmenvs.types import Action, Episode, Turn, from_json
from tests.support.learners import prepared
from tests.support.training import MICROWAVE, metrics, played, start

CONFIG = Config(tasks=8, episodes=4, scale="none")


def episode(seed: int, *rewards: float) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    return Episode(f"e{seed}", "e", seed, "all", "i", turns, "", True, False, False)


def test_credit_by_hand():
    # on the scale of 0 to 1 the returns are 1, .5 and 0; the tasks' values .75, .5 (new) and .25
    tracker = {1: (3.0, 1.0), 3: (1.0, 3.0)}
    episodes = [episode(1, 0, 1), episode(2, 1, -1), episode(3, -1)]
    given = credit(episodes, tracker, (-1.0, 1.0), CONFIG)
    assert [a.tolist() for a in given] == [[0.25, 0.25], [0.0, 0.0], [-0.25]]
    # the sample's standard deviation of .25, 0 and -.25 is .25; a long episode counts once
    scaled = credit(episodes, tracker, (-1.0, 1.0), replace(CONFIG, scale="std"))
    assert np.concatenate(scaled) == approx([1, 1, 0, 0, -1], rel=1e-5)


def test_the_baseline_has_not_seen_the_episode_it_judges():
    tracker = {1: (3.0, 1.0)}
    won, lost = (credit([episode(1, r)], tracker, (0.0, 1.0), CONFIG)[0] for r in (1.0, 0.0))
    assert won - lost == approx([1.0]) and tracker == {1: (3.0, 1.0)}


def test_the_pool_is_fixed_by_the_seed_and_no_task_comes_twice():
    pool = task_pool(replace(CONFIG, tasks=512))
    assert len(set(pool)) == 512 and all(0 <= seed < 2**31 for seed in pool)
    assert pool == task_pool(replace(CONFIG, tasks=512, iterations=7))
    assert pool != task_pool(replace(CONFIG, tasks=512, seed=1))


def test_returns_are_bounded_by_the_table_unless_the_config_says_otherwise():
    assert return_bounds(MICROWAVE, CONFIG) == (-1.0, 1.0)
    assert return_bounds(MICROWAVE, replace(CONFIG, highest=3.0)) == (-1.0, 3.0)
    own = replace(CONFIG, lowest=0.0, highest=2.0)
    assert return_bounds("elsewhere/Game-v0", own) == (0.0, 2.0)


def test_bounds_that_are_none_are_refused_before_a_folder_is_made(tmp_path: Path):
    wrong = replace(CONFIG, lowest=1.0)
    with pytest.raises(ValueError, match=r"from 1\.0 to 1\.0; expected finite bounds, the lower"):
        single_stream.train(MICROWAVE, start(), tmp_path / "run", wrong)
    assert not (tmp_path / "run").exists()


def test_a_policy_that_has_not_moved_has_no_divergence_and_a_moved_one_the_mean_of_k3():
    learner, seen = prepared(played(4), judges="nothing")
    lines = list(as_read(seen).values())
    assert [from_json(line).seed for line in lines] == [one.seed for one in played(4)]
    still = divergences(learner, lines, CONFIG)
    assert still.keys() == {one.seed for one in played(4)} and max(still.values()) < 1e-9
    assert divergences(learner, [], CONFIG) == {}
    with torch.no_grad():
        for weight in learner.model.parameters():
            weight.mul_(1.05)
    moved = divergences(learner, lines, CONFIG)
    _, again = prepared(played(4), judges="nothing", of=(learner.model, learner.chat))
    gap = (again.old_logprobs - seen.old_logprobs)[seen.tokens.episode == 2]
    here = seen.mask[seen.tokens.episode == 2]
    assert moved[played(4)[2].seed] == approx(float((gap.exp() - 1 - gap)[here].mean()), rel=1e-3)
    assert min(moved.values()) > 1e-4


def test_what_is_remembered_of_an_episode_is_what_the_learner_says_of_it():
    _, seen = prepared(played(3), judges="nothing")
    lines = as_read(seen)
    for index, one in enumerate(played(3)):
        back = from_json(lines[one.seed])
        said = [p for turn in back.turns for p in turn.action.logprobs]
        assert said == seen.old_logprobs[index][seen.tokens.policy_mask[index]].tolist()
        bare = [replace(turn.action, logprobs=()) for turn in one.turns]
        assert [replace(turn.action, logprobs=()) for turn in back.turns] == bare


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"episodes": 9}, "episodes 9, tasks 8"),
        ({"exploration": 0.0}, "expected above 0"),
        ({"half_life": 0.0}, "expected above 0"),
        ({"objective": Objective(reference_kl=0.1, kl_in="reward")}, "kl_in reward"),
    ],
)
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, object], line: str):
    with pytest.raises(ValueError, match=line):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


def test_a_run_plays_its_pool_and_keeps_a_value_for_every_task(tmp_path: Path):
    config = Config(
        iterations=3, tasks=5, episodes=4, max_new_tokens=8, save_every=1, learning_rate=3e-3
    )
    run = single_stream.train(MICROWAVE, start(), tmp_path / "run", config)
    rows = metrics(run)
    assert [row["rollout/episodes"] for row in rows] == [4, 4, 4]
    assert rows[0]["credit/met_before"] == 0.0 and rows[0]["credit/tracked_value"] == 0.5
    assert rows[1]["credit/met_before"] >= 3 / 4  # of 5 tasks 4 have been played
    assert rows[2]["kl/since_last"] > 0.0
    kept = read_state(run / "checkpoints")["kept"]
    lines = (run / "episodes.jsonl").read_text().splitlines()
    counts = Counter(from_json(line).seed for line in lines)
    assert sum(counts.values()) == 12 and max(counts.values()) <= 3  # once in an iteration
    assert kept["tracker"].keys() == kept["last"].keys() == set(counts)
    assert set(counts) <= set(task_pool(config))
    for seed, (alpha, beta) in kept["tracker"].items():
        assert 1 < alpha + beta <= 1 + counts[seed]  # the prior counts one episode, less forgotten
