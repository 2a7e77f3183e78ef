from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from agents import make_policy
from agents.lm import LMPolicy
from agents.rollout import collect
from algorithms import mc_returns
from algorithms.token_values.network import Values
from algorithms.token_values.pieces import Piece, played_returns
from lmenvs.types import write_episodes
from tests.support.training import MICROWAVE, metrics, played, start

SHORT = mc_returns.Config(iterations=2, steps=3, batch_size=4, evaluations=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "episodes.jsonl"
    write_episodes(file, collect(MICROWAVE, "random", range(32)))
    return file


@pytest.mark.parametrize(
    ("behind", "first", "last"), [(0.0, 2.0, 2.0), (8.0, 4.0, 6.0), (None, 3.5, 5.0)]
)
def test_q_is_fitted_to_the_return_as_played(behind: float | None, first: float, last: float):
    """Two turns earn 1 and 2; behind them lies nothing, 8, or what the critic says: 6."""
    episode = next(one for one in played() if len(one.turns) > 1)
    turns = [replace(t, reward=r) for t, r in zip(episode.turns, (1.0, 2.0), strict=False)]
    cut = behind != 0
    piece = Piece(replace(episode, turns=tuple(turns), terminated=not cut, truncated=cut), behind)
    ((one, two),) = played_returns([piece], [6.0], 0.5, "turn")
    assert len(one) == len(turns[0].action.token_ids) and len(two) == len(turns[1].action.token_ids)
    assert one == approx(np.full(len(one), first)) and two == approx(np.full(len(two), last))


def test_a_run_leaves_a_folder_that_plays_with_its_values(tmp_path: Path, data: Path):
    run = mc_returns.train(MICROWAVE, start(), tmp_path / "run", SHORT, data=data)
    assert isinstance(make_policy(f"hf:{run}"), LMPolicy)
    assert (run / "checkpoints" / "guide.json").exists()
    assert [row["rollout/episodes"] for row in metrics(run)] == [4, 4]


def test_where_returns_are_certain_values_approach_them(tmp_path: Path):
    file = tmp_path / "expert.jsonl"
    write_episodes(file, collect(MICROWAVE, "expert", range(4)))
    config = replace(SHORT, iterations=6, steps=8, evaluations=0, learning_rate=1e-2)
    config = replace(config, values=Values(heads_learning_rate=1e-2))
    run = mc_returns.train(MICROWAVE, start(), tmp_path / "run", config, data=file)
    rows = metrics(run)
    for name in ("loss/v_error", "loss/q_error"):
        assert rows[-1][name] < 0.3 * rows[0][name]
