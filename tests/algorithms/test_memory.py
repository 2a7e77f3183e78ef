"""A model that remembers only the last turns: what it reads in play is what is trained on."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from agents.branching import branch
from agents.chat import Chat
from agents.lm import LMPolicy
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs
from algorithms.mismatch import sampler_logprobs
from algorithms.trainer.values import critic_of, judge_turns
from lmenvs.types import Episode, Message
from tests.support.learners import CONFIG, prepared
from tests.support.training import MICROWAVE, beginner


def forgetful(memory: int) -> LMPolicy:
    language_model, chat = beginner()
    chat = Chat(chat.tokenizer, chat.context, memory)
    return LMPolicy(language_model, chat, Sampling(max_new_tokens=8))


@cache
def played(memory: int) -> list[Episode]:
    whole = collect(MICROWAVE, forgetful(memory), range(6))
    return [*whole, *collect(MICROWAVE, forgetful(memory), range(6, 12), max_turns=3)]


@pytest.mark.parametrize("memory", [0, 1])
def test_the_learner_reads_what_the_sampler_read(memory: int):
    policy, episodes = forgetful(memory), played(memory)
    batch = make_batch(episodes, policy.chat)
    said, _ = policy_logprobs(policy.model, batch)
    sampled = sampler_logprobs(batch, episodes)
    torch.testing.assert_close(
        said[batch.policy_mask], sampled[batch.policy_mask], atol=1e-4, rtol=0
    )
    assert all(turn.action.fresh for one in episodes for turn in one.turns[memory + 1 :])
    trained = sum(len(turn.action.token_ids) for one in episodes for turn in one.turns)
    assert batch.policy_tokens == trained


def test_nothing_before_the_last_observation_changes_what_is_said():
    policy = forgetful(0)
    first, second = played(0)[:2]
    mixed = replace(first, turns=(*second.turns[:1], *first.turns[1:]))
    plain = [one.turns[-1].action.prompt_ids for one in (first, mixed)]
    assert plain[0] == plain[1]
    words = [policy.chat.encode_episode(one).turns[-1].action.prompt_ids for one in (first, mixed)]
    asked = [Message("system", first.instructions), Message("user", first.turns[-1].observation)]
    assert words[0] == words[1] == tuple(policy.chat.start(asked))


def test_the_value_behind_a_truncated_end_is_read_behind_the_final_observation_alone():
    learner, seen = prepared(played(0), CONFIG, of=(forgetful(0).model, forgetful(0).chat))
    values_ET, bootstraps_E = judge_turns(critic_of(learner), seen.tokens, len(played(0)), 256)
    for episode, values_T, bootstrap in zip(played(0), values_ET, bootstraps_E, strict=True):
        assert len(values_T) == len(episode.turns)
        assert (bootstrap == 0.0) == episode.terminated
        if episode.truncated:
            ids = torch.tensor([learner.chat.final_prompt(episode)])
            hidden = critic_of(learner).encode(ids, torch.tensor([ids.shape[1]]))
            value = critic_of(learner).values(hidden, torch.tensor([[ids.shape[1] - 1]]))
            assert bootstrap == pytest.approx(float(value.detach()), abs=1e-5)


def test_numbers_come_back_in_the_order_of_the_turns():
    episodes = played(0)
    batch = make_batch(episodes, forgetful(0).chat)
    numbers_ET = [np.arange(len(one.turns)) + 10.0 * i for i, one in enumerate(episodes)]
    again = batch.by_episode(batch.turn_grid(numbers_ET), len(episodes))
    assert all(np.array_equal(a, b) for a, b in zip(numbers_ET, again, strict=True))
    spread = batch.by_token(batch.spread(numbers_ET), len(episodes))
    for numbers_T, tokens_TL in zip(numbers_ET, spread, strict=True):
        assert [set(tokens_L) for tokens_L in tokens_TL] == [{number} for number in numbers_T]


def test_branches_of_a_forgetful_policy_go_on_from_the_state_and_the_last_observation():
    policy = forgetful(0)
    parent = next(one for one in played(0) if len(one.turns) > 1)
    forked = branch(MICROWAVE, policy, parent, [1], 3)
    for one in forked:
        assert one.turns[:1] == parent.turns[:1]
        assert one.turns[1].action.prompt_ids == parent.turns[1].action.prompt_ids
        assert one.turns[1].action.fresh
