from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.making import make_policy
from agents.models import load_model
from algorithms import support, tppo
from algorithms.credit import gae
from algorithms.tppo import (
    Config,
    credit,
    fit_values,
    new_turns,
    play_on,
    put_away,
    taken_up,
    unfinished,
)
from algorithms.trainer.credited import TurnCredit
from algorithms.trainer.learner import Learner
from algorithms.trainer.session import Session, open_session
from algorithms.trainer.update import update
from algorithms.trainer.values import critic_of, judge_turns
from lmenvs.types import Action, Episode, Turn, from_json
from tests.support.language import interrupted_after
from tests.support.learners import prepared
from tests.support.training import (
    MICROWAVE,
    assert_same_run,
    beginner,
    flat,
    metrics,
    played,
    start,
)

CONFIG = Config(discount=0.5, lam=0.5, epochs=1, minibatches=1, episodes=4, window=2)
RUN = Config(iterations=4, episodes=4, window=2, warmup=0, max_new_tokens=8, minibatches=2)


def episode(*rewards: float, truncated: bool = False, since: int | None = None) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    parent = None if since is None else ("before", since)
    return Episode(
        "e", "e", 0, "all", "i", turns, "", not truncated, truncated, False, parent=parent
    )


def test_credit_by_hand():
    # errors: 0 + .5*2 - 1 = 0 and 1 + .5*b - 2: -1 where it ended, 3 where 8 was still to come
    episodes = [episode(0, 1), episode(0, 1, truncated=True)]
    given = credit(episodes, [np.array([1.0, 2.0])] * 2, [0.0, 8.0], CONFIG)
    assert [a.tolist() for a in given.advantages_ET] == [[-0.25, -1.0], [0.75, 3.0]]
    # the critic is to learn returns, not what it says itself: .5*1 and 1; .5*5 and 1 + .5*8
    assert [y.tolist() for y in given.value_targets_ET] == [[0.5, 1.0], [2.5, 5.0]]


def test_earlier_turns_do_not_change_the_credit_of_the_new_ones():
    long, short = episode(7, -3, 0, 1, truncated=True), episode(0, 1, truncated=True)
    values_ET = [np.array([9.0, 9.0, 1.0, 2.0]), np.array([1.0, 2.0])]
    given = credit([long, short], values_ET, [8.0, 8.0], CONFIG)
    assert given.advantages_ET[0][2:].tolist() == given.advantages_ET[1].tolist()


def test_where_the_rest_goes_as_the_critic_says_a_window_is_credited_as_the_whole_episode():
    # the last turns bring 0 and 4, worth .5 * 4 and 4: nothing comes otherwise than expected
    rewards, values = [1.0, -2.0, 0.0, 4.0], [0.25, -1.5, 2.0, 4.0]
    cut = credit([episode(*rewards[:2], truncated=True)], [np.array(values[:2])], [2.0], CONFIG)
    assert cut.advantages_ET[0].tolist() == gae(rewards, values, 0.5, 0.5)[:2].tolist()


@pytest.mark.parametrize(
    ("one", "new", "goes_on"),
    [
        (episode(0, 0, truncated=True), [True, True], True),
        (episode(0, 0), [True, True], False),  # the task is over
        (episode(0, truncated=True), [True], False),  # it was not the window that cut it
        (episode(0, 0, 0, truncated=True, since=2), [False, False, True], False),
        (episode(0, 0, 0, 0, truncated=True, since=2), [False, False, True, True], True),
        (episode(*[0] * 6, truncated=True, since=4), [False] * 4 + [True] * 2, False),  # the limit
        (episode(0, 0, truncated=True, since=2), [False, False], False),  # a full context
    ],
)
def test_what_the_window_cut_goes_on_and_only_new_turns_are_trained(
    one: Episode, new: list[bool], goes_on: bool
):
    assert new_turns(one).tolist() == new
    assert unfinished(one, replace(CONFIG, max_turns=6)) is goes_on


def opened(env: str, tmp_path: Path, config: Config) -> Session:
    return open_session(
        "tppo", env, start(), tmp_path / "run", config, judges="turns", critic_learning_rate=1e-3
    )


def test_episodes_go_on_where_they_stopped_even_where_the_world_has_chance(tmp_path: Path):
    config = replace(CONFIG, window=1, max_turns=4)
    session = opened("lmenvs/FrozenLakeText-v0?slippery=true", tmp_path, config)
    policy, kept, ends = make_policy("random"), {}, []
    before: dict[str, Episode] = {}
    for seed in range(0, 40, 10):
        going, ancestors = taken_up(kept)
        assert all(not one.turns for one in ancestors)
        seeds = np.arange(seed, seed + config.episodes - len(going))
        episodes = play_on(session, policy, going, ancestors, seeds, config)
        assert len(episodes) == config.episodes
        for one in episodes:
            if one.parent is not None:
                name, turns = one.parent
                assert one.turns[:turns] == before[name].turns and len(one.turns) == turns + 1
        kept = put_away(episodes, [*ancestors, *going], config)
        going_on = {from_json(line).id for line in kept["going"]}
        ends += [one for one in episodes if one.id not in going_on]
        before = {one.id: one for one in episodes}
    assert any(len(one.turns) == 4 for one in ends)  # three times a world was played again
    assert all(one.terminated or len(one.turns) == 4 for one in ends)
    assert put_away([], [], config) == {"going": [], "ancestors": []}


def judged(learner: Learner, seen: tppo.TokenBatch, episodes: Sequence[Episode]) -> TurnCredit:
    values = judge_turns(critic_of(learner), seen, len(episodes), 10**6)
    return credit(episodes, *values, CONFIG)


def test_the_policy_learns_from_new_turns_and_the_critic_from_finished_episodes_alone():
    episodes = [replace(one, parent=("before", 2)) for one in played(6)]
    new_ET = list(map(new_turns, episodes))
    slopes: list[torch.Tensor] = []
    for old in (0.0, 5.0):  # whatever the credit of earlier turns is
        learner, seen = prepared(episodes, trained_turns_ET=new_ET)
        given = judged(learner, seen.tokens, episodes)
        advantages_ET = [
            np.where(new_T, a, old) for new_T, a in zip(new_ET, given.advantages_ET, strict=True)
        ]
        before = flat(critic_of(learner))
        update(learner, seen, seen.spread(advantages_ET), CONFIG, np.random.default_rng(0))
        slopes.append(flat(learner.model))
        assert torch.equal(flat(critic_of(learner)), before)
    assert torch.equal(*slopes)
    fitted: list[torch.Tensor] = []
    for shift in (0.0, 7.0):  # whatever the returns of unfinished episodes are
        learner, seen = prepared(episodes)
        given = judged(learner, seen.tokens, episodes)
        targets_ET = [y + shift * (e > 3) for e, y in enumerate(given.value_targets_ET)]
        given = replace(given, value_targets_ET=targets_ET)
        chance, policy = np.random.default_rng(0), flat(learner.model)
        measured = fit_values(learner, seen.tokens, given, [0, 1, 2, 3], CONFIG, chance)
        fitted.append(flat(critic_of(learner)))
        assert torch.equal(flat(learner.model), policy) and measured["loss/value_error"] > 0
    assert torch.equal(*fitted)
    assert fit_values(learner, seen.tokens, given, [], CONFIG, chance) == {}


def test_the_critic_comes_to_predict_the_returns():
    learner, seen = prepared(played())
    given = judged(learner, seen.tokens, played())
    config, everyone = replace(CONFIG, epochs=60, critic_learning_rate=1e-3), list(range(12))
    fit_values(learner, seen.tokens, given, everyone, config, np.random.default_rng(0))
    after = judged(learner, seen.tokens, played())
    errors = [
        np.square(np.concatenate(values_ET) - np.concatenate(given.value_targets_ET)).mean()
        for values_ET in (given.values_ET, after.values_ET)
    ]
    assert errors[1] < 0.2 * errors[0]


def test_a_window_of_a_whole_episode_leaves_nothing_unfinished(tmp_path: Path):
    run = tppo.train(MICROWAVE, start(), tmp_path / "run", replace(RUN, window=5, iterations=2))
    for row in metrics(run):
        assert row["rollout/finished"] == row["rollout/episodes"] == 4


def test_turns_of_older_policies_are_read_but_neither_trained_nor_counted(tmp_path: Path):
    config = replace(RUN, iterations=8, episodes=8, learning_rate=3e-3, target_kl=None)
    rows = metrics(tppo.train(MICROWAVE, start(), tmp_path / "run", config))
    assert any(row["loss/approx_kl"] > 1e-4 for row in rows[:-1])  # the policy moved
    # were they trained, the sampler of then would seem to disagree with the learner of now
    assert all(0 <= row["kl/sampler"] < 1e-6 for row in rows)
    mixed = [row for row in rows if 0 < row["rollout/finished"] < 8]
    assert mixed and all(row["rollout/truncated"] == 0.0 for row in mixed)


def test_a_run_trains_while_episodes_are_under_way_and_resumes_with_them(tmp_path: Path):
    start()
    with interrupted_after(0) as counted:
        whole = tppo.train(MICROWAVE, start(), tmp_path / "whole", RUN)
    rows = metrics(whole)
    first, third = rows[0], rows[2]
    # Microwave takes 3 turns at least and 5 at most
    assert first["rollout/finished"] == 0.0 and "loss/value_error" not in first
    assert first["rollout/environment_turns"] == 8.0
    assert third["rollout/finished"] >= 1.0 and third["loss/value_error"] > 0
    assert third["rollout/turns"] > 2.0 == first["rollout/turns"]
    part = tmp_path / "part"
    with pytest.raises(support.Interrupted), interrupted_after(counted.forwards // 2):
        tppo.train(MICROWAVE, start(), part, RUN)
    assert 0 < len(metrics(part)) < 4
    tppo.train(MICROWAVE, start(), part, RUN, resume=True)
    assert_same_run(part, whole)


def test_while_it_warms_up_only_the_critic_learns(tmp_path: Path):
    run = tppo.train(MICROWAVE, start(), tmp_path / "run", replace(RUN, warmup=4))
    policy, _ = load_model(run / "checkpoints")
    assert torch.equal(flat(policy), flat(beginner()[0]))
    assert any("loss/value_error" in row for row in metrics(run))
    assert not any("loss/grad_norm" in row for row in metrics(run))


@pytest.mark.parametrize("wrong", [{"window": 0}, {"warmup": -1}, {"lam": 1.5}, {"episodes": 0}])
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]
