"""The replay buffer keeps the newest turns, samples fairly and survives a round trip."""

import numpy as np
import pytest

from algorithms.replay import ReplayBuffer
from lmenvs.types import Action, Episode, Turn


def episode(name: str, turns: int) -> Episode:
    said = tuple(
        Turn(
            observation=f"room {index} ñ",
            action=Action(f"go {index}", (1, 2), (3, index), (-0.1, -1 / 3)),
            reward=0.1 * index,
        )
        for index in range(turns)
    )
    return Episode(name, "lmenvs/Test-v0", 7, "train", "Play.", said, "end", True, False, True)


def names(episodes: "list[Episode] | tuple[Episode, ...]") -> list[str]:
    return [each.id for each in episodes]


def test_the_oldest_episodes_leave_until_the_turns_fit():
    buffer = ReplayBuffer(max_turns=6)
    buffer.add([episode("a", 2), episode("b", 3), episode("c", 1)])
    assert (names(buffer.episodes), buffer.turns) == (["a", "b", "c"], 6)
    buffer.add([episode("d", 3)])
    assert (names(buffer.episodes), buffer.turns, len(buffer)) == (["c", "d"], 4, 2)


def test_an_episode_that_fills_the_buffer_exactly_stays_alone():
    buffer = ReplayBuffer(max_turns=3)
    buffer.add([episode("a", 1), episode("b", 3)])
    assert names(buffer.episodes) == ["b"]


def test_an_episode_longer_than_the_buffer_is_refused_and_changes_nothing():
    buffer = ReplayBuffer(max_turns=3)
    buffer.add([episode("a", 2)])
    with pytest.raises(ValueError, match="episode c has 4 turns, the buffer holds 3"):
        buffer.add([episode("b", 1), episode("c", 4)])
    assert (names(buffer.episodes), buffer.turns) == (["a"], 2)


def test_an_episode_without_turns_is_passed_over():
    buffer = ReplayBuffer()
    buffer.add([episode("empty", 0)])
    assert len(buffer) == 0


def test_sampling_by_episode_draws_each_alike_and_by_turn_as_often_as_it_has_turns():
    buffer = ReplayBuffer()
    buffer.add([episode("short", 1), episode("long", 3)])
    alike = names(buffer.sample(4000, np.random.default_rng(0)))
    by_turn = names(buffer.sample(4000, np.random.default_rng(0), weight="turn"))
    # four standard deviations of 4000 draws are 0.032 and 0.027
    assert alike.count("long") / 4000 == pytest.approx(0.5, abs=0.032)
    assert by_turn.count("long") / 4000 == pytest.approx(0.75, abs=0.027)


def test_equal_generators_draw_equal_samples_and_nothing_else_is_random():
    buffer = ReplayBuffer()
    buffer.add(episode(str(index), 1 + index % 3) for index in range(20))
    np.random.seed(1)
    first = names(buffer.sample(10, np.random.default_rng(5), weight="turn"))
    np.random.seed(2)
    assert names(buffer.sample(10, np.random.default_rng(5), weight="turn")) == first


def test_a_saved_and_loaded_buffer_is_equal_and_samples_the_same(tmp_path):
    buffer = ReplayBuffer(max_turns=30)
    buffer.add(episode(str(index), 1 + index % 3) for index in range(20))
    buffer.save(tmp_path / "replay.jsonl")
    loaded = ReplayBuffer.load(tmp_path / "replay.jsonl", max_turns=30)
    assert loaded.episodes == buffer.episodes
    assert loaded.turns == buffer.turns
    ours, theirs = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(3):
        assert loaded.sample(5, theirs) == buffer.sample(5, ours)
        loaded.add([episode("new", 2)])
        buffer.add([episode("new", 2)])
    assert [path.name for path in tmp_path.iterdir()] == ["replay.jsonl"]


def test_a_broken_file_is_named_with_its_line(tmp_path):
    buffer = ReplayBuffer()
    buffer.add([episode("a", 1)])
    buffer.save(tmp_path / "replay.jsonl")
    with (tmp_path / "replay.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "b"\n')
    with pytest.raises(ValueError, match=r"replay\.jsonl, line 2"):
        ReplayBuffer.load(tmp_path / "replay.jsonl")


def test_wrong_uses_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match="add episodes before sampling"):
        ReplayBuffer().sample(1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected at least 1"):
        ReplayBuffer(max_turns=0)
    buffer = ReplayBuffer()
    buffer.add([episode("a", 1)])
    with pytest.raises(ValueError, match="'episode' or 'turn'"):
        buffer.sample(1, np.random.default_rng(0), weight="token")  # pyright: ignore[reportArgumentType]
