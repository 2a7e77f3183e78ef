"""PPO on two levels: credit and gradients go where they belong, and runs are whole."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx

from agents.hierarchical import Planned
from algorithms import hierarchical
from algorithms.batch import make_batch
from algorithms.credit import gae
from algorithms.trainer.credited import TurnCredit
from algorithms.trainer.levels import Judged, Level, Levels, lived
from tests.support.levels import ARRANGEMENTS, BOTH, SHORT, levels, only, opened
from tests.support.training import flat


def played(out: Path, config: hierarchical.Config = SHORT) -> tuple[Levels, list[Planned]]:
    session, both = opened(config, out)
    with both.sampler(0) as policy:
        return both, policy.split(session.collect(policy, range(6)))


def numbers_like(planned: Sequence[Planned], level: Level, seed: int = 0) -> Judged:
    rng = np.random.default_rng(seed)
    episodes = [one.planner if level == "planner" else one.actor for one in planned]
    return Judged([rng.normal(size=len(e.turns)) for e in episodes], [0.5] * len(episodes))


def test_with_a_subgoal_for_every_turn_both_levels_have_flat_credit(tmp_path: Path):
    _, planned = played(tmp_path / "run", replace(SHORT, hierarchy=levels(every=1)))
    judged: dict[Level, Judged] = {level: numbers_like(planned, level) for level in BOTH}
    config = replace(SHORT, actor_credit="episode")
    for given, by in zip(
        hierarchical.credit(planned, judged, config).values(), judged.values(), strict=True
    ):
        for one, found, values_T in zip(planned, given.advantages_ET, by.values_ET, strict=True):
            rewards_T = [turn.reward for turn in one.whole.turns]
            assert found == approx(gae(rewards_T, values_T, 0.9, 0.9, 0.5))


def test_the_actor_bootstraps_from_the_planner_where_its_subgoal_ends(tmp_path: Path):
    _, planned = played(tmp_path / "run")
    judged: dict[Level, Judged] = {
        "actor": numbers_like(planned, "actor"),
        "planner": numbers_like(planned, "planner", 1),
    }
    given = hierarchical.credit(planned, judged, SHORT)
    found, returns_J = given["actor"].advantages_ET[0], given["planner"].value_targets_ET[0]
    values_T = judged["actor"].values_ET[0]
    rewards_T = [turn.reward for turn in planned[0].whole.turns]
    assert planned[0].durations_J == (2, 2)
    assert found[1] == approx(rewards_T[1] + 0.9 * returns_J[1] - values_T[1])
    assert found[3] == approx(rewards_T[3] + 0.9 * 0.5 - values_T[3])
    del judged["planner"]  # then its own critic goes on
    alone = hierarchical.credit(planned, judged, SHORT)["actor"].advantages_ET[0]
    assert alone == approx(gae(rewards_T, values_T, 0.9, 0.9, 0.5))


def test_with_lambda_one_no_critic_stands_between_an_action_and_a_late_reward(tmp_path: Path):
    _, planned = played(tmp_path / "run")
    judged: dict[Level, Judged] = {level: numbers_like(planned, level) for level in BOTH}
    by_level = hierarchical.credit(planned, judged, replace(SHORT, lam=1.0))
    for one, found, values_T in zip(
        planned, by_level["actor"].advantages_ET, judged["actor"].values_ET, strict=True
    ):
        rewards_T = [turn.reward for turn in one.whole.turns]
        assert found == approx(gae(rewards_T, values_T, 0.9, 1.0, 0.5))


def test_the_subgoal_reward_is_the_actors_alone(tmp_path: Path):
    _, planned = played(tmp_path / "run", replace(SHORT, episodes=24))
    judged: dict[Level, Judged] = {level: numbers_like(planned, level) for level in BOTH}
    plain = hierarchical.credit(planned, judged, SHORT)
    paid = hierarchical.credit(planned, judged, replace(SHORT, subgoal_reward=1.0))
    met = [one.fulfilled() for one in planned]
    assert any(turn is not None for turns in met for turn in turns)
    for one, turns, before, after in zip(
        planned, met, plain["actor"].advantages_ET, paid["actor"].advantages_ET, strict=True
    ):
        gained = np.flatnonzero(np.abs(after - before) > 1e-9)
        wanted = [t for j, m in enumerate(turns) if m is not None for t in range(2 * j, m + 1)]
        assert gained.tolist() == wanted, one.planner.turns
    for before, after in zip(
        plain["planner"].advantages_ET, paid["planner"].advantages_ET, strict=True
    ):
        assert before == approx(after)


def test_the_batches_hold_the_ids_that_each_level_sampled(tmp_path: Path):
    both, planned = played(tmp_path / "run")
    chat = both.groups[0].learner.chat
    for level in BOTH:
        episodes = [getattr(one, level) for one in planned]
        batch = make_batch(episodes, chat)
        said = [list(t.action.token_ids) for e in episodes for t in e.turns]
        assert batch.ids[batch.policy_mask].tolist() == [i for ids in said for i in ids]
        # the text-only episode encodes to the same prompts: nothing that was seen is missing
        texts = [
            replace(
                e, turns=tuple(replace(t, action=replace(t.action, prompt_ids=())) for t in e.turns)
            )
            for e in episodes
        ]
        for episode, text in zip(episodes, texts, strict=True):
            first = [*chat.start([*_opening(text)])]
            assert list(episode.turns[0].action.prompt_ids) == first


def _opening(episode: Any) -> list[Any]:
    from lmenvs.types import Message

    return [Message("system", episode.instructions), Message("user", episode.turns[0].observation)]


@pytest.mark.parametrize("moved", ["planner", "actor"])
@pytest.mark.parametrize("name", ["two", "adapters"])
def test_credit_of_one_level_leaves_the_other_bit_for_bit(name: str, moved: Level, tmp_path: Path):
    config = replace(ARRANGEMENTS[name], objective=replace(SHORT.objective, normalise="none"))
    session, both = opened(config, tmp_path / "run")
    with both.sampler(0) as policy:
        planned = policy.split(session.collect(policy, range(6)))
    before: dict[Level, torch.Tensor] = {level: own_weights(both, level) for level in BOTH}
    base = base_weights(both)
    both.update(both.read(planned), only(planned, moved), np.random.default_rng(0))
    for level, weights in before.items():
        assert torch.equal(own_weights(both, level), weights) == (level != moved), level
    assert torch.equal(base_weights(both), base) or name == "two"


def own_weights(both: Levels, level: Level) -> torch.Tensor:
    (group,) = [group for group in both.groups if level in group.levels]
    if group.adapter is None:
        return flat(group.learner.model)
    return torch.cat(
        [
            weight.detach().flatten().clone()
            for key, weight in group.learner.model.named_parameters()
            if f".{group.adapter}." in key
        ]
    )


def base_weights(both: Levels) -> torch.Tensor:
    parameters = both.groups[0].learner.model.named_parameters()
    return torch.cat([w.detach().flatten().clone() for key, w in parameters if "lora" not in key])


@pytest.mark.parametrize("moved", ["planner", "actor"])
def test_in_a_shared_model_only_the_tokens_of_the_credited_level_push(moved: Level, tmp_path: Path):
    both, planned = played(tmp_path / "run")
    (seen,) = both.read(planned)
    given = only(planned, moved)
    tokens = seen.experience.tokens
    advantages = seen.experience.spread(seen.advantages(given, "none"))
    own = tokens.episode < 6 if moved == "planner" else tokens.episode >= 6
    assert own.sum() == 6 and bool((advantages[~own] == 0).all())
    assert bool((advantages[~tokens.policy_mask] == 0).all())
    expected = [n for t in given[moved].advantages_ET for n in t]
    lengths = [len(t.action.token_ids) for one in planned for t in getattr(one, moved).turns]
    found = advantages[own][tokens.policy_mask[own]]
    assert found.tolist() == approx(np.repeat(expected, lengths).tolist(), rel=1e-6)


def test_each_level_is_normalised_by_itself(tmp_path: Path):
    both, planned = played(tmp_path / "run")
    (seen,) = both.read(planned)
    given: dict[Level, TurnCredit] = {}
    for level, scale in zip(BOTH, (100.0, 0.01), strict=True):
        one = only(planned, level)[level]
        given[level] = replace(one, advantages_ET=[scale * a for a in one.advantages_ET])
    found = seen.advantages(given, "standardise")
    for part in (found[:6], found[6:]):
        joined = np.concatenate(part)
        assert (joined.mean(), joined.std()) == (approx(0.0, abs=1e-6), approx(1.0, rel=1e-4))


def test_only_levels_that_earn_the_games_rewards_are_held_to_its_returns(tmp_path: Path):
    both, planned = played(tmp_path / "run")
    (seen,) = both.read(planned)
    tokens = seen.experience.tokens
    assert seen.turns_of(BOTH).equal(tokens.turn_mask)
    of_planner = seen.turns_of(("planner",))
    assert int(of_planner.sum()) == sum(len(one.planner.turns) for one in planned)
    assert not bool(of_planner[tokens.episode >= 6].any())


def test_what_is_lived_is_put_in_the_order_of_the_levels(tmp_path: Path):
    both, planned = played(tmp_path / "run")
    (seen,) = both.read(planned)
    assert seen.experience.played == [e for level in BOTH for e in lived(planned, level)]
