"""Episodes survive a round trip through JSON; what is not an episode is refused with the reason."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmenvs import Action, Episode, Turn, from_json, read_episodes, to_json, write_episodes

TEXT = st.text(st.characters(), max_size=30)  # lone surrogates and NUL included
NUMBER = st.floats(allow_nan=False)


@st.composite
def _actions(draw: st.DrawFn) -> Action:
    ids = tuple(draw(st.lists(st.integers(0, 2**31), max_size=4)))
    return Action(
        draw(TEXT),
        tuple(draw(st.lists(st.integers(0, 2**31), max_size=3))),
        ids,
        tuple(draw(NUMBER) for _ in ids),
        draw(st.sampled_from(["stop", "length", "context"])),
        draw(st.booleans()),
    )


TURNS = st.builds(
    Turn,
    TEXT,
    _actions(),
    NUMBER,
    st.booleans(),
    st.none() | TEXT,
    st.none() | st.floats(0, 1),
    st.none() | TEXT,
    st.none() | TEXT,
    st.lists(st.dictionaries(TEXT, st.integers() | TEXT, max_size=2), max_size=2).map(tuple),
    NUMBER,
)


@given(
    turns=st.lists(TURNS, max_size=3).map(tuple),
    parent=st.none() | st.tuples(TEXT, st.integers(0, 9)),
    texts=st.tuples(TEXT, TEXT, TEXT),
    over=st.sampled_from([(True, False), (False, True), (False, False)]),
)
def test_an_episode_comes_back_from_json_as_it_was(
    turns: tuple[Turn, ...],
    parent: tuple[str, int] | None,
    texts: tuple[str, str, str],
    over: tuple[bool, bool],
):
    episode = Episode(
        texts[0], "lmenvs/Maze-v0?layout=u", 3, "all", texts[1], turns, texts[2], *over, True
    )
    episode = dataclasses.replace(episode, parent=parent, group=texts[0], noise=2, attempt=1)
    line = to_json(episode)
    assert from_json(line) == episode
    assert len(line.splitlines()) == 1 and line.isascii()


def _episode(seed: int = 0) -> Episode:
    turn = Turn("Go.", Action("left", (1, 2), (3, 4), (-0.5, -1.0)), -1.0)
    return Episode(
        f"e{seed}", "lmenvs/Maze-v0", seed, "all", "Play.", (turn, turn), "", True, False, False
    )


def test_the_total_reward_is_the_sum_over_turns():
    assert _episode().total_reward == -2.0


def test_plain_data_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        _episode().turns[0].action.text = "right"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: "[1, 2]", "expected a JSON object, got list"),
        (lambda raw: json.dumps(raw)[:-9], "expected one JSON object on the line"),
        (lambda raw: _without(raw, "turns"), "no field 'turns'"),
        (lambda raw: _without(raw, "seed"), "seed"),
        (lambda raw: json.dumps(raw | {"speed": 1}), "speed"),
        (lambda raw: json.dumps(raw | {"truncated": True}), "both terminated and truncated"),
        (lambda raw: json.dumps(raw | {"turns": [[1]]}), "expected the fields of an Episode"),
        (lambda raw: json.dumps(raw | {"turns": 3}), "expected the fields of an Episode"),
        (
            lambda raw: _turn(raw, action={"text": "a", "token_ids": [1], "logprobs": [1, 2]}),
            "1 token",
        ),
        (lambda raw: _turn(raw, action={"text": 3}), "text action"),
        (lambda raw: _turn(raw, reward="much"), "number reward"),
    ],
)
def test_what_is_no_episode_is_refused_in_one_line(change: Any, words: str):
    line = change(json.loads(to_json(_episode())))
    with pytest.raises(ValueError, match=words) as caught:
        from_json(line)
    assert "\n" not in str(caught.value)


def _without(raw: dict[str, Any], name: str) -> str:
    return json.dumps({key: value for key, value in raw.items() if key != name})


def _turn(raw: dict[str, Any], **change: Any) -> str:
    return json.dumps(raw | {"turns": [raw["turns"][0] | change]})


def test_a_file_of_episodes_reads_back_in_order(tmp_path: Path):
    path = tmp_path / "episodes.jsonl"
    episodes = [_episode(seed) for seed in range(3)]
    write_episodes(path, episodes[:1])
    write_episodes(path, episodes[1:], append=True)
    assert list(read_episodes(path)) == episodes
    write_episodes(path, episodes[:1])
    assert list(read_episodes(path)) == episodes[:1]


def test_a_broken_line_is_named_with_its_file_and_number(tmp_path: Path):
    path = tmp_path / "episodes.jsonl"
    good = to_json(_episode()).encode()
    for bad in (b'{"id": "x"', b'{"id": "\xff"}'):
        path.write_bytes(good + b"\n\n" + bad + b"\n" + good + b"\n")
        reader = read_episodes(path)
        assert next(reader) == _episode()
        with pytest.raises(ValueError, match=r"episodes\.jsonl, line 3: .*delete the line"):
            next(reader)


def test_reading_gives_all_whole_episodes_of_a_file_with_a_torn_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "episodes.jsonl"
    write_episodes(path, [_episode(0), _episode(1), _episode(2)])
    whole = path.read_bytes()
    second = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for cut in (second + 1, second + 40, len(whole) - 2):
        caplog.clear()
        path.write_bytes(whole[:cut])
        assert list(read_episodes(path)) == [_episode(0), _episode(1)]
        (said,) = [record.getMessage() for record in caplog.records]
        assert f"{path}, line 3: cut off" in said
    caplog.clear()
    for cut in (second, len(whole) - 1, len(whole)):  # only the line break is missing, or nothing
        path.write_bytes(whole[:cut])
        assert [e.seed for e in read_episodes(path)] == ([0, 1] if cut == second else [0, 1, 2])
    assert not caplog.records


def test_appending_behind_a_torn_line_repairs_first_and_loses_nothing(tmp_path: Path):
    path = tmp_path / "episodes.jsonl"
    torn = to_json(_episode(7))[:40]
    path.write_text(to_json(_episode(0)) + "\n" + torn)
    write_episodes(path, [_episode(1)], append=True)
    assert list(read_episodes(path)) == [_episode(0), _episode(1)]
    assert path.with_name("episodes.jsonl.torn").read_text() == torn + "\n"
    path.write_text(to_json(_episode(0)))  # whole but for its break
    write_episodes(path, [_episode(1)], append=True)
    assert list(read_episodes(path)) == [_episode(0), _episode(1)]
    assert path.with_name("episodes.jsonl.torn").read_text() == torn + "\n"
