"""From nothing but a file of poor play, values steer a tiny model to the goal of a small maze."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents import make_policy
from agents.guidance import Guide, load_guide
from agents.models import decoder, load_model
from agents.rollout import collect, evaluate
from algorithms import ilql
from algorithms.credit import explained_variance
from algorithms.token_values.network import Values
from lmenvs import exact
from lmenvs.registration import make
from lmenvs.types import Message, write_episodes

ENV = "lmenvs/Maze-v0?layout=u"
MOVES = ("move left", "move right", "move up", "move down")


def advantages(run: Path, discount: float) -> tuple[np.ndarray, np.ndarray]:
    """min Q - V of every move in every cell, by the run's values and exactly; centred by cell."""
    model, chat = load_model(run)
    guide = load_guide(run, model)
    assert isinstance(guide, Guide)
    env, solution = make(ENV), exact.solve(make(ENV), discount=discount)
    tokens = [chat.encode_action(move)[0] for move in MOVES]
    mine, true = [], []
    for key in solution.start_states:
        row, column = key.split(",")
        text, _ = env.reset(options={"start": (int(row), int(column))})
        told = [Message("system", env.unwrapped.instructions), Message("user", text)]  # type: ignore[attr-defined]
        with torch.no_grad():
            hidden = decoder(model)(input_ids=torch.tensor([chat.start(told)])).last_hidden_state
            mine.append(guide.shift(hidden[0, -1])[tokens].numpy() / guide.strength)
        true.append([solution.advantage(key, move) for move in MOVES])
    centred = [np.array(grid) - np.mean(grid, axis=1, keepdims=True) for grid in (mine, true)]
    return centred[0], centred[1]


@pytest.mark.slow
def test_ilql_finds_the_way_that_nobody_in_the_file_took(tmp_path: Path):
    file = tmp_path / "episodes.jsonl"
    played = collect(ENV, "expert?noise=0.96", range(400), record=False)
    assert np.mean([one.total_reward for one in played]) < -35  # against -2.5 for the best
    write_episodes(file, played)
    # the exact values are the best player's: at 0.7, with half the steps, the way is found too, but
    # advantages come out 1.7 times as large (explained variance 0.41); at 0.9 it takes longer
    config = replace(
        ilql.Config(), iterations=24, expectile=0.9, evaluations=0, values=Values(turns=8)
    )
    run = ilql.train(ENV, None, tmp_path / "run", config, data=file)
    report = evaluate(ENV, make_policy(f"hf:{run}?temperature=0"), episodes=48, seed=10**6)
    assert report.returns.mean > -2.8
    mine, true = advantages(run, config.values.discount)
    assert explained_variance(mine.ravel(), true.ravel()) > 0.7
    alone = evaluate(ENV, make_policy(f"hf:{run}?strength=0"), episodes=48, seed=10**6)
    assert alone.returns.mean < -20  # the model alone plays as the file does
