"""LMRL-Gym's table, cell by cell: a task, a method, a seed. Resumable; a cell that was run is kept.

Everything starts from the same file of a task (its seed is 0) and, but for the clones, from the
model that was cloned on it with the cell's seed. A cell is scored on held-out play as sampled and
greedy, raw and normalised: by LMRL-Gym's bounds where the task is theirs, elsewhere by our own
minimum, data average and expert.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.rollout import evaluate
from lmenvs.envs.word.word_lists import reference_name
from lmenvs.references import references
from lmenvs.registration import find

from ... import support
from ...checkpoints import write_whole
from ...datasets.file import EpisodeFile
from ...datasets.make import EPISODES, Recipe, make_dataset
from ...locks import lock_folder
from ..kept import differing
from . import methods
from .tasks import WORDS, Task, tasks

SEEDS = (0, 1, 2)
EVALUATION_SEED = 1_000_000
WHERE = ("model", "env", "data")  # of a run's settings: where things lay on the machine


@dataclass(frozen=True, slots=True)
class Cell:
    """One training."""

    task: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """What the file calls it."""
        return f"{self.task} / {self.method} / {self.seed}"


def cells(
    chosen: Sequence[str] = (), columns: Sequence[str] = (), seeds: Sequence[int] = SEEDS
) -> Iterator[Cell]:
    """The cells of these tasks and methods (all without a choice), in the order of the table."""
    for task in chosen or tasks():
        for seed in seeds:
            for method in columns or methods.METHODS:
                yield Cell(task, method, seed)


def data_of(name: str, task: Task, folder: Path) -> Path:
    """The task's file of episodes; made where it is missing."""
    where = folder / "data" / _plain(name)
    if not (where / "card.json").exists():
        recipe = Recipe(task.env, ((task.player, 1.0),), task.episodes)
        make_dataset(recipe, where, resume=True)
    return where / EPISODES


def run_cell(cell: Cell, task: Task, folder: Path) -> dict[str, Any]:
    """Train (or go on training) one cell and score it."""
    data = data_of(cell.task, task, folder)
    start = folder / f"{_plain(cell.task)}-BC-{cell.seed}"
    if cell.method != "BC":
        methods.train("BC", task, cell.seed, data, start, start)
    out = folder / f"{_plain(cell.task)}-{_plain(cell.method)}-{cell.seed}"
    run = methods.train(cell.method, task, cell.seed, data, start, out)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    settings = json.loads((run / "config.json").read_text("utf-8"))["config"]
    return {
        "sampled": score(run, task, ""),
        "greedy": score(run, task, "&temperature=0"),
        "seconds": rows[-1]["time"],
        "environment_turns": int(sum(row.get("rollout/environment_turns", 0) for row in rows)),
        "config": {name: value for name, value in settings.items() if name not in WHERE},
        "commit": support.commit(),
    }


def score(run: Path, task: Task, options: str) -> dict[str, Any]:
    """Held-out play of a run's model."""
    report = evaluate(
        task.held_out,
        f"hf:{run}?max_new_tokens={task.longest_action}{options}",
        episodes=task.evaluations,
        seed=EVALUATION_SEED,
        record=False,
    )
    return {"return": asdict(report.returns), "success": asdict(report.success)}


def bounds(name: str, task: Task, folder: Path) -> dict[str, float]:
    """What scores of a task are set between: minimum, average and maximum, and the expert."""
    expert = evaluate(
        task.held_out, "expert", episodes=task.evaluations, seed=EVALUATION_SEED, record=False
    ).returns.mean
    average = float(np.mean(EpisodeFile(data_of(name, task, folder)).returns_E))
    if not task.theirs:
        least = find(task.env).return_range[0]
        return {"data": average, "min": least, "average": average, "max": expert, "expert": expert}
    known = {key: one.value for key, one in references(task.theirs).items()}
    names = [key for key in ("min", "average", "max", "belief") if key in known]
    return {"data": average, "expert": expert, **{key: known[key] for key in names}}


def measure(folder: Path, result: Path, chosen: Sequence[Cell], command: str) -> None:
    """Run the cells that the file does not hold, and write it after each.

    Several processes may fill the same file, with cells of other seeds: it is read again before it
    is written, and locked in between.

    Raises:
        ValueError: if the file holds cells of other tasks than today's.
    """
    result.parent.mkdir(parents=True, exist_ok=True)
    with support.progress("LMRL-Gym's table", len(chosen)) as advance:
        for cell in chosen:
            record = read(result)
            if cell.name not in record["cells"]:
                task = tasks()[cell.task]
                found = run_cell(cell, task, folder)
                between = record["bounds"].get(cell.task) or bounds(cell.task, task, folder)
                _add(result, cell, found, between, command)
            advance(1)


def _add(result: Path, cell: Cell, found: Any, between: Mapping[str, float], command: str) -> None:
    lock = lock_folder(result.parent)
    record = read(result)
    whole = {
        "cells": record["cells"] | {cell.name: found},
        "bounds": record["bounds"] | {cell.task: between},
        "command": command,
        "machine": support.machine(),
        "versions": support.versions(),
        "tasks": record["tasks"] | described({cell.task: tasks()[cell.task]}),
        "seeds": list(SEEDS),
    }
    write_whole(result, json.dumps(whole, indent=1) + "\n")
    del lock  # it is held until here


def read(result: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none.

    Raises:
        ValueError: if it holds cells of other tasks than today's.
    """
    if not result.exists():
        return {"cells": {}, "bounds": {}, "tasks": {}}
    record = json.loads(result.read_text(encoding="utf-8"))
    today = {k: v for k, v in described(tasks()).items() if k in record["tasks"]}
    if other := differing(record["tasks"], today):
        raise ValueError(
            f"{result}: expected cells of the same tasks, got another {', '.join(other)}; move it "
            "away"
        )
    return record


def described(chosen: Mapping[str, Task]) -> dict[str, Any]:
    """Tasks as plain data; a word list is told by its fingerprint, not by where it lies."""
    path = os.environ.get(WORDS, "")

    def plain(env: str) -> str:
        return env.replace(path, reference_name(path)) if path else env

    return {
        name: asdict(task) | {"env": plain(task.env), "held_out": plain(task.held_out)}
        for name, task in chosen.items()
    }


def _plain(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-")
