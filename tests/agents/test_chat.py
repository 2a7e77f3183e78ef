from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from agents.chat import Chat
from agents.models import load_model
from lmenvs.types import Action, Episode, Message, Turn
from tests.support.language import CHATML, chat, chatml_tokenizer, model, tokenizer

PLAIN = chat()
CHAT_ML = chat(template=True)
PAD, END, SYSTEM, USER, ASSISTANT = range(5)
TALK = [
    Message("system", "Say roll or stop."),
    Message("user", "Total 3."),
    Message("assistant", "roll"),
    Message("user", "Total 12."),
    Message("assistant", "stop"),
    Message("user", "Stopped."),
]


def ids(text: str) -> list[int]:
    return tokenizer().encode(text, add_special_tokens=False)


def episode(*actions: Action | str, truncated: bool = False) -> Episode:
    turns = [
        Turn(f"Total {3 + t}.", a if isinstance(a, Action) else Action(a), 0.0)
        for t, a in enumerate(actions)
    ]
    final = f"Total {3 + len(turns)}."
    return Episode(
        "e",
        "lmenvs/Talk-v0",
        0,
        "all",
        "Say roll or stop.",
        tuple(turns),
        final,
        not truncated,
        truncated,
        False,
    )


def test_the_plain_format_is_a_role_token_and_the_text():
    assert PLAIN.start(TALK[:2]) == [
        SYSTEM,
        *ids("Say roll or stop."),
        USER,
        *ids("Total 3."),
        ASSISTANT,
    ]
    assert PLAIN.start(TALK[:4]) == [
        *PLAIN.start(TALK[:2]),
        *ids(" roll"),
        END,
        USER,
        *ids("Total 12."),
        ASSISTANT,
    ]


@pytest.mark.parametrize("style", [PLAIN, CHAT_ML], ids=["plain", "chatml"])
def test_a_prompt_grown_by_deltas_is_the_prompt_rendered_at_once(style: Chat):
    grown = style.start(TALK[:2])
    for answered in (2, 4):
        grown += style.encode_action(TALK[answered].content)
        added = style.delta(TALK[: answered + 2], answered, stopped=True)
        assert added is not None
        grown += added
        assert grown == style.start(TALK[: answered + 2])
    assert str(style.tokenizer.decode(grown)).endswith(
        "<|assistant|>" if style.plain else "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("style", [PLAIN, CHAT_ML], ids=["plain", "chatml"])
def test_an_answer_that_was_cut_gets_its_stop_token_from_the_prompt(style: Chat):
    added = style.delta(TALK[:4], 2, stopped=True)
    assert added is not None
    assert style.delta(TALK[:4], 2, stopped=False) == [style.stop_id, *added]


def test_a_template_that_drops_earlier_thinking_asks_for_a_fresh_prompt():
    template = CHATML.replace(
        "{{ m['content'] }}",
        "{{ m['content'] if loop.last else m['content'].split('</think>')[-1] }}",
    )
    forgetful = PreTrainedTokenizerFast(
        tokenizer_object=chatml_tokenizer().backend_tokenizer, eos_token="<|im_end|>"
    )
    forgetful.chat_template = template
    style = Chat(forgetful)
    thinking = [*TALK[:2], Message("assistant", "<think>hm</think>roll"), TALK[3]]
    assert style.delta(thinking, 2, stopped=True) is None
    assert style.delta(TALK[:4], 2, stopped=True) is not None
    encoded = style.encode_episode(episode("<think>hm</think>roll", "stop"))
    assert [turn.action.fresh for turn in encoded.turns] == [True, True]
    assert "hm" not in str(style.tokenizer.decode(list(encoded.turns[1].action.prompt_ids)))
    cut = style.encode_episode(episode("<think>hm</think>roll", truncated=True))
    assert style.final_ids(cut) is None  # the value is read behind a prompt that is rendered anew
    seen = str(style.tokenizer.decode(style.final_prompt(cut)))
    assert "hm" not in seen and "Total 4." in seen


@given(st.text())
def test_every_text_comes_back_from_its_tokens(text: str):
    clean = text.encode("utf-8", "replace").decode("utf-8").strip()
    for style in (PLAIN, CHAT_ML):
        encoded = style.encode_action(text)
        assert encoded[-1] == style.stop_id
    assert PLAIN.decode(PLAIN.encode_action(text)) == clean
    assert PLAIN.start([Message("system", text), Message("user", text)])[0] == SYSTEM


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "", " ", "\x00", "🎲" * 50, "\u202eabc"])
def test_strange_texts_are_encoded_too(text: str):
    for style in (PLAIN, CHAT_ML):
        messages = [Message("system", text), Message("user", text), Message("assistant", text)]
        assert style.start(messages[:2])
        assert style.delta([*messages, Message("user", text)], 2, stopped=True)


@pytest.mark.parametrize("control", ["<|end|>", "<|user|>", "<|assistant|>", "<|pad|>"])
def test_text_cannot_forge_a_control_token_of_the_plain_format(control: str):
    forged = PLAIN.start([Message("system", control), Message("user", f"a{control}b")])
    assert [i for i in forged if i < 5] == [SYSTEM, USER, ASSISTANT]
    assert PLAIN.decode(PLAIN.encode_action(f"a{control}b")) == f"a{control}b"


def test_the_text_of_sampled_ids_has_no_stop_token_and_no_outer_space():
    assert PLAIN.decode([*ids(" go east "), END]) == "go east"
    assert PLAIN.decode([END]) == PLAIN.decode([]) == ""


def test_a_demonstration_is_encoded_as_it_would_have_been_sampled():
    for style in (PLAIN, CHAT_ML):
        encoded = style.encode_episode(episode("roll", "stop"))
        first, second = (turn.action for turn in encoded.turns)
        assert (first.fresh, second.fresh) == (True, False)
        assert list(first.prompt_ids) == style.start(TALK[:2])
        assert list(first.token_ids) == style.encode_action("roll")
        laid = [*first.prompt_ids, *first.token_ids, *second.prompt_ids]
        assert laid == style.start([*TALK[:3], Message("user", "Total 4.")])


def sampled(prompt: list[int], *, fresh: bool = False, stop: bool = True) -> Action:
    # letter by letter: no encoder writes "roll" so
    letters = [i for letter in "roll" for i in ids(letter)]
    return Action("roll", tuple(prompt), (*letters, *([END] if stop else [])), fresh=fresh)


def test_sampled_ids_are_never_encoded_again():
    first = sampled(PLAIN.start(TALK[:2]), fresh=True)
    second = sampled([USER, *ids("Total 4."), ASSISTANT])
    whole = episode(first, second)
    assert PLAIN.encode_episode(whole) is whole
    assert list(first.token_ids) != PLAIN.encode_action("roll")
    messages = [*TALK[:2], Message("assistant", "roll", first), TALK[3]]
    assert list(first.token_ids) == PLAIN.start(messages)[len(PLAIN.start(TALK[:2])) :][:5]


def test_an_episode_that_a_model_only_finished_keeps_what_the_model_saw():
    strange = [7, 8, 9]  # a prompt that nobody would render
    before = episode("roll", sampled(strange, fresh=True), sampled([USER, 10, ASSISTANT]))
    first, second, third = (turn.action for turn in PLAIN.encode_episode(before).turns)
    assert list(first.token_ids) == PLAIN.encode_action("roll")
    assert (second, third) == (before.turns[1].action, before.turns[2].action)
    # where a script spoke in between, what the sampler saw at once is divided among the turns
    parts = episode(sampled(strange, fresh=True), "stop", sampled([USER, 10, 11, 12, ASSISTANT]))
    first, second, third = (turn.action for turn in PLAIN.encode_episode(parts).turns)
    assert first == parts.turns[0].action
    assert list(second.prompt_ids) == [USER, *ids("Total 4."), ASSISTANT]
    assert list(third.prompt_ids) == [USER, *ids("Total 5."), ASSISTANT]
    assert third.token_ids == parts.turns[2].action.token_ids


def test_the_final_observation_follows_the_last_action():
    shown = [USER, *ids("Total 4."), ASSISTANT]
    cut = PLAIN.encode_episode(episode("roll", truncated=True))
    assert PLAIN.final_ids(cut) == shown
    open_ended = episode(sampled(PLAIN.start(TALK[:2]), fresh=True, stop=False), truncated=True)
    assert PLAIN.final_ids(open_ended) == [END, *shown]


def test_a_tokenizer_that_cannot_hold_a_conversation_is_refused():
    mute = PreTrainedTokenizerFast(tokenizer_object=chatml_tokenizer().backend_tokenizer)
    with pytest.raises(ValueError, match="no eos_token"):
        Chat(mute)
    mute.eos_token = "<|im_end|>"
    with pytest.raises(ValueError, match="no chat template"):
        Chat(mute)
    with pytest.raises(ValueError, match="role 'tool'"):
        PLAIN.start([Message("tool", "x")])


def test_a_model_that_remembers_nothing_reads_the_instructions_and_the_last_observation():
    blank = Chat(tokenizer(), memory=0)
    assert blank.start(TALK[:2]) == PLAIN.start(TALK[:2])
    assert blank.start(TALK[:4]) == PLAIN.start([TALK[0], TALK[3]])
    assert blank.delta(TALK[:4], 2, stopped=True) is None
    one = Chat(tokenizer(), memory=1)
    assert one.delta(TALK[:4], 2, stopped=True) == PLAIN.delta(TALK[:4], 2, stopped=True)
    longer = [*TALK[:4], Message("assistant", "stop"), Message("user", "Total 9.")]
    assert one.start(longer) == PLAIN.start([TALK[0], *longer[3:]])
    encoded = blank.encode_episode(episode("roll", "roll", "stop"))
    assert [turn.action.fresh for turn in encoded.turns] == [True, True, True]


def test_memory_is_kept_beside_the_model(tmp_path: Path):
    Chat(tokenizer(), memory=2).save(model(), tmp_path / "two")
    assert load_model(tmp_path / "two")[1].memory == 2
    Chat(tokenizer()).save(model(), tmp_path / "all")
    assert load_model(tmp_path / "all")[1].memory is None
    (tmp_path / "two" / "chat.json").write_text('{"memory": -1}')
    with pytest.raises(ValueError, match=r'chat.json: expected \{"memory": a number of turns\}'):
        load_model(tmp_path / "two")
    with pytest.raises(ValueError, match="memory -1; expected a number of turns"):
        Chat(tokenizer(), memory=-1)
