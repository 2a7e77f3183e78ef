"""A million episodes train in two gigabytes: a file is never in memory as a whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lmenvs.lines import write_lines
from lmenvs.types import Action, Episode, Turn, to_json
from tests.support.training import MICROWAVE, metrics, start

ROOT = Path(__file__).resolve().parents[3]
EPISODES, MOST_MIB = 1_000_000, 2000
TRAIN = """
import json, sys, time
from algorithms import support
from algorithms.behaviour_cloning import Config, train
from algorithms.datasets.file import EpisodeFile

path, model, out, keep = sys.argv[1:]
began = time.perf_counter()
file = EpisodeFile(path)
opened = time.perf_counter() - began
count = len(file)
del file
config = Config(keep=float(keep), epochs=1, batch_size=1000, micro_tokens=32_768)
train("lmenvs/Microwave-v0", model, out, config, data=path)
took = time.perf_counter() - began - opened
mib = support.peak_memory_mib()
print(json.dumps({"episodes": count, "opened": opened, "trained": took, "mib": mib}))
"""


def _episode(number: int) -> Episode:
    """Three turns; the return tells the episodes apart."""
    said = ("open the microwave", "put the food in", "close the microwave")
    turns = tuple(
        Turn(f"It is {number % 7}.", Action(text), float(number % 10 == 0)) for text in said
    )
    return Episode(str(number), MICROWAVE, number, "all", "Warm it.", turns, "", True, False, True)


def trained(folder: Path, episodes: int, keep: float) -> dict[str, float]:
    """Seconds and memory of a process that opens a file and trains on its best share."""
    path = folder / "episodes.jsonl"
    write_lines(path, (to_json(_episode(number)) for number in range(episodes)))
    arguments = [str(path), str(start()), str(folder / "run"), str(keep)]
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_million_episodes_train_in_two_gigabytes(tmp_path: Path):
    measured = trained(tmp_path, EPISODES, 0.02)
    print(measured, (tmp_path / "episodes.jsonl").stat().st_size)
    assert measured["episodes"] == EPISODES and measured["mib"] < MOST_MIB
    (row,) = metrics(tmp_path / "run")
    assert row["demonstration/episodes"] == 20_000 and row["demonstration/return"] == 3.0
