from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.rollout import collect
from lmenvs.integrations.minari import read_minari, write_minari
from lmenvs.types import Action, Episode

minari = pytest.importorskip("minari", reason="extra minari")
from gymnasium.spaces import Discrete, Text  # noqa: E402
from minari.data_collector import EpisodeBuffer  # noqa: E402

ENV = "lmenvs/Microwave-v0"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # it asks for an author and more


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


def _others(name: str, **changes: object) -> None:
    """A dataset as somebody else would write it."""
    given: dict[str, object] = {
        "seed": 5,
        "observations": ["start", "näch", "end"],
        "actions": ["go", "stop"],
        "rewards": [0.0, 1.5],
        "terminations": [False, True],
        "truncations": [False, False],
    }
    letters = "".join(sorted({*"startnächend", *"gostop"}))
    minari.create_dataset_from_buffers(
        name,
        [EpisodeBuffer(**{**given, **changes})],  # type: ignore[arg-type]
        observation_space=Text(20, charset=letters),
        action_space=Text(20, charset=letters),
    )


def only(name: str, env: str | None = ENV) -> Episode | ValueError:
    ((_, found),) = read_minari(name, env)
    return found


def test_what_is_written_is_read_back_as_it_was(store: Path):
    episodes = collect(ENV, "random", range(6), max_turns=3)
    sampled = replace(
        episodes[0].turns[0],
        action=Action("say ä", (1, 2), (3, 4), (-0.5, -0.25), "length", True),
        feedback="hm",
        tool_calls=({"name": "x"},),
        reward=0.1,
    )
    episodes[0] = replace(episodes[0], turns=(sampled, *episodes[0].turns[1:]), parent=("p", 2))
    assert any(one.truncated for one in episodes) and any(one.terminated for one in episodes)
    write_minari("lmenvs/random-v0", episodes)
    assert [found for _, found in read_minari("lmenvs/random-v0")] == episodes
    folder = store / "lmenvs" / "random-v0"
    assert [found for _, found in read_minari(folder)] == episodes
    assert [place for place, _ in read_minari(folder)][1] == f"{folder}, episode 1"


def test_minari_itself_reads_what_was_written():
    episodes = collect(ENV, "expert", range(2))
    write_minari("lmenvs/expert-v0", episodes)
    dataset = minari.load_dataset("lmenvs/expert-v0")
    assert dataset.total_episodes == 2 and dataset.total_steps == sum(
        len(e.turns) for e in episodes
    )
    for mine, theirs in zip(episodes, dataset.iterate_episodes(), strict=True):
        assert list(theirs.actions) == [turn.action.text for turn in mine.turns]
        assert list(theirs.observations)[-1] == mine.final_observation
        assert theirs.rewards.sum() == pytest.approx(mine.total_reward)
        assert theirs.terminations[-1] and not theirs.truncations.any()


def test_a_dataset_of_others_is_read_by_its_arrays():
    _others("plain-v0", infos={"success": [False, False, True]})
    episode = only("plain-v0")
    assert isinstance(episode, Episode)
    seen = [(turn.observation, turn.action.text, turn.reward) for turn in episode.turns]
    assert seen == [("start", "go", 0.0), ("näch", "stop", 1.5)]
    assert (episode.final_observation, episode.env, episode.seed) == ("end", ENV, 5)
    assert (episode.terminated, episode.truncated, episode.success) == (True, False, True)
    assert (episode.id, episode.instructions) == ("plain-v0:0", "")


def test_a_recording_that_just_stops_is_truncated():
    _others("cut-v0", terminations=[False, False])
    episode = only("cut-v0")
    assert isinstance(episode, Episode) and episode.truncated and not episode.terminated


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"observations": ["start", "end"]}, "field observations: expected one for each of 2"),
        ({"rewards": [0.0]}, "field rewards: expected one for each of 2 actions"),
        ({"rewards": [0.0, np.nan]}, "field rewards: expected finite numbers"),
        ({"terminations": [True, True]}, "field terminations: expected an end on the last step"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], complaint: str):
    _others("broken-v0", **changes)
    found = only("broken-v0")
    assert isinstance(found, ValueError) and str(found).startswith(complaint)


def test_an_environment_has_to_be_named():
    _others("plain-v0")
    assert "expected an environment here or by --env" in str(only("plain-v0", None))


def test_a_dataset_that_is_not_there_or_no_text_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"none/x-v0: expected a Minari dataset on this machine"):
        list(read_minari("none/x-v0"))
    minari.create_dataset_from_buffers(
        "numbers-v0",
        [
            EpisodeBuffer(
                observations=np.array([0, 1]),  # type: ignore[arg-type]
                actions=np.array([0]),  # type: ignore[arg-type]
                rewards=[0.0],
                terminations=[True],
                truncations=[False],
            )
        ],
        observation_space=Discrete(2),
        action_space=Discrete(2),
    )
    with pytest.raises(ValueError, match=r"numbers-v0, field observation_space: expected text"):
        list(read_minari("numbers-v0"))
    with pytest.raises(ValueError, match="expected an episode with a turn, got none"):
        write_minari("empty-v0", [])
