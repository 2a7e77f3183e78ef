"""LMRL-Gym's maze is solved from a file of poor play, and online from its clone (minutes each)."""

from dataclasses import replace
from pathlib import Path

import pytest

from agents.rollout import evaluate
from agents.utterance_critics import Reading
from algorithms import archer, behaviour_cloning, ilql
from algorithms.datasets.make import Recipe, make_dataset
from lmenvs.scores import normalise

MAZE = "lmenvs/Maze-v0"
POOR = "expert?noise=0.85"


def held_out(env: str, run: Path) -> float:
    """The return of a folder's policy as it samples, on seeds that nothing was chosen on."""
    return evaluate(env, f"hf:{run}", episodes=200, seed=1_000_000).returns.mean


@pytest.mark.slow
@pytest.mark.parametrize(("view", "wanted"), [("", 99.9), ("?observability=partial", 112.0)])
def test_ilql_solves_the_maze_from_a_file(tmp_path: Path, view: str, wanted: float):
    env = MAZE + view
    card = make_dataset(Recipe(env, ((POOR, 1.0),), 2000), tmp_path / "data")
    assert card.returns.mean < -45
    config = ilql.Config(evaluations=0)
    run = ilql.train(env, None, tmp_path / "run", config, data=tmp_path / "data" / "episodes.jsonl")
    # the partial view's published maximum is no bound: its optimum, -7.24, is 116 on that scale
    assert normalise(env, held_out(env, run)) > wanted


@pytest.mark.slow
def test_archer_solves_the_maze_from_a_clone_of_poor_play(tmp_path: Path):
    clone = behaviour_cloning.Config(
        demonstrator=POOR, episodes=600, epochs=2, observation_weight=0.1
    )
    start = behaviour_cloning.pretrain(
        MAZE,
        tmp_path / "start",
        behaviour_cloning.TinyConfig(hidden=64, layers=2, memory=0, clone=clone),
    )
    before = held_out(MAZE, start)
    critic = replace(archer.STEADY, reading=Reading("turn"))
    config = archer.Config(critic=critic, iterations=50, max_turns=60, max_new_tokens=8)
    run = archer.train(MAZE, start, tmp_path / "run", config)
    after = held_out(MAZE, run)
    assert before < -40 and normalise(MAZE, after) > 99
