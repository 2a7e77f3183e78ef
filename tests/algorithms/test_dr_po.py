from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.rollout import collect
from algorithms import dr_po, rloo
from algorithms.batch import make_batch
from algorithms.demonstrated import Demonstrations, own_turns
from algorithms.dr_po import Config, credit, draw_resets, reset_groups
from algorithms.trainer.objective import Objective
from algorithms.trainer.session import Session, open_session
from lmenvs.types import Action, Episode, Turn, write_episodes
from tests.support.learners import assert_first_step_is_credit_times_slope, by_token
from tests.support.training import MICROWAVE, assert_same_run, beginner, metrics, start, weights

TINY: dict[str, Any] = {"iterations": 2, "groups": 4, "group_size": 3, "max_new_tokens": 8}


def shown(demonstrator: str = "random", count: int = 4) -> Demonstrations:
    return Demonstrations(collect(MICROWAVE, demonstrator, range(count)), beginner()[1])


def opened(out: Path, config: Config) -> Session:
    return open_session("dr_po", MICROWAVE, start(), out, config)


def resets(out: Path, config: Config, iteration: int = 0) -> tuple[list[Episode], list[Episode]]:
    """The groups that begin within random play, and the demonstrations."""
    session, given = opened(out, config), shown()
    with session.sampler(iteration) as policy:
        chance = np.random.default_rng(1)
        forks = reset_groups(session, policy, given, 4, config, iteration, chance)
    return forks, given.read(range(4))


def test_a_group_goes_on_from_the_state_in_which_its_demonstration_was(tmp_path: Path):
    forks, given = resets(tmp_path / "run", Config(**TINY))
    by_seed = {one.seed: one for one in given}
    assert len(forks) == 12 and len({fork.group for fork in forks}) == 4
    turns = set[int]()
    for fork in forks:
        assert fork.parent is not None
        turn, told = fork.parent[1], by_seed[fork.seed]
        turns.add(turn)
        assert fork.turns[:turn] == told.turns[:turn]
        assert fork.turns[turn].state_key == told.turns[turn].state_key
        assert fork.turns[turn].observation == told.turns[turn].observation
        assert fork.turns[turn].action.logprobs and not told.turns[turn].action.logprobs
    assert len(turns) > 1


def test_the_turns_of_a_demonstration_are_read_and_not_trained(tmp_path: Path):
    config = Config(**TINY)
    forks, _ = resets(tmp_path / "run", config)
    own_ET = [own_turns(fork) for fork in forks]
    assert not np.concatenate(own_ET).all()
    assert len(make_batch(forks, beginner()[1])) == len(forks)  # one sequence for each
    advantages_ET = credit(forks, config)
    assert np.abs(np.concatenate(advantages_ET)).max() > 0.2
    assert_first_step_is_credit_times_slope(forks, by_token(forks, advantages_ET), own_ET)


def test_without_resets_it_is_rloo_to_the_last_bit(tmp_path: Path):
    shared: dict[str, Any] = {**TINY, "objective": Objective(reference_kl=0.1)}
    ours = dr_po.train(MICROWAVE, start(), tmp_path / "ours", Config(**shared, share=0.0))
    plain = rloo.train(MICROWAVE, start(), tmp_path / "plain", rloo.Config(**shared))
    assert_same_run(ours, plain)


def test_some_resets_make_another_run(tmp_path: Path):
    short: dict[str, Any] = {**TINY, "iterations": 1}
    runs = {
        share: dr_po.train(MICROWAVE, start(), tmp_path / str(share), Config(**short, share=share))
        for share in (0.0, 0.5, 1.0)
    }
    moved = [torch.cat([w.flatten() for w in weights(run).values()]) for run in runs.values()]
    assert not torch.equal(moved[0], moved[1]) and not torch.equal(moved[1], moved[2])
    rows = {share: metrics(run)[0] for share, run in runs.items()}
    assert rows[0.5]["rollout/episodes"] == 6  # of the policy's own from the start
    assert "resets/success" not in rows[0.0] and 0 <= rows[0.5]["resets/success"] <= 1


def test_members_of_a_group_are_compared_from_the_reset_on():
    def one(*rewards: float) -> Episode:
        turns = tuple(Turn("", Action(""), reward) for reward in rewards)
        return Episode("e", "e", 0, "all", "i", turns, "", True, False, False, "g", ("d", 1))

    group = [one(5, 1), one(5, 0, 0), one(5, 0, 2)]  # 5 was the demonstration's
    wanted = [[0, 0], [-1.5, -1.5, -1.5], [1.5, 1.5, 1.5]]
    assert [a_T.tolist() for a_T in credit(group, Config())] == wanted
    by_turn = credit(group, Config(baseline="suffix"))
    assert [a_T.tolist() for a_T in by_turn] == [[0, 0], [-1.5, -1.5, -1], [1.5, 1.5, 2]]


@pytest.mark.parametrize(("earliest", "turns"), [(1.0, {2}), (0.5, {1, 2}), (0.0, {0, 1, 2})])
def test_a_curriculum_begins_at_the_end(earliest: float, turns: set[int]):
    given = shown("expert")
    drawn = draw_resets(given, 40, earliest, np.random.default_rng(0))
    assert {turn for _, turn in drawn.values()} == turns
    assert len(drawn) == 40 and all(one.id == name for name, (one, _) in drawn.items())


def test_a_file_and_its_maker_give_the_same_run(tmp_path: Path):
    config = Config(**TINY, demonstrator="random", demonstrations=6)
    played = dr_po.train(MICROWAVE, start(), tmp_path / "played", config)
    seeds = np.random.default_rng((0, 0, 1)).integers(2**31, size=6).tolist()
    file = tmp_path / "data.jsonl"
    write_episodes(file, collect(MICROWAVE, "random", seeds))
    assert_same_run(dr_po.train(MICROWAVE, start(), tmp_path / "r", config, data=file), played)
    with pytest.raises(ValueError, match=r"got data: .*data.jsonl. -> None"):
        dr_po.train(MICROWAVE, start(), tmp_path / "r", config, resume=True)


def test_demonstrations_of_other_tasks_are_refused(tmp_path: Path):
    env = "lmenvs/Wordle-v0"
    config = Config(**TINY)
    (told,) = collect(env, "random", [0], split="test", max_turns=2)
    session = open_session("dr_po", env, start(), tmp_path / "run", config)
    given = Demonstrations([told], session.learner.chat)
    with session.sampler(0) as policy, pytest.raises(ValueError, match="split 'test'; make the"):
        reset_groups(session, policy, given, 1, config, 0, np.random.default_rng(0))


WRONG: list[dict[str, Any]] = [{"share": 1.5}, {"curriculum": -0.1}, {"demonstrations": 0}]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(Config(), **wrong)
