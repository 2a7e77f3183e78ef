"""Sample efficiency: environment turns until a policy earns 90 % of what the expert earns.

ArCHer's paper claims about 100 times fewer turns than on-policy methods, as curves only. Here both
begin from the same cloned model, play the same tasks, and are tuned with the same budget: each of
an algorithm's settings is tried once with a seed of its own, and the one that arrives first (or,
where none does, ends highest) plays the seeds that count. The scale of a task is 0 for a random
player and 1 for the expert; a policy has arrived, and its training ends, when the mean return of
its last `WINDOW` training episodes reaches 0.9. What has not arrived within the budget is recorded
as such: the ratio is a bound then.
"""

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.rollout import evaluate
from agents.utterance_critics import Reading

from .. import behaviour_cloning, support
from ..checkpoints import write_whole
from ..locks import lock_folder
from ..starting import memory_for, reading_for
from .kept import differing
from .learning import Task

SEEDS = (0, 1, 2)
TUNING_SEED = 100
SCALE_SEED = 2_000_000  # of the episodes that set a task's scale
SHARE = 0.9
WINDOW = 128  # training episodes
LONGEST_ACTION = 12

_COIN = "lmenvs/TextWorldCoinCollector-v0?admissible=true&description=name&level=104&games=8"
_MAZE = "lmenvs/Maze-v0"
_TWENTY = "lmenvs/TwentyQuestions-v0?split=all"
_CITY = "lmenvs/GuessMyCity-v0?split=all"
TASKS: Mapping[str, Task] = {
    "maze": Task(_MAZE, _MAZE, "expert?noise=0.85", 600, 4, 64, 60_000, 60, 192),
    "coin collector": Task(
        *(_COIN, _COIN, "script:never-go-back?noise=0.45", 1000, 4, 96, 40_000, None, 192)
    ),
    "twenty questions": Task(_TWENTY, _TWENTY, "expert?noise=0.3", 4000, 8, 96, 60_000, None, 192),
    "guess my city": Task(_CITY, _CITY, "expert?noise=0.6", 4000, 8, 96, 60_000, None, 192),
}
READINGS: Mapping[str, Reading] = {"coin collector": Reading("turn")}
"""What ArCHer's critic reads where it is not `reading_for` the environment: in eight houses one of
the last observation explained 0.87 of the exact advantages, one of whole episodes 0.56."""
Settings = Mapping[str, Any]
SETTINGS: Mapping[str, Sequence[Settings]] = {
    "archer": (
        {"episodes": 32, "critic_steps": 24, "actor_steps": 8},
        {"episodes": 32, "critic_steps": 48, "actor_steps": 8},
        {"episodes": 16, "critic_steps": 48, "actor_steps": 8},
        {"episodes": 16, "critic_steps": 48, "actor_steps": 16},
    ),
    "token_ppo": (
        {"episodes": 64, "epochs": 2, "learning_rate": 5e-4},
        {"episodes": 32, "epochs": 2, "learning_rate": 5e-4},
        {"episodes": 32, "epochs": 4, "learning_rate": 5e-4},
        {"episodes": 32, "epochs": 2, "learning_rate": 1e-3},
    ),
}
"""Four of each: what they trade is how much is learned from a turn."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: with a setting that is tried, or (setting None) with the best one."""

    task: str
    algorithm: str
    seed: int
    setting: int | None = None

    @property
    def name(self) -> str:
        """What the file calls it."""
        tried = "" if self.setting is None else f" / setting {self.setting}"
        return f"{self.task} / {self.algorithm} / {self.seed}{tried}"


def cells(chosen: Sequence[str] = ()) -> Iterator[Cell]:
    """Of each task first what is tried, then what counts."""
    for task in chosen or TASKS:
        for algorithm, settings in SETTINGS.items():
            for setting in range(len(settings)):
                yield Cell(task, algorithm, TUNING_SEED, setting)
        for seed in SEEDS:
            for algorithm in SETTINGS:
                yield Cell(task, algorithm, seed)


def scale(task: Task) -> dict[str, float]:
    """What a random player and the expert earn."""
    return {
        who: evaluate(
            task.env,
            who,
            episodes=512,
            seed=SCALE_SEED,
            record=False,
            max_turns=task.max_turns,
        ).returns.mean
        for who in ("random", "expert")
    }


def start(task: Task, seed: int, folder: Path) -> Path:
    """The cloned model that both begin from; made where it is missing."""
    clone = behaviour_cloning.Config(
        seed=seed,
        demonstrator=task.demonstrator,
        episodes=task.demonstrations,
        epochs=task.epochs,
        batch_size=16,
        observation_weight=0.1,
    )
    config = behaviour_cloning.TinyConfig(
        hidden=task.hidden, layers=2, memory=memory_for(task.env), clone=clone
    )
    return behaviour_cloning.pretrain(task.env, folder, config, resume=True)


def turns_until(returns_E: Sequence[float], turns_E: Sequence[int], target: float) -> int | None:
    """The environment turns after which the last `WINDOW` episodes earned `target` on average.

    >>> turns_until([0.0] * 128 + [1.0] * 128, [2] * 256, 0.9)
    488
    """
    sums = np.concatenate([[0.0], np.cumsum(returns_E)])
    means = (sums[WINDOW:] - sums[:-WINDOW]) / WINDOW
    there = np.flatnonzero(means >= target)
    return None if not len(there) else int(np.sum(turns_E[: there[0] + WINDOW]))


def best_setting(record: Mapping[str, Any], task: str, algorithm: str) -> int:
    """The setting that arrived first when it was tried, or ended highest where none arrived."""

    def worth(setting: int) -> tuple[float, float]:
        cell = record["cells"][Cell(task, algorithm, TUNING_SEED, setting).name]
        arrived = cell["turns_until"]
        return (-float("inf") if arrived is None else -arrived, cell["last"])

    return max(range(len(SETTINGS[algorithm])), key=worth)


def run_cell(
    cell: Cell, task: Task, setting: Settings, target: float, folder: Path
) -> dict[str, Any]:
    """Train (or go on training) one cell and see when it arrived."""
    begin = start(task, cell.seed, folder / "starts" / f"{_plain(cell.task)}-{cell.seed}")
    trainer = importlib.import_module(f"algorithms.{cell.algorithm}")
    known = {field.name for field in fields(trainer.Config)}
    given = {
        "seed": cell.seed,
        "iterations": 100_000,
        "turn_budget": task.turn_budget,
        "max_turns": task.max_turns,
        "max_new_tokens": LONGEST_ACTION,
        "anneal": 1.0,  # the end of the budget is no part of what is asked
        **setting,
    }
    if "critic" in known:
        reading = READINGS.get(cell.task) or reading_for(task.env)
        given["critic"] = replace(trainer.Config().critic, reading=reading)
    config = trainer.Config(**{name: value for name, value in given.items() if name in known})

    def arrived(run: support.Run) -> bool:
        return turns_until(*_played(run.path), target) is not None

    with support.until(arrived):
        run = trainer.train(task.env, begin, folder / _plain(cell.name), config, resume=True)
    rows = _rows(run)
    returns_E, turns_E = _played(run)
    return {
        "turns_until": turns_until(returns_E, turns_E, target),
        "last": float(np.mean(returns_E[-WINDOW:])),
        "turns": int(sum(row["rollout/environment_turns"] for row in rows)),
        "seconds": rows[-1]["time"],
        "curve": [
            [int(turns), round(row["rollout/return"], 4)]
            for turns, row in zip(
                np.cumsum([row["rollout/environment_turns"] for row in rows]), rows, strict=True
            )
        ],
        "config": asdict(config),
        "commit": support.commit(),
    }


def _rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def _played(run: Path) -> tuple[list[float], list[int]]:
    """Return and turns of each training episode, as the mean of its iteration."""
    rows = _rows(run)
    counts = [round(row["rollout/episodes"]) for row in rows]
    columns = ([row[f"rollout/{name}"] for row in rows] for name in ("return", "turns"))
    returns_E, turns_E = (np.repeat(column, counts).tolist() for column in columns)
    return returns_E, turns_E


def measure(folder: Path, result: Path, chosen: Sequence[Cell], command: str) -> None:
    """Run the cells that the file does not hold, and write it after each.

    Raises:
        ValueError: if the file holds cells of other tasks or settings than today's.
    """
    result.parent.mkdir(parents=True, exist_ok=True)
    with support.progress("sample efficiency", len(chosen)) as advance:
        for cell in chosen:
            record = read(result)
            if cell.name not in record["cells"]:
                task = TASKS[cell.task]
                between = record["scales"].get(cell.task) or scale(task)
                target = between["random"] + SHARE * (between["expert"] - between["random"])
                setting = cell.setting
                if setting is None:
                    setting = best_setting(record, cell.task, cell.algorithm)
                chosen_setting = SETTINGS[cell.algorithm][setting]
                found = run_cell(cell, task, chosen_setting, target, folder)
                _add(result, cell, found, between, command)
            advance(1)


def _add(result: Path, cell: Cell, found: Any, between: Mapping[str, float], command: str) -> None:
    lock = lock_folder(result.parent)
    record = read(result)
    whole = {
        "cells": record["cells"] | {cell.name: found},
        "scales": record["scales"] | {cell.task: between},
        "command": command,
        "machine": support.machine(),
        "versions": support.versions(),
        **_today(),
        "seeds": list(SEEDS),
    }
    write_whole(result, json.dumps(whole, indent=1) + "\n")
    del lock  # it is held until here


def read(result: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none.

    Raises:
        ValueError: if it holds cells of other tasks or settings than today's.
    """
    if not result.exists():
        return {"cells": {}, "scales": {}}
    record = json.loads(result.read_text(encoding="utf-8"))
    if other := differing(record, _today()):
        raise ValueError(
            f"{result}: expected cells of today's {', '.join(other)}; move the file away"
        )
    return record


def _today() -> dict[str, Any]:
    tasks = {name: asdict(task) for name, task in TASKS.items()}
    return json.loads(json.dumps({"tasks": tasks, "settings": {**SETTINGS}}))


def _plain(name: str) -> str:
    return name.replace(" / ", "-").replace(" ", "-")
