from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx
from transformers import (
    FalconConfig,
    FalconForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from agents.chat import Chat
from agents.lm import LMPolicy
from agents.protocols import Conversation
from agents.sampling import Sampling
from lmenvs.types import Message
from tests.support.language import (
    FAMILIES,
    Talk,
    chat,
    full_logprobs,
    model,
    policy,
    spans,
    talk,
    tokenizer,
)

NAMES = ("a", "bee", "cedar", "d4", "ebony")


@pytest.mark.parametrize("family", FAMILIES)
def test_sampling_with_a_cache_over_turns_equals_one_full_forward(family: str):
    language_model = model(family)
    talks = talk(policy(language_model), NAMES, turns=4)
    for one in talks:
        expected = full_logprobs(language_model, one.ids)
        for start, end, action in spans(one):
            assert list(action.logprobs) == approx(expected[start - 1 : end - 1], abs=2e-4)
    finishes = {action.finish for one in talks for action in one.actions}
    assert finishes == {"stop", "length"}  # or the test would not see both kinds of prompt
    assert len({len(one.ids) for one in talks}) > 2  # nor rows of different lengths


@pytest.mark.parametrize("template", [False, True])
def test_what_is_recorded_is_what_the_model_was_given(template: bool):
    # the ids of a whole conversation, laid end to end, are one prompt in the model's format
    speaker = policy(template=template)
    (one,) = talk(speaker, ["a"], turns=5)
    stop = speaker.chat.stop_id
    assert [action.fresh for action in one.actions] == [True] + [False] * 4
    assert list(one.actions[0].prompt_ids) == speaker.chat.start(one.messages[:2])
    for before, action in zip(one.actions, one.actions[1:], strict=False):
        invented = [] if before.token_ids[-1] == stop else [stop]
        assert list(action.prompt_ids[: len(invented)]) == invented


@pytest.mark.parametrize("family", FAMILIES)
def test_width_and_order_change_nothing(family: str):
    language_model = model(family)
    together = {one.name: one.actions for one in talk(policy(language_model), NAMES, turns=3)}
    alone = policy(language_model)
    for name in reversed(NAMES):
        (one,) = talk(alone, [name], turns=3)
        for mine, theirs in zip(one.actions, together[name], strict=True):
            assert (mine.token_ids, mine.prompt_ids) == (theirs.token_ids, theirs.prompt_ids)
            assert mine.logprobs == approx(theirs.logprobs, abs=2e-4)


@pytest.mark.parametrize("turns", [5, 50])
def test_every_token_is_read_once_however_many_turns(turns: int):
    speaker = policy(model(context=4096), tokens=3)
    talks = talk(speaker, NAMES[:3], turns)
    # the last token that each has said is read when it is asked again
    assert speaker.forwarded_tokens == sum(len(one.ids) - 1 for one in talks)


def test_a_forgotten_conversation_comes_back_from_its_recorded_ids():
    speaker, undisturbed = policy(), policy()
    one, same, before = Talk("bee"), Talk("bee"), 0
    for turn in range(4):
        if turn == 2:
            speaker.forget(["bee"])
            before = speaker.forwarded_tokens
        one.said(speaker.act([one.conversation()])[0])
        same.said(undisturbed.act([same.conversation()])[0])
    assert [a.token_ids for a in one.actions] == [a.token_ids for a in same.actions]
    assert [a.prompt_ids for a in one.actions] == [a.prompt_ids for a in same.actions]
    assert [a.fresh for a in one.actions] == [True, False, False, False]
    assert speaker.forwarded_tokens == before + len(one.ids) - 1  # all of it once more
    # the ids are not those that its text would encode to, so they were kept, not made again
    encoded = [tuple(speaker.chat.encode_action(action.text)) for action in one.actions]
    assert encoded != [action.token_ids for action in one.actions]


def test_a_fork_copies_its_parents_cache_and_disturbs_nobody():
    speaker, undisturbed = policy(), policy()
    (parent,) = talk(speaker, ["a"], turns=3)
    (same,) = talk(undisturbed, ["a"], turns=4)
    before = speaker.forwarded_tokens
    child = Talk("a")
    child.name = "child"
    for action in parent.actions[:2]:
        child.messages.append(Message("assistant", action.text, action))
        child.actions.append(action)
        child.messages.append(parent.messages[len(child.messages)])
    fork = child.conversation(parent=("a", len(child.messages)))
    (action,) = speaker.act([fork])
    read = speaker.forwarded_tokens - before
    last = parent.actions[1].token_ids[-1:]  # not yet read when it was said
    assert read <= len(last) + len(action.prompt_ids) + len(action.token_ids)
    (expected,) = undisturbed.act([Conversation("other", fork.messages, fork.seed)])
    assert (action.prompt_ids, action.token_ids) == (expected.prompt_ids, expected.token_ids)
    assert action.logprobs == approx(expected.logprobs, abs=2e-4)
    parent.said(speaker.act([parent.conversation()])[0])
    assert parent.actions[3].token_ids == same.actions[3].token_ids


def test_a_slot_that_was_freed_serves_the_next_conversation_as_a_new_one():
    speaker = policy()
    talk(speaker, NAMES, turns=3)
    speaker.forget(NAMES[1:4])
    (one,) = talk(speaker, ["fir"], turns=3)
    (expected,) = talk(policy(), ["fir"], turns=3)
    assert [a.token_ids for a in one.actions] == [a.token_ids for a in expected.actions]


def test_after_length_the_stop_token_belongs_to_the_prompt():
    speaker = policy(tokens=3)
    talks = talk(speaker, NAMES, turns=6)
    stop = speaker.chat.stop_id
    cut = whole = 0
    for one in talks:
        for action, following in zip(one.actions, one.actions[1:], strict=False):
            if action.finish == "length":
                assert stop not in action.token_ids and following.prompt_ids[0] == stop
                cut += 1
            else:
                assert action.token_ids[-1] == stop and following.prompt_ids[0] != stop
                whole += 1
    assert cut and whole


def test_the_window_ends_an_answer_with_context():
    speaker = policy(model(context=24), tokens=20)
    actions = speaker.act([Talk(name).conversation() for name in NAMES])
    assert {action.finish for action in actions} == {"stop", "context"}
    for action in actions:
        length = len(action.prompt_ids) + len(action.token_ids)
        stopped = action.token_ids[-1:] == (speaker.chat.stop_id,)
        assert action.finish == ("stop" if stopped else "context")
        assert length <= 24 if stopped else length == 24 or not action.token_ids
    assert any(action.token_ids for action in actions if action.finish == "context")


def test_a_prompt_longer_than_the_window_is_not_answered():
    speaker = policy(model("gpt2", context=16))
    long = Conversation("long", (Message("system", "x" * 50), Message("user", "y")))
    (action,) = speaker.act([long])
    assert (action.finish, action.token_ids, action.text) == ("context", (), "")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_near_the_end_of_the_window_bears_a_longer_one_beside_it(family: str):
    speaker = policy(model(family, context=64), tokens=2)
    near = Conversation("near", (Message("system", "x" * 40), Message("user", "y" * 12)))
    (first,) = speaker.act([near])
    said = Message("assistant", first.text, first)
    again = Conversation("near", (*near.messages, said, Message("user", "z")), seed=(5,))
    beside = Conversation("beside", (Message("system", "w" * 40), Message("user", "v")))
    (answer, _) = speaker.act([again, beside])
    ids = [*first.prompt_ids, *first.token_ids, *answer.prompt_ids, *answer.token_ids]
    assert 58 <= len(ids) <= 64
    expected = full_logprobs(speaker.model, ids)[-len(answer.token_ids) :]
    assert list(answer.logprobs) == approx(expected, abs=2e-4)


def test_the_seed_of_a_conversation_is_all_the_chance_there_is():
    speaker = policy(tokens=8)
    messages = (Message("system", "Say roll or stop."), Message("user", "Total 3."))
    state = torch.random.get_rng_state()
    np_state = np.random.get_state()[1].tolist()  # type: ignore[index]
    drawn = [
        speaker.act([Conversation(f"{seed}{copy}", messages, (seed,))])[0].token_ids
        for seed in range(6)
        for copy in "ab"
    ]
    assert drawn[0::2] == drawn[1::2]
    assert len(set(drawn)) == 6
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == np_state  # type: ignore[index]


def test_greedy_says_the_most_probable_token_whatever_the_seed():
    language_model = model()
    greedy = LMPolicy(language_model, chat(), Sampling(temperature=0, max_new_tokens=5))
    (one,) = talk(greedy, ["a"], turns=2)
    for start, end, action in spans(one):
        for position in range(start, end):
            logits = language_model(input_ids=torch.tensor([one.ids[:position]])).logits[0, -1]
            assert int(logits.argmax()) == one.ids[position]
        assert action.logprobs == (0.0,) * len(action.token_ids)  # certain


def test_after_reset_new_weights_are_read_from_the_start():
    speaker, other = policy(), model(seed=1)
    (one,) = talk(speaker, ["a"], turns=2)
    speaker.model.load_state_dict(other.state_dict())
    speaker.reset()
    (action,) = speaker.act([one.conversation()])
    one.actions.append(action)
    expected = full_logprobs(other, one.ids)[-len(action.token_ids) :]
    assert list(action.logprobs) == approx(expected, abs=2e-4)


TOY: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 32,
}
UNSUPPORTED = {
    "linear_attention": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=32, hidden_size=16, state_size=4, num_hidden_layers=1)
    ),
    "encoder-decoder": lambda: T5ForConditionalGeneration(
        T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    ),
    "eager": lambda: LlamaForCausalLM._from_config(model().config, attn_implementation="eager"),
    "attn_logit_softcapping": lambda: Gemma2ForCausalLM(
        Gemma2Config(**TOY, num_key_value_heads=1, head_dim=8)
    ),
    "its own attention": lambda: FalconForCausalLM(FalconConfig(**TOY, alibi=True)),
    "dynamic scaling": lambda: LlamaForCausalLM(
        LlamaConfig(
            **TOY, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
        )
    ),
}


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
def test_a_device_that_computes_in_bfloat16_gives_the_same_up_to_its_rounding(
    family: str, monkeypatch: pytest.MonkeyPatch
):
    def half(device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16)

    monkeypatch.setattr("agents.lm.mixed_precision", half)
    speaker = policy(model(family))
    talks = talk(speaker, NAMES, turns=3)
    rough = 0.0
    for one in talks:
        expected = full_logprobs(speaker.model, one.ids)
        for start, end, action in spans(one):
            difference = np.subtract(action.logprobs, expected[start - 1 : end - 1])
            rough = max(rough, float(np.abs(difference).max()))
    assert 1e-3 < rough < 0.5


def test_logits_that_a_model_scales_are_scaled_here_too():
    shape: dict[str, Any] = {**TOY, "vocab_size": len(tokenizer())}
    scaled = GraniteForCausalLM(GraniteConfig(**shape, num_key_value_heads=1, logits_scaling=3.0))
    (one,) = talk(LMPolicy(scaled.eval(), chat(), Sampling(max_new_tokens=4)), ["a"], turns=2)
    expected = full_logprobs(scaled, one.ids)
    for start, end, action in spans(one):
        assert list(action.logprobs) == approx(expected[start - 1 : end - 1], abs=2e-4)


@pytest.mark.parametrize("why", UNSUPPORTED)
def test_a_model_that_the_cache_would_get_wrong_is_refused_in_one_line(why: str):
    with pytest.raises(ValueError, match=why) as refusal:
        LMPolicy(UNSUPPORTED[why](), Chat(tokenizer()))
    assert "\n" not in str(refusal.value)
