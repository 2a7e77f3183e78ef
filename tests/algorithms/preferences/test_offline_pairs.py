"""Pairs of a file's episodes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from algorithms.datasets.file import EpisodeFile
from algorithms.preferences.offline import pairs_of_file
from lmenvs.types import write_episodes
from tests.support.training import MICROWAVE, played


def file(folder: Path, group_size: int = 4) -> EpisodeFile:
    episodes = [replace(e, group=None) for e in played(12, group_size=group_size)]
    write_episodes(folder / "data.jsonl", episodes)
    return EpisodeFile(folder / "data.jsonl", MICROWAVE)


def test_episodes_of_one_seed_are_paired_better_first(tmp_path: Path):
    data = file(tmp_path)
    for pair in pairs_of_file(data, 0.0, False).draw(np.random.default_rng(0), 64):
        one, other = data[pair.chosen], data[pair.rejected]
        assert one.seed == other.seed
        assert one.total_reward - other.total_reward == pair.margin > 0


def test_across_tasks_any_two_are_paired(tmp_path: Path):
    data = file(tmp_path, group_size=1)
    with pytest.raises(ValueError, match="across_tasks"):
        pairs_of_file(data, 0.0, False)
    drawn = pairs_of_file(data, 0.0, True).draw(np.random.default_rng(0), 64)
    assert all(data.returns_E[p.chosen] > data.returns_E[p.rejected] for p in drawn)
