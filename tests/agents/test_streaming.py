"""Conversations answered as they come: nobody waits, nothing is read twice, nothing changes."""

from collections.abc import Sequence

import pytest
import torch
from pytest import approx

from agents.lm import LMPolicy
from agents.protocols import StreamingPolicy
from agents.sampling import Sampling
from lmenvs.types import Action, Message
from tests.support.language import Talk, chat, full_logprobs, model, policy, spans, talk, tokenizer

NAMES = ("a", "bee", "cedar", "d4", "ebony", "fir", "g")


def stream(speaker: LMPolicy, names: Sequence[str], turns: int, at_once: int) -> dict[str, Talk]:
    """Every conversation goes on as soon as it is answered; the next begins when one is over."""
    waiting, talks = list(names), dict[str, Talk]()
    answered = 0
    while len(talks) < len(names) or answered < turns * len(names):
        alive = sum(len(one.actions) < turns for one in talks.values())
        for name in waiting[: at_once - alive]:
            talks[name] = Talk(name)
            speaker.submit([talks[name].conversation()])
            waiting.remove(name)
        for name, action in speaker.advance():
            answered += 1
            talks[name].said(action)
            if len(talks[name].actions) < turns:
                speaker.submit([talks[name].conversation()])
    assert speaker.advance() == []
    return talks


def distinct_tokens(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens there are when shared beginnings count once."""
    return len({tuple(ids[: end + 1]) for ids in sequences for end in range(len(ids))})


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_answers_are_those_of_conversations_held_one_by_one(family: str):
    language_model = model(family)
    assert isinstance(policy(language_model), StreamingPolicy)
    streamed = stream(policy(language_model), NAMES, turns=4, at_once=3)
    for name in NAMES:
        (alone,) = talk(policy(language_model), [name], turns=4)
        assert [a.token_ids for a in streamed[name].actions] == [a.token_ids for a in alone.actions]
        expected = full_logprobs(language_model, alone.ids)
        for start, end, action in spans(streamed[name]):
            assert list(action.logprobs) == approx(expected[start - 1 : end - 1], abs=2e-4)
    assert len({len(one.ids) for one in streamed.values()}) > 2


@pytest.mark.parametrize(("turns", "at_once"), [(5, 7), (5, 2), (50, 4)])
def test_hardly_a_token_is_read_twice(turns: int, at_once: int):
    speaker = policy(model(context=4096), tokens=3)
    talks = stream(speaker, NAMES, turns, at_once)
    distinct = distinct_tokens([one.ids for one in talks.values()])
    assert distinct / 2 < speaker.forwarded_tokens <= 1.1 * distinct


def test_members_of_a_group_copy_their_common_prompt():
    speaker = policy(tokens=4)
    task = "Total 12. " * 40
    talks = [Talk(f"member {k}") for k in range(8)]
    for one in talks:
        one.messages[1] = Message("user", task)
    actions = speaker.act([one.conversation() for one in talks])
    assert len({action.prompt_ids for action in actions}) == 1
    assert len({action.token_ids for action in actions}) > 1
    length = len(actions[0].prompt_ids)
    answers = sum(len(action.token_ids) for action in actions)
    assert length > 100
    # the prompt once, its last token by every member, and what each of them says but the last token
    assert speaker.forwarded_tokens == length + 7 + answers - 8
    expected = full_logprobs(speaker.model, [*actions[5].prompt_ids, *actions[5].token_ids])
    assert list(actions[5].logprobs) == approx(expected[-len(actions[5].token_ids) :], abs=2e-4)


def test_a_conversation_that_waits_for_one_that_is_dropped_reads_its_own_prompt():
    speaker = policy()
    first, second = Talk("a"), Talk("b")
    second.messages[1] = first.messages[1]
    speaker.submit([first.conversation(), second.conversation()])
    speaker.forget(["a"])
    answers = dict[str, Action]()
    while "b" not in answers:
        answers |= dict(speaker.advance())
    second.said(answers["b"])
    assert list(answers) == ["b"]
    expected = full_logprobs(speaker.model, second.ids)
    assert list(answers["b"].logprobs) == approx(expected[-len(answers["b"].token_ids) :], abs=2e-4)


def test_a_conversation_is_asked_one_thing_at_a_time():
    speaker = policy()
    asked = Talk("a").conversation()
    speaker.submit([asked])
    with pytest.raises(ValueError, match="being answered") as refusal:
        speaker.submit([asked])
    assert "\n" not in str(refusal.value)


def test_a_long_reading_is_spread_over_passes(monkeypatch: pytest.MonkeyPatch):
    at_once = talk(policy(), NAMES, turns=3)
    monkeypatch.setattr("agents.lm.PASS_TOKENS", 20)
    speaker = policy()
    spread = talk(speaker, NAMES, turns=3)
    assert sum(len(one.actions[0].prompt_ids) for one in spread) > 20
    for one, same in zip(spread, at_once, strict=True):
        assert [a.token_ids for a in one.actions] == [a.token_ids for a in same.actions]


def test_an_answer_ends_before_a_stop_text_and_its_ids_say_what_was_sampled():
    stops = ("roll", "1", "o")
    speaker = LMPolicy(model(), chat(), Sampling(max_new_tokens=12, stop=stops))
    plain = LMPolicy(model(), chat(), Sampling(max_new_tokens=12))
    ended = 0
    for one, free in zip(talk(speaker, NAMES, turns=1), talk(plain, NAMES, turns=1), strict=True):
        (action,), (whole,) = one.actions, free.actions
        assert not any(stop in action.text for stop in stops)
        assert whole.token_ids[: len(action.token_ids)] == action.token_ids
        assert whole.text.startswith(action.text)
        if action.token_ids != whole.token_ids:
            assert action.finish == "stop" and action.token_ids[-1] != speaker.chat.stop_id
            ended += 1
    assert ended
    # the stop token that was not sampled is part of the next prompt, not of the policy's tokens
    (one,) = talk(speaker, [NAMES[1]], turns=2)
    said, following = one.actions
    invented = said.token_ids[-1] != speaker.chat.stop_id
    assert (following.prompt_ids[0] == speaker.chat.stop_id) == invented


def test_a_line_break_ends_an_answer_at_once() -> None:
    language_model = model()
    (line_break,) = tokenizer().encode("\n", add_special_tokens=False)
    with torch.no_grad():  # it is said now and then
        head = language_model.lm_head.weight  # type: ignore[union-attr]
        head[line_break] = 1.2 * head[tokenizer().eos_token_id]  # type: ignore[index]
    speaker = LMPolicy(language_model, chat(), Sampling(max_new_tokens=12, stop=("\n",)))
    ended = 0
    for one in talk(speaker, NAMES, turns=4):
        for action in one.actions:
            ids = action.token_ids
            # white space before the first word belongs to no answer
            ends = [
                k for k, token in enumerate(ids) if token == line_break and chat().decode(ids[:k])
            ]
            assert ends in ([], [len(ids) - 1])
            assert not ends or action.finish == "stop"
            assert action.text == chat().decode(ids)
            ended += len(ends)
    assert ended > 3


def test_a_prompt_that_is_rebuilt_is_not_taken_for_the_one_before() -> None:
    speaker = policy(tokens=1)
    first, second = Talk("a"), Talk("b")
    first.messages[1] = second.messages[1] = Message("user", "Total 12. Total 3. " * 8)
    speaker.submit([first.conversation(), second.conversation()])
    assert [name for name, _ in speaker.advance()] == ["a"]  # the second waits to copy
    first.messages[0] = Message("system", "Total 3. " * 12)
    first.messages[1] = Message("user", "go east, go west " * 12)
    speaker.submit([first.conversation()])  # not longer than what was answered: a new prompt
    answers = dict[str, Action]()
    while len(answers) < 2:
        answers |= dict(speaker.advance())
    ids = [*answers["b"].prompt_ids, *answers["b"].token_ids]
    expected = full_logprobs(speaker.model, ids)
    assert list(answers["b"].logprobs) == approx(expected[-1:], abs=2e-4)


def test_who_is_forgotten_with_a_full_window_is_not_answered_either() -> None:
    speaker = policy(model(context=16))
    long = Talk("a")
    long.messages[1] = Message("user", "roll " * 40)
    speaker.submit([long.conversation()])
    speaker.forget(["a"])
    assert speaker.advance() == []


def test_who_asks_in_between_leaves_the_answers_of_others_for_them() -> None:
    speaker, alone = policy(), policy()
    others = [Talk(name) for name in NAMES[:3]]
    speaker.submit([one.conversation() for one in others])
    (mine,) = speaker.act([Talk("fir").conversation()])
    assert mine.token_ids == alone.act([Talk("fir").conversation()])[0].token_ids
    answers = dict[str, Action]()
    while len(answers) < 3:
        answers |= dict(speaker.advance())
    expected = alone.act([one.conversation() for one in others])
    got = [answers[one.name] for one in others]
    assert [one.token_ids for one in got] == [one.token_ids for one in expected]
