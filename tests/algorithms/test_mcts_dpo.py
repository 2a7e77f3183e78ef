"""MCTS-DPO learns what its searches find; the search is tested in preferences/test_mcts.py."""

from pathlib import Path

from algorithms import mcts_dpo
from algorithms.mcts_dpo import Config
from algorithms.preferences.mcts import Search
from lmenvs.types import read_episodes
from tests.support.training import MICROWAVE, metrics, start

SEARCH = Search(simulations=8, ways=4)
FAST = Config(iterations=1, epochs=6, tasks=4, search=SEARCH, learning_rate=3e-3, max_new_tokens=8)


def test_what_the_search_found_better_is_preferred(tmp_path: Path):
    run = mcts_dpo.train(MICROWAVE, start(), tmp_path / "run", FAST)
    for row in metrics(run):
        assert row["rollout/episodes"] == 4  # the roots; ways on are not counted as play
        assert row["rollout/environment_turns"] > 64
        assert row["loss/margin"] > 0
        assert row["loss/pairs"] > 4 and row["search/nodes"] > 2
    assert list(read_episodes(run / "episodes.jsonl"))
