import gc
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.rollout import collect
from algorithms.datasets.file import EpisodeFile
from lmenvs.types import Action, Episode, Turn, from_json, to_json, write_episodes

MICROWAVE = "lmenvs/Microwave-v0"


def _episode(name: str, rewards: list[float], env: str = MICROWAVE) -> Episode:
    turns = tuple(Turn(f"seen {name}", Action(f"do {name}"), reward) for reward in rewards)
    return Episode(name, env, 0, "all", "be good", turns, "end", True, False, sum(rewards) > 0)


def _file(folder: Path, episodes: list[Episode]) -> Path:
    write_episodes(folder / "episodes.jsonl", episodes)
    return folder / "episodes.jsonl"


def test_what_is_read_by_number_is_what_was_written(tmp_path: Path):
    episodes = collect(MICROWAVE, "random", range(40))
    file = EpisodeFile(_file(tmp_path, episodes), MICROWAVE)
    assert len(file) == 40 and list(file) == episodes and file[-1] == episodes[-1]
    assert file.read([7, 3, 7]) == [episodes[7], episodes[3], episodes[7]]
    assert file.returns_E.tolist() == [one.total_reward for one in episodes]
    assert file.turns_E.tolist() == [len(one.turns) for one in episodes]
    assert file.success_E.tolist() == [one.success for one in episodes]
    with pytest.raises(IndexError):
        file[40]


def test_invalid_turns_are_counted(tmp_path: Path):
    good = _episode("x", [1.0, 1.0, 1.0])
    bad = replace(good, turns=(good.turns[0], *(replace(t, valid=False) for t in good.turns[1:])))
    assert EpisodeFile(_file(tmp_path, [good, bad])).invalid_E.tolist() == [0, 2]


def test_the_best_share_stands_in_the_order_of_the_file_and_ties_go_to_the_first(tmp_path: Path):
    returns = [0.0, 2.0, 1.0, 2.0, -1.0, 1.0]
    file = EpisodeFile(_file(tmp_path, [_episode(str(i), [r]) for i, r in enumerate(returns)]))
    assert file.best(0.5).tolist() == [1, 2, 3]
    assert file.best(1 / 6).tolist() == [1]
    assert file.best(1.0).tolist() == list(range(6))
    assert file.best(1e-9).tolist() == [1]
    part = file.only(file.best(0.5))
    assert [one.id for one in part] == ["1", "2", "3"]
    assert part.returns_E.tolist() == [2.0, 1.0, 2.0] and len(file) == 6


def test_episodes_of_others_and_without_a_turn_are_passed_over(tmp_path: Path):
    episodes = [
        _episode("wordle", [1.0], "lmenvs/Wordle-v0"),
        _episode("none", []),
        _episode("plain", [1.0]),
        _episode("with arguments", [1.0], MICROWAVE + "?on_invalid=noop"),
        _episode("longer name", [1.0], MICROWAVE + "1"),
    ]
    path = _file(tmp_path, episodes)
    assert [one.id for one in EpisodeFile(path, MICROWAVE)] == ["plain", "with arguments"]
    assert len(EpisodeFile(path, MICROWAVE + "?on_invalid=noop")) == 2
    assert len(EpisodeFile(path)) == 4
    with pytest.raises(ValueError, match=r"expected episodes of lmenvs/Maze-v0, got .*Wordle"):
        EpisodeFile(path, "lmenvs/Maze-v0")
    with pytest.raises(ValueError, match="got no episode with a turn"):
        EpisodeFile(_file(tmp_path, [_episode("none", [])]))


def test_lines_of_any_width_and_blank_ones_are_found_again(tmp_path: Path):
    episodes = [_episode("ä🙂" * n, [1.0] * (1 + n % 3)) for n in range(12)]
    lines = [json.dumps(json.loads(to_json(one)), ensure_ascii=False) for one in episodes]
    path = tmp_path / "episodes.jsonl"
    path.write_bytes("\r\n \n".join(lines).encode())
    assert list(EpisodeFile(path)) == episodes


def _broken(change: dict[str, Any]) -> str:
    raw = json.loads(to_json(_episode("x", [1.0, 2.0])))
    for place, value in change.items():
        target: Any = raw
        *way, last = place.split("/")
        for step in way:
            target = target[int(step) if step.isdigit() else step]
        if value is ...:
            del target[last]
        else:
            target[last] = value
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"env": ...}, "field env: expected text, got no such field"),
        ({"env": 3}, "field env: expected text, got 3"),
        ({"seed": "0"}, "field seed: expected a whole number, got '0'"),
        ({"seed": True}, "field seed: expected a whole number, got True"),
        ({"success": 1}, "field success: expected true or false, got 1"),
        ({"group": 1}, "field group: expected text or null, got 1"),
        ({"colour": 1}, "field colour: expected none of this name"),
        ({"truncated": True}, "field truncated: expected false beside terminated"),
        ({"parent": ["a"]}, r"field parent: expected \[episode id, turn\]"),
        ({"turns": {}}, "field turns: expected a list"),
        ({"turns/1/reward": "x"}, r"field turns\[1\].reward: expected a number, got 'x'"),
        ({"turns/0/reward": np.nan}, r"field turns\[0\].reward: expected a finite number, got nan"),
        ({"turns/1/observation": None}, r"field turns\[1\].observation: expected text, got null"),
        ({"turns/1/action": "go"}, r"field turns\[1\].action: expected an object, got 'go'"),
        (
            {"turns/0/action/text": ...},
            r"field turns\[0\].action.text: expected text, got no",
        ),
        (
            {"turns/0/action/finish": "end"},
            r"field turns\[0\].action.finish: expected stop or",
        ),
        (
            {"turns/0/action/token_ids": [1.5]},
            r"field turns\[0\].action.token_ids: expected whole",
        ),
        (
            {"turns/0/action/logprobs": [-1.0]},
            r"field turns\[0\].action.logprobs: expected 0, one",
        ),
    ],
)
def test_a_broken_line_is_named_with_its_field(
    change: dict[str, Any], complaint: str, tmp_path: Path
):
    path = tmp_path / "episodes.jsonl"
    path.write_text(f"{to_json(_episode('good', [1.0]))}\n\n{_broken(change)}\n")
    with pytest.raises(ValueError, match=rf"episodes.jsonl, line 3, {complaint}") as caught:
        EpisodeFile(path)
    assert "\n" not in str(caught.value) and "correct or delete the line" in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[1]", "3", "[" * 100_000, '"\ud800"', "{}"])
def test_a_line_that_is_no_object_is_named(line: str, tmp_path: Path):
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(line.encode("utf-8", "surrogatepass") + b"\n")
    with pytest.raises(ValueError, match=r"episodes.jsonl, line 1, "):
        EpisodeFile(path)


def test_the_checks_let_pass_what_an_episode_can_be():
    episodes = [*collect(MICROWAVE, "random", range(3)), _episode("x", [1.0])]
    for one in episodes:
        assert from_json(to_json(one)) == one


def test_a_torn_end_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = _file(tmp_path, [_episode("a", [1.0]), _episode("b", [1.0])])
    path.write_bytes(path.read_bytes()[:-20])
    with caplog.at_level(logging.WARNING, logger="lmenvs"):
        assert [one.id for one in EpisodeFile(path)] == ["a"]
    assert "line 2: cut off while it was written" in caplog.text


def test_a_file_that_changes_under_the_reader_is_noticed_and_one_that_grows_is_not(tmp_path: Path):
    path = _file(tmp_path, [_episode("a", [1.0]), _episode("b", [1.0])])
    file = EpisodeFile(path)
    write_episodes(path, [_episode("c", [1.0])], append=True)
    assert [one.id for one in file] == ["a", "b"]
    write_episodes(path, [_episode("another", [1.0])])
    with pytest.raises(ValueError, match="changed while it was in use"):
        list(file)


def _living() -> int:
    return sum(type(one) is Episode for one in gc.get_objects())


def test_no_episode_lives_in_memory_and_an_episode_costs_29_bytes(tmp_path: Path):
    before = _living()
    file = EpisodeFile(_file(tmp_path, [_episode(str(i), [1.0]) for i in range(500)]))
    assert _living() == before
    held = [value for value in vars(file).values() if isinstance(value, np.ndarray)]
    assert sum(one.nbytes for one in held) == 29 * 500
    assert not [v for v in vars(file).values() if not isinstance(v, np.ndarray | Path)]
