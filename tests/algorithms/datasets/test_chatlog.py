import json
from pathlib import Path
from typing import Any

import pytest

from algorithms.batch import make_batch
from algorithms.datasets.chatlog import read_chat_log
from algorithms.datasets.file import EpisodeFile
from algorithms.datasets.importing import import_dataset
from lmenvs.types import Episode, read_episodes
from tests.support.training import beginner

ENV = "lmenvs/Maze-v0"


def say(*messages: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"role": role, "content": text} for role, text in messages]


PLAIN = say(("system", "S"), ("user", "a"), ("assistant", "1"), ("user", "b"), ("assistant", "2"))


def _log(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    return path


def read(folder: Path, line: dict[str, Any], env: str | None = ENV) -> Episode:
    ((_, found),) = read_chat_log(_log(folder, line), env)
    assert isinstance(found, Episode), found
    return found


def test_messages_become_turns(tmp_path: Path):
    episode = read(tmp_path, {"messages": [*PLAIN, *say(("user", "bye"))]})
    assert (episode.instructions, episode.final_observation) == ("S", "bye")
    seen = [(turn.observation, turn.action.text, turn.reward) for turn in episode.turns]
    assert seen == [("a", "1", 0.0), ("b", "2", 0.0)]
    assert (episode.id, episode.env, episode.seed, episode.split) == ("log:1", ENV, 1, "all")
    assert episode.terminated and not episode.truncated and not episode.success


def test_the_other_fields_are_kept(tmp_path: Path):
    line = {"messages": PLAIN, "rewards": [1, -0.5], "success": True, "truncated": True}
    line |= {"env": "lmenvs/Wordle-v0?feedback=lmrl", "seed": 7, "id": "x", "group": "g"}
    line |= {"split": "train", "weight": 3}
    episode = read(tmp_path, line, None)
    assert [turn.reward for turn in episode.turns] == [1.0, -0.5]
    assert episode.success and episode.truncated and not episode.terminated
    assert (episode.id, episode.group, episode.seed) == ("x", "g", 7)
    assert (episode.env, episode.split) == ("lmenvs/Wordle-v0?feedback=lmrl", "train")
    last = read(tmp_path, {"messages": PLAIN, "reward": 2})
    assert [turn.reward for turn in last.turns] == [0.0, 2.0]


def test_share_gpt_is_read_as_the_same_conversation(tmp_path: Path):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    other = [{"from": names[m["role"]], "value": m["content"]} for m in PLAIN]
    assert read(tmp_path, {"conversations": other}) == read(tmp_path, {"messages": PLAIN})


def test_what_stands_between_two_answers_is_one_observation(tmp_path: Path):
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        *say(("developer", "A"), ("system", "B"), ("user", "a"), ("user", "b")),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "a wall", "tool_call_id": "1"},
        {"role": "tool", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        *say(("system", "late"), ("assistant", "done")),
    ]
    episode = read(tmp_path, {"messages": messages})
    assert episode.instructions == "A\n\nB"
    assert [turn.observation for turn in episode.turns] == ["a\n\nb", "a wall\n\na\nb\n\nlate"]
    assert episode.turns[0].action.text == '{"name": "look", "arguments": "{}"}'
    greeting = read(tmp_path, {"messages": say(("assistant", "hello"))})
    assert greeting.turns[0].observation == "" and greeting.instructions == ""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"messages": None}, "field messages: expected a list, got null"),
        ({"messages": [3]}, r"field messages\[0\]: expected an object, got 3"),
        ({"messages": [{"role": "boss"}]}, r"field messages\[0\].role: expected one of .*'boss'"),
        ({"messages": [{"role": "user"}]}, r"field messages\[0\].content: expected text, got null"),
        ({"messages": say(("user", "a"))}, "field messages: expected one of the assistant at"),
        ({"messages": say(("assistant", "a"), ("assistant", "b"))}, r"field messages\[1\]: .*row"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            r"field messages\[0\].content\[0\]: expected an object with text",
        ),
        ({"conversations": []}, "field messages: expected it or conversations, got both"),
        ({"rewards": [1]}, "field rewards: expected 2 numbers, one for each assistant message"),
        ({"rewards": [1, "x"]}, r"field rewards\[1\]: expected a finite number, got 'x'"),
        ({"rewards": [1, float("inf")]}, r"field rewards\[1\]: expected a finite number, got inf"),
        ({"reward": True}, "field reward: expected a finite number, got True"),
        ({"reward": 1, "rewards": [1, 1]}, "field reward: expected none beside rewards"),
        ({"success": "yes"}, "field success: expected true or false, got 'yes'"),
        ({"terminated": True, "truncated": True}, "field truncated: expected false beside"),
        ({"seed": -1}, "field seed: expected a whole number >= 0, got -1"),
        ({"split": "valid"}, "field split: expected all or train or test, got 'valid'"),
        ({"env": 3}, "field env: expected text, got 3"),
        ({"env": "lmenvs/Maze-v0?x"}, "field env: environment .*expected ID.key=value"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_field(
    change: dict[str, Any], complaint: str, tmp_path: Path
):
    path = _log(tmp_path, {"messages": PLAIN}, "", {"messages": PLAIN, **change})
    with pytest.raises(ValueError, match=rf"log.jsonl, line 3, {complaint}") as caught:
        import_dataset(lambda: read_chat_log(path, ENV), tmp_path / "out", {})
    assert "\n" not in str(caught.value) and "--skip-broken" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_line_without_an_environment_asks_for_one(tmp_path: Path):
    ((_, found),) = read_chat_log(_log(tmp_path, {"messages": PLAIN}))
    assert str(found) == "field env: expected an env string here or by --env, got neither"


def test_broken_lines_are_left_out_and_listed_where_asked(tmp_path: Path):
    path = _log(tmp_path, {"messages": PLAIN}, "{", {"messages": PLAIN, "reward": 1}, {"x": 1})
    found = import_dataset(
        lambda: read_chat_log(path, ENV), tmp_path / "out", {"format": "chat"}, skip_broken=True
    )
    assert found.broken == 2 and [line.split(", field")[0] for line in found.listed][1] == (
        f"{path}, line 4"
    )
    episodes = list(read_episodes(tmp_path / "out" / "episodes.jsonl"))
    assert [one.id for one in episodes] == ["log:1", "log:3"]
    assert found.card.episodes == 2 and found.card.made is not None
    assert found.card.made.how == "imported" and found.card.made.settings["broken"] == 2
    path = _log(tmp_path, "{")
    with pytest.raises(ValueError, match=r"expected one good episode at least, got 1 broken"):
        import_dataset(lambda: read_chat_log(path, ENV), tmp_path / "other", {}, skip_broken=True)
    assert not (tmp_path / "other").exists()


def test_imported_episodes_can_be_trained_on(tmp_path: Path):
    path = _log(tmp_path, {"messages": PLAIN}, {"messages": PLAIN[1:]})
    import_dataset(lambda: read_chat_log(path, ENV), tmp_path / "out", {})
    file = EpisodeFile(tmp_path / "out" / "episodes.jsonl", ENV)
    _, chat = beginner()
    batch = make_batch(list(file), chat)
    said = [chat.decode(batch.ids[row][batch.turn_index[row] == 1].tolist()) for row in (0, 1)]
    assert said == ["2", "2"]
