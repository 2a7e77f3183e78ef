"""Wrappers show or note what the environment says, and change nothing else."""

import os
from pathlib import Path

import gymnasium
import pytest

import lmenvs
from lmenvs import read_episodes
from lmenvs.wrappers import RecordEpisodes, TranscriptObservation
from tests.lmenvs.small import Hallway, Ladder


def test_a_transcript_holds_the_instructions_and_all_that_was_said():
    env = TranscriptObservation(Hallway())
    first, _ = env.reset(seed=0)
    assert first == f"{Hallway.instructions}\nFloor."
    env.step("left")
    text, reward, terminated, truncated, info = env.step("jump")
    assert text == f"{Hallway.instructions}\nFloor.\n> left\nFloor.\n> jump\nSay left or right."
    assert (reward, terminated, truncated, info["error"]) == (-2.0, False, False, "malformed")
    assert env.reset(seed=0)[0] == first


def test_a_short_transcript_keeps_the_task_and_the_last_turns():
    env = TranscriptObservation(Hallway(), turns=1)
    env.reset(seed=0)
    assert env.step("left")[0] == f"{Hallway.instructions}\nFloor.\n> left\nFloor."
    assert env.step("right")[0] == f"{Hallway.instructions}\nFloor.\n> right\nFloor."
    with pytest.raises(ValueError, match="turns=0"):
        TranscriptObservation(Hallway(), turns=0)


def test_what_is_behind_unwrapped_stays_the_environment():
    inner = Hallway()
    env = RecordEpisodes(TranscriptObservation(inner), os.devnull)
    env.reset(seed=0)
    assert env.unwrapped is inner
    inner.restore(inner.snapshot())
    assert env.step("left")[1:] == (-1.0, False, False, {"valid": True, "error": None})
    assert env.observation_space == inner.observation_space


def test_a_wrapped_environment_is_made_again_from_its_spec():
    env = TranscriptObservation(gymnasium.make("lmenvs/Microwave-v0"), turns=2)
    assert env.spec is not None
    again = gymnasium.make(env.spec)
    assert isinstance(again, TranscriptObservation)
    assert again.reset(seed=1) == env.reset(seed=1)


def test_recorded_episodes_read_back_as_they_were_played(tmp_path: Path):
    path = tmp_path / "episodes.jsonl"
    inner = lmenvs.make("lmenvs/Maze-v0?layout=u&observability=partial")
    env = RecordEpisodes(inner, path)
    observation, _ = env.reset(seed=4, options={"start": (3, 1)})
    rewards, terminated, key = [], False, ""
    while not terminated:
        key = inner.state_key()
        observation, reward, terminated, _, _ = env.step(inner.expert_action())
        rewards.append(reward)
    (episode,) = read_episodes(path)
    assert episode.env == "lmenvs/Maze-v0?layout=u&observability=partial"
    assert [turn.reward for turn in episode.turns] == rewards
    assert (episode.terminated, episode.truncated, episode.success) == (True, False, True)
    assert episode.final_observation == observation
    assert episode.turns[-1].state_key == key
    assert (episode.seed, episode.noise) == (4, 0)


def test_an_episode_that_is_left_or_cut_off_is_recorded_as_truncated(tmp_path: Path):
    path = tmp_path / "episodes.jsonl"
    env = RecordEpisodes(gymnasium.wrappers.TimeLimit(Ladder(), 2), path)
    env.reset(seed=0)
    env.step("rest")
    env.reset(seed=1, options={"noise": 3})
    env.step("rest")
    env.step("nonsense")
    env.reset()
    env.close()
    left, cut = read_episodes(path)
    assert [len(left.turns), len(cut.turns)] == [1, 2]
    assert left.truncated and cut.truncated and not cut.terminated
    assert (cut.seed, cut.noise, cut.turns[1].error) == (1, 3, "unknown")
    assert left.id != cut.id


def test_an_environment_of_another_kind_is_refused():
    env = TranscriptObservation(gymnasium.make("CartPole-v1"))
    with pytest.raises(TypeError, match="expected a TextEnv inside, got CartPoleEnv"):
        env.reset(seed=0)
