"""Transformers' continuous batching as a policy: its numbers are the model's own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from pytest import approx

from agents.continuous import ContinuousPolicy
from agents.paging import CPU_TOKENS, window_of
from agents.protocols import StreamingPolicy
from agents.sampling import Sampling, draw
from lmenvs.types import Message
from tests.support.language import FAMILIES, Talk, chat, full_logprobs, model, spans

NAMES = ("a", "bee", "cedar", "d4")


def talks_with(speaker: ContinuousPolicy, names: Sequence[str], turns: int) -> list[Talk]:
    talks = [Talk(name) for name in names]
    for _ in range(turns):
        actions = speaker.act([talk.conversation() for talk in talks])
        for talk, action in zip(talks, actions, strict=True):
            talk.said(action)
    return talks


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_those_of_one_full_forward(family: str) -> None:
    language_model = model(family)
    speaker = ContinuousPolicy(language_model, chat(), Sampling(max_new_tokens=6))
    assert isinstance(speaker, StreamingPolicy)
    generator = torch.get_rng_state()
    talks = talks_with(speaker, NAMES, turns=3)
    assert torch.equal(torch.get_rng_state(), generator)  # it was only lent
    speaker.close()
    for talk in talks:
        assert [action.fresh for action in talk.actions] == [True, False, False]
        expected = full_logprobs(language_model, talk.ids)
        for start, end, action in spans(talk):
            assert list(action.logprobs) == approx(expected[start - 1 : end - 1], abs=2e-4)
            assert action.text == chat().decode(action.token_ids)
            stopped = action.token_ids[-1] == chat().stop_id
            assert action.finish == ("stop" if stopped else "length")
            assert stopped or len(action.token_ids) == 6


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_new_tokens=4, temperature=0.7),
        Sampling(max_new_tokens=4, top_k=5),
        Sampling(max_new_tokens=4, top_p=0.5),
        Sampling(max_new_tokens=4, min_p=0.2),
        Sampling(max_new_tokens=4, temperature=1.5, top_k=9, top_p=0.8, min_p=0.1),
    ],
    ids=["temperature", "top_k", "top_p", "min_p", "all"],
)
def test_filters_are_those_of_the_engine_in_this_process(sampling: Sampling) -> None:
    language_model = model()
    speaker = ContinuousPolicy(language_model, chat(), sampling)
    talks = talks_with(speaker, NAMES, turns=1)
    speaker.close()
    filtered = 0
    for talk in talks:
        (action,) = talk.actions
        with torch.no_grad():
            logits = language_model(torch.tensor([talk.ids])).logits[0].float()
        for place, (token, logprob) in enumerate(
            zip(action.token_ids, action.logprobs, strict=True), len(action.prompt_ids) - 1
        ):
            uniforms = torch.linspace(0, 1 - 1e-6, 512)
            picks, logprobs = draw(logits[place].expand(512, -1), uniforms, sampling)
            mine = {int(a): float(b) for a, b in zip(picks, logprobs, strict=True)}
            if token in mine:  # one of less than 1 / 512 may be passed over
                assert logprob == approx(mine[token], abs=2e-4)
                filtered += 1
    assert filtered > 8


def test_greedy_answers_are_those_of_greedy_decoding() -> None:
    language_model = model()
    speaker = ContinuousPolicy(language_model, chat(), Sampling(temperature=0, max_new_tokens=5))
    (talk,) = talks_with(speaker, ["a"], turns=1)
    speaker.close()
    (action,) = talk.actions
    with torch.no_grad():
        best = language_model(torch.tensor([talk.ids])).logits[0].argmax(-1).tolist()
    assert list(action.token_ids) == best[len(action.prompt_ids) - 1 : -1]
    assert set(action.logprobs) == {0.0}


def test_an_answer_ends_before_a_stop_text() -> None:
    speaker = ContinuousPolicy(model(), chat(), Sampling(max_new_tokens=12, stop=("o", "1", "e")))
    talks = talks_with(speaker, NAMES, turns=2)
    speaker.close()
    cut = 0
    for action in (action for talk in talks for action in talk.actions):
        assert not set("o1e") & set(action.text)
        assert len(action.logprobs) == len(action.token_ids)
        whole = chat().decode(action.token_ids)
        assert not set("o1e") & set(chat().decode(action.token_ids[:-1]))
        cut += bool(set("o1e") & set(whole))
    assert cut


def test_a_full_window_is_told_and_one_question_is_asked_at_a_time() -> None:
    speaker = ContinuousPolicy(model(context=32), chat(), Sampling(max_new_tokens=64))
    long, short = Talk("a"), Talk("b")
    long.messages[-1] = Message("user", "roll " * 60)
    full, rest = speaker.act([long.conversation(), short.conversation()])
    assert (full.finish, full.token_ids) == ("context", ())
    assert rest.finish in ("stop", "context")
    assert len(rest.prompt_ids) + len(rest.token_ids) <= 32
    again = Talk("c").conversation()
    speaker.submit([again])
    with pytest.raises(ValueError, match="being answered"):
        speaker.submit([again])
    speaker.forget(["c"])
    assert speaker.advance() == []
    speaker.close()


def test_a_model_with_attention_of_its_own_is_refused_in_one_line() -> None:
    from transformers import BloomConfig, BloomForCausalLM

    bloom = BloomForCausalLM(BloomConfig(vocab_size=300, hidden_size=16, n_layer=1, n_head=2))
    with pytest.raises(ValueError, match="brings its own attention") as caught:
        ContinuousPolicy(bloom, chat())
    assert "\n" not in str(caught.value)


def test_the_model_is_as_before_when_the_engine_is_closed() -> None:
    language_model = model()
    language_model.set_attn_implementation("eager")
    speaker = ContinuousPolicy(language_model, chat(), Sampling(max_new_tokens=2))
    talks_with(speaker, ["a"], turns=1)
    speaker.close()
    assert language_model.config._attn_implementation == "eager"
    idle = ContinuousPolicy(language_model, chat())
    idle.close()
    assert language_model.config._attn_implementation == "eager"


def test_a_process_ends_though_the_engine_was_not_closed() -> None:
    code = (
        "from agents.continuous import ContinuousPolicy\n"
        "from tests.support.language import Talk, chat, model\n"
        "speaker = ContinuousPolicy(model(), chat())\n"
        "print(len(speaker.act([Talk('a').conversation()])))"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_a_window_wider_than_the_cache_is_no_wider_than_half_of_it() -> None:
    assert window_of(model(context=512)) == 512
    wide = model(context=1 << 20)
    speaker = ContinuousPolicy(wide, chat(), Sampling(max_new_tokens=3))
    assert speaker.context == window_of(wide) == CPU_TOKENS // 2
    assert talks_with(speaker, ["a"], turns=1)[0].actions[0].token_ids
    speaker.close()
