import gc
import json
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.rollout import collect
from agents.starts import starts_of
from algorithms import support
from algorithms.behaviour_cloning import Config, demonstrations
from algorithms.datasets import make
from algorithms.datasets.card import Part
from algorithms.datasets.make import Recipe, make_dataset, parse_mix, parts_of
from lmenvs.types import Episode, read_episodes

MICROWAVE = "lmenvs/Microwave-v0"
RECIPE = Recipe(MICROWAVE, (("random", 1.0), ("expert", 1.0)), episodes=20, seed=3)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("episodes.jsonl", "card.json")}


def test_the_bytes_do_not_depend_on_width_or_chunks(tmp_path: Path):
    make_dataset(RECIPE, tmp_path / "a")
    make_dataset(RECIPE, tmp_path / "b", width=3, chunk=4)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    make_dataset(replace(RECIPE, seed=4), tmp_path / "c")
    assert _bytes(tmp_path / "a") != _bytes(tmp_path / "c")


def test_it_is_the_demonstrations_that_cloning_plays_with_the_same_seed(tmp_path: Path):
    for env in (MICROWAVE, "lmenvs/Wordle-v0"):
        recipe = Recipe(env, (("expert?noise=0.5", 1.0),), episodes=6, seed=2)
        folder = tmp_path / env.replace("/", "-")
        make_dataset(recipe, folder)
        config = Config(seed=2, episodes=6, demonstrator="expert?noise=0.5")
        played = demonstrations(env, config)
        recorded = list(read_episodes(folder / "episodes.jsonl"))
        assert [one.split for one in recorded] == [one.split for one in played]
        assert [[t.action for t in one.turns] for one in recorded] == [
            [t.action for t in one.turns] for one in played
        ]
        assert all(turn.state_key is not None for one in recorded for turn in one.turns)


def test_each_policy_plays_its_share_and_the_card_says_which(tmp_path: Path):
    recipe = replace(RECIPE, policies=(("random", 3.0), ("expert", 1.0)))
    card = make_dataset(recipe, tmp_path / "a", chunk=4)
    assert parts_of(recipe) == [Part("random", 0, 15), Part("expert", 15, 20)]
    episodes = list(read_episodes(tmp_path / "a" / "episodes.jsonl"))
    expert = collect(MICROWAVE, "expert", [one.seed for one in episodes[15:]])
    assert [one.total_reward for one in expert] == [one.total_reward for one in episodes[15:]]
    assert card.made is not None and card.made.parts == parts_of(recipe)
    (_, _, random_won), (_, mean, won) = card.parts
    assert won == 1.0 and mean == sum(one.total_reward for one in expert) / 5
    assert random_won == sum(one.success for one in episodes[:15]) / 15 < 1


def test_a_task_that_is_drawn_again_sees_the_chance_of_the_next_member_of_its_group():
    seeds = np.random.default_rng(0).integers(5, size=30)
    times = make._times_before(seeds)
    one_by_one = [
        start
        for seed, noise in zip(seeds.tolist(), times.tolist(), strict=True)
        for start in starts_of("x", [seed], noise=noise)
    ]
    assert one_by_one == list(starts_of("x", seeds.tolist()))
    assert len({start.id for start in one_by_one}) == 30


def test_several_episodes_of_one_task_stand_together_with_chance_of_their_own(tmp_path: Path):
    recipe = Recipe(MICROWAVE, (("random", 1.0),), 7, per_task=3)
    make_dataset(recipe, tmp_path / "d")
    episodes = list(read_episodes(tmp_path / "d" / "episodes.jsonl"))
    seeds = [one.seed for one in episodes]
    assert [seeds.count(seed) for seed in dict.fromkeys(seeds)] == [3, 3, 1]
    assert [one.noise for one in episodes] == [0, 1, 2, 0, 1, 2, 0]
    assert len({one.id for one in episodes}) == 7
    with pytest.raises(ValueError, match="per_task 0; expected at least 1"):
        Recipe(MICROWAVE, (("random", 1.0),), 7, per_task=0)


def test_what_was_interrupted_goes_on_to_the_same_bytes(tmp_path: Path):
    make_dataset(RECIPE, tmp_path / "a")
    whole = _bytes(tmp_path / "a")
    file = tmp_path / "a" / "episodes.jsonl"
    for size in (0, 5000, len(whole["episodes.jsonl"]) - 1):
        os.truncate(file, size)
        (tmp_path / "a" / "card.json").unlink()
        make_dataset(RECIPE, tmp_path / "a", resume=True, chunk=3)
        assert _bytes(tmp_path / "a") == whole
    assert not (tmp_path / "a" / "episodes.jsonl.torn").exists()


def test_a_stop_keeps_whole_chunks_and_names_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kill = support.Run.episodes

    def interrupt(self: support.Run, episodes: object) -> None:
        kill(self, episodes)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(support.Run, "episodes", interrupt)
    with pytest.raises(support.Interrupted):
        make_dataset(RECIPE, tmp_path / "a", chunk=4)
    monkeypatch.undo()
    assert len(list(read_episodes(tmp_path / "a" / "episodes.jsonl"))) == 4
    make_dataset(RECIPE, tmp_path / "a", resume=True)
    make_dataset(RECIPE, tmp_path / "b")
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")


def test_no_more_than_a_chunk_of_episodes_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def living() -> int:
        return sum(type(one) is Episode for one in gc.get_objects())

    gc.collect()
    before, most, keep = living(), 0, support.Run.episodes

    def counted(self: support.Run, episodes: Iterable[Episode]) -> None:
        nonlocal most
        most = max(most, living() - before)
        keep(self, episodes)

    monkeypatch.setattr(support.Run, "episodes", counted)
    make_dataset(replace(RECIPE, episodes=100), tmp_path / "a", chunk=25)
    assert 25 <= most <= 50  # one is written while the next is played
    assert living() == before


def test_nothing_is_overwritten(tmp_path: Path):
    make_dataset(RECIPE, tmp_path / "a")
    whole = _bytes(tmp_path / "a")
    with pytest.raises(ValueError, match="expected an empty folder"):
        make_dataset(RECIPE, tmp_path / "a")
    with pytest.raises(ValueError, match=r"got seed: 3 -> 4; resume with the same options"):
        make_dataset(replace(RECIPE, seed=4), tmp_path / "a", resume=True)
    assert _bytes(tmp_path / "a") == whole


def test_a_turn_limit_and_a_split_are_kept(tmp_path: Path):
    recipe = Recipe("lmenvs/Wordle-v0", (("random", 1.0),), episodes=4, split="test", max_turns=2)
    card = make_dataset(recipe, tmp_path / "a")
    episodes = list(read_episodes(tmp_path / "a" / "episodes.jsonl"))
    assert {one.split for one in episodes} == {"test"} and card.truncated == 1.0
    record = json.loads((tmp_path / "a" / "config.json").read_text())
    assert record["config"]["split"] == "test" and record["commit"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("random:1", (("random", 1.0),)),
        ("random:0.5,expert?noise=0.2:.5", (("random", 0.5), ("expert?noise=0.2", 0.5))),
        (
            "openai:m@http://h:8000/v1:1,random:2",
            (("openai:m@http://h:8000/v1", 1.0), ("random", 2)),
        ),
        ('hf:a?stop=["x","y"]:3,expert:1', (('hf:a?stop=["x","y"]', 3.0), ("expert", 1.0))),
    ],
)
def test_a_mixture_is_read(text: str, expected: object):
    assert parse_mix(text) == expected


@pytest.mark.parametrize("text", ["", "random", "random:", "random:x", "random:1,", ",random:1"])
def test_a_mixture_that_is_none_is_refused(text: str):
    with pytest.raises(ValueError, match="expected POLICY:SHARE"):
        parse_mix(text)


@pytest.mark.parametrize(
    "wrong", [{"episodes": 0}, {"episodes": 1}, {"seed": -1}, {"policies": (("a", 0.0),)}]
)
def test_a_recipe_that_cannot_be_made_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}"):
        replace(RECIPE, **wrong)  # type: ignore[arg-type]
