from dataclasses import replace

import numpy as np
import pytest
import torch
from pytest import approx

from algorithms.trainer.credited import TurnCredit
from algorithms.trainer.learner import Learner
from algorithms.trainer.values import critic_of, judge_tokens, judge_turns
from lmenvs.types import Episode
from tests.support.language import chat, model, policy, talk, with_random_heads
from tests.support.learners import CONFIG, UNITS, Unit, credited, prepared, trained
from tests.support.training import played


def mixed() -> list[Episode]:
    episodes = [*played(4), *played(4, max_turns=2)]
    assert {one.truncated for one in episodes} == {True, False}
    return episodes


def rebuilt() -> tuple[Learner, list[Episode]]:
    """Episodes whose prompts were rebuilt on the way: of several rows each."""
    made = model()
    learner = Learner(made, chat(), CONFIG, "tokens")
    with_random_heads(critic_of(learner))
    talks = [one.episode() for one in talk(policy(made), ["a", "bee", "sea"], turns=4)]
    fresh = [_with_fresh(one, index) for index, one in enumerate(talks)]
    return learner, fresh


def _with_fresh(episode: Episode, where: int) -> Episode:
    """The episode as if its prompt had been written anew before some turns."""
    past: list[int] = []
    turns = []
    for number, turn in enumerate(episode.turns):
        action = turn.action
        whole = (*past, *action.prompt_ids)
        if number and (number + where) % 2:
            action = replace(action, prompt_ids=whole, fresh=True)
        turns.append(replace(turn, action=action))
        past = [*whole, *action.token_ids]
    return replace(episode, turns=tuple(turns))


def read(learner: Learner, ids: list[int]) -> float:
    """The value behind these tokens, of a row of its own."""
    critic = critic_of(learner)
    return critic.values(critic.encode(torch.tensor([ids])), torch.tensor([[len(ids) - 1]])).item()


@torch.no_grad()
def test_a_value_is_read_before_its_action_and_behind_a_truncated_end():
    episodes = mixed()
    learner, seen = prepared(episodes)
    for micro_tokens in (1, 10**6):
        judged = judge_turns(critic_of(learner), seen.tokens, len(episodes), micro_tokens)
        values_ET, bootstraps_E = judged
        for index, one in enumerate(episodes):
            ids: list[int] = []
            for turn, value in zip(one.turns, values_ET[index], strict=True):
                ids += turn.action.prompt_ids
                assert read(learner, ids) == approx(value, abs=1e-4)
                ids += turn.action.token_ids
            if one.terminated:
                assert bootstraps_E[index] == 0.0
            else:
                ids += learner.chat.final_ids(one) or []
                assert bootstraps_E[index] == approx(read(learner, ids), abs=1e-4)
                assert abs(bootstraps_E[index]) > 1e-3


@torch.no_grad()
def test_a_tokens_value_is_read_before_the_token_and_behind_a_truncated_end():
    episodes = [*mixed()[:2], *mixed()[-2:]]
    learner, seen = prepared(episodes, CONFIG, "tokens")
    for micro_tokens in (1, 10**6):
        judged = judge_tokens(critic_of(learner), seen.tokens, len(episodes), micro_tokens)
        values_ETL, bootstraps_E = judged
        assert_read_before_each_token(learner, episodes, values_ETL)
        for one, bootstrap in zip(episodes, bootstraps_E, strict=True):
            if one.terminated:
                assert bootstrap == 0.0
            else:
                ids = [i for t in one.turns for i in (*t.action.prompt_ids, *t.action.token_ids)]
                ids += learner.chat.final_ids(one) or []
                assert bootstrap == approx(read(learner, ids), abs=1e-4)
                assert abs(bootstrap) > 1e-3


@torch.no_grad()
def test_a_tokens_value_is_its_own_where_episodes_take_several_rows():
    learner, episodes = rebuilt()
    tokens = prepared(episodes, CONFIG, "tokens", of=(learner.model, learner.chat))[1].tokens
    assert len(tokens) > len(episodes)
    values_ETL, _ = judge_tokens(critic_of(learner), tokens, len(episodes), 10**6)
    assert_read_before_each_token(learner, episodes, values_ETL)


def assert_read_before_each_token(
    learner: Learner, episodes: list[Episode], values_ETL: list[list[np.ndarray]]
) -> None:
    distinct = set()
    for one, values_TL in zip(episodes, values_ETL, strict=True):
        ids: list[int] = []
        for turn, values_L in zip(one.turns, values_TL, strict=True):
            ids = [*([] if turn.action.fresh else ids), *turn.action.prompt_ids]
            for token, value in zip(turn.action.token_ids, values_L, strict=True):
                assert read(learner, ids) == approx(value, abs=1e-4)
                ids.append(token)
            distinct |= set(np.round(values_L, 4).tolist())
    assert len(distinct) > 5  # a critic that says the same of all would prove nothing


def test_numbers_per_token_come_back_as_they_were_laid_out():
    learner, episodes = rebuilt()
    tokens = prepared(episodes, CONFIG, "tokens", of=(learner.model, learner.chat))[1].tokens
    counter = iter(range(10**6))
    numbers_ETL = [
        [np.array([float(next(counter)) for _ in turn.action.token_ids]) for turn in one.turns]
        for one in episodes
    ]
    grid = tokens.token_grid(numbers_ETL)
    again_ETL = tokens.by_token(grid, len(episodes))
    assert [[n.tolist() for n in e] for e in again_ETL] == [
        [n.tolist() for n in e] for e in numbers_ETL
    ]
    assert torch.equal(tokens.token_grid(again_ETL), grid)
    assert bool((grid[~tokens.policy_mask] == 0).all())
    # every token stands where it was said: its own id comes back with it
    said_ETL = tokens.by_token(tokens.ids.float(), len(episodes))
    for one, said_TL in zip(episodes, said_ETL, strict=True):
        assert [s.tolist() for s in said_TL] == [list(t.action.token_ids) for t in one.turns]


@pytest.mark.parametrize("judges", UNITS)
def test_the_critic_comes_to_predict_its_targets(judges: Unit):
    config = replace(CONFIG, epochs=60, learning_rate=0.0)
    learner, seen = prepared(played(), config, judges)
    given = credited(learner, seen)
    trained(learner, seen, config, given)
    again = credited(learner, seen)
    if isinstance(given, TurnCredit):
        assert isinstance(again, TurnCredit)
        targets, before, after = given.value_targets_ET, given.values_ET, again.values_ET
    else:
        assert not isinstance(again, TurnCredit)
        joined = [
            [np.concatenate(t) for t in n]
            for n in (given.value_targets_ETL, given.values_ETL, again.values_ETL)
        ]
        targets, before, after = joined
    errors = [np.concatenate(v) - np.concatenate(targets) for v in (before, after)]
    assert np.square(errors[1]).mean() < 0.2 * np.square(errors[0]).mean()
