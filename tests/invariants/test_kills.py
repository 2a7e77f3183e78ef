"""`kill -9` at any moment, then `--resume`: the weights are the uninterrupted run's to the bit."""

import sys
from pathlib import Path

import pytest

from tests.support.killing import ITERATIONS, SETTINGS, killed_and_resumed
from tests.support.training import start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        ("turn_ppo", 8),
        ("behaviour_cloning", 4),
        ("reinforce", 4),
        ("archer", 4),
        ("single_stream", 2),
        ("tppo", 2),
    ],
)
def test_a_killed_run_ends_as_if_it_had_never_been(name: str, kills: int, tmp_path: Path):
    assert len(killed_and_resumed(name, start(), tmp_path, kills, seed=1)) == kills


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_twenty_kills_at_random_moments_change_nothing(name: str, tmp_path: Path):
    struck = killed_and_resumed(name, start(), tmp_path, 20, seed=2)
    assert len(struck) == 20 and any(0 < done < ITERATIONS for done in struck)
