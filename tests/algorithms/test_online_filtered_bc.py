"""Online filtered cloning keeps the best of all that was played, and imitates nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from algorithms import behaviour_cloning
from algorithms.batch import make_batch
from algorithms.online_filtered_bc import Config, best_share, policy_update, ranked, train
from algorithms.trainer.learner import Learner
from algorithms.trainer_state import read_state
from lmenvs.types import Action, Episode, Turn, from_json
from tests.support.training import MICROWAVE, beginner, flat, metrics, played, start


def episode(name: str, total: float) -> Episode:
    turns = (Turn("room", Action("go"), total),)
    return Episode(name, "lmenvs/X-v0", 0, "all", "Play.", turns, "end", True, False, True)


def names(episodes: list[Episode]) -> str:
    return "".join(one.id for one in episodes)


def test_the_best_come_first_and_of_equal_returns_the_newest():
    first = [episode("a", 1.0), episode("b", 0.0), episode("c", 1.0)]
    known = ranked([], first, most=9)
    assert names(known) == "cab"
    known = ranked(known, [episode("d", 0.5), episode("e", 1.0)], most=9)
    assert names(known) == "ecadb"
    assert names(best_share(known, 0.4, 5)) == "ec"
    assert names(best_share(known, 0.01, 5)) == "e"


def test_with_keep_1_all_that_was_played_is_imitated():
    known = ranked([], [episode("a", 1.0), episode("b", -3.0)], most=9)
    assert sorted(names(best_share(known, 1.0, 2))) == ["a", "b"]


@pytest.mark.parametrize("keep", [0.1, 0.37, 1.0])
def test_forgetting_what_can_never_be_among_the_best_changes_nothing(keep: float):
    chance = np.random.default_rng(0)
    iterations, each = 9, 8
    most = int(np.ceil(keep * iterations * each))
    everything: list[Episode] = []
    short: list[Episode] = []
    for iteration in range(iterations):
        new = [episode(f"{iteration}.{i}", float(chance.integers(4))) for i in range(each)]
        everything, short = ranked(everything, new, 10**6), ranked(short, new, most)
        known = (iteration + 1) * each
        assert best_share(short, keep, known) == best_share(everything, keep, known)


def test_a_step_is_a_step_of_behaviour_cloning():
    config = Config(learning_rate=0.1, micro_tokens=64)
    moved = []
    for update in (
        lambda learner: policy_update(learner, played(), config),
        lambda learner: behaviour_cloning.update(
            learner.model,
            learner.optimizer,
            make_batch(played(), learner.chat),
            behaviour_cloning.Config(micro_tokens=64),
        ),
    ):
        learner = Learner(*beginner(), config)
        before = flat(learner.model)
        update(learner)
        moved.append(flat(learner.model) - before)
    assert moved[0].abs().max() > 0.05
    torch.testing.assert_close(moved[0], moved[1], atol=1e-6, rtol=1e-5)


def test_what_a_run_keeps_is_the_best_of_what_it_played(tmp_path: Path):
    config = Config(
        iterations=3, episodes=12, keep=0.25, steps=2, batch_size=4, max_new_tokens=8, save_every=1
    )
    run = train(MICROWAVE, start(), tmp_path / "run", config)
    kept = read_state(run / "checkpoints")["kept"]
    assert kept["played"] == 36
    best = [from_json(line) for line in kept["best"]]
    assert len(best) == 9
    returns = [one.total_reward for one in best]
    assert returns == sorted(returns, reverse=True)
    last = metrics(run)[-1]
    assert last["credit/worst_kept_return"] == returns[8]
    # of the last iteration's own episodes the credit says which are imitated
    shown = [json.loads(line) for line in (run / "credit.jsonl").read_text().splitlines()]
    assert {value for row in shown for value in row["advantages"]} <= {0.0, 1.0}


def test_a_share_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"keep 0\.0; expected a share in \(0, 1\]"):
        Config(keep=0.0)
