"""Language models that learn, cell by cell: every estimator of credit, every task, three seeds.

A cell clones a tiny model on scripted play (once per task and seed), trains it with one algorithm
until it has spent the task's environment turns, and plays held-out tasks before and after. How
credit becomes steps is the same for all (`SHARED`), so that cells differ in credit; what else an
algorithm has is its default. A cell that was run is kept in the file; one that was stopped goes on
from its checkpoint.
"""

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from agents.rollout import evaluate

from .. import behaviour_cloning, support
from ..checkpoints import write_whole
from ..locks import lock_folder
from ..trainer.objective import Objective
from .kept import differing

SEEDS = (0, 1, 2)
EVALUATION_SEED = 1_000_000
LONGEST_ACTION = 12  # tokens
EPISODES = 64  # an iteration; groups are 8 tasks of 8
SHARED: Mapping[str, Any] = {
    "learning_rate": 5e-4,
    "epochs": 2,
    "minibatches": 4,
    "target_kl": 0.03,
    "anneal": 0.1,
    "max_new_tokens": LONGEST_ACTION,
}
OBJECTIVE = Objective(normalise="standardise")
"""Of all: failures are longer than successes, so advantages that sum to zero over episodes lower
the probability of everything that was said; without this, comparisons are of that."""
AS_PUBLISHED = "grpo, not centred"
UNCLIPPED = ("reinforce",)
"""One pass over fresh episodes, as nothing bounds what a second one would do."""
CREDIT = (
    *("bapo", "bilevel_ppo", "epo", "gigpo", "grpo", "poad", "reinforce", "rloo", "segment_po"),
    *("single_stream", "slate", "stratified_grpo", "tempo", "token_ppo", "tppo", "turn_ppo"),
)
"""The algorithms that differ in how fresh episodes are credited."""
FORKING: Mapping[str, Mapping[str, int]] = {
    "segment_po": {"tasks": 8, "segment": 5, "continuations": 2},
    "slate": {"tasks": 16, "forks": 16, "siblings": 3},
}
"""What makes an iteration with forks cost about what 64 episodes cost in the maze; shorter games
have fewer turns to fork at, so that the same turns make more iterations there."""
_WORDS = (
    *("crane", "slate", "trace", "crate", "caret", "react", "stone", "notes", "onset", "plane"),
    *("panel", "penal", "sheet", "these", "brick", "crowd", "dream", "armed", "flour", "ghost"),
    *("jumpy", "vivid", "mouth", "night"),
)


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned, from which start, for how long.

    Attributes:
        env: Trained on.
        held_out: Evaluated on.
        demonstrator: Whose play the start is cloned on.
        demonstrations: Episodes of it.
        epochs: Of cloning.
        hidden: The model's width.
        turn_budget: Environment turns that every algorithm may spend.
        max_turns: Training episodes are truncated here.
        evaluations: Held-out episodes.
    """

    env: str
    held_out: str
    demonstrator: str
    demonstrations: int
    epochs: int
    hidden: int
    turn_budget: int
    max_turns: int | None
    evaluations: int


_MAZE = "lmenvs/Maze-v0?layout=u"
# ten of the words are answers, in training and in evaluation: what never was one is never guessed
_WORDLE = f"lmenvs/Wordle-v0?words={json.dumps(_WORDS)}&split=train"
_COIN = "lmenvs/TextWorldCoinCollector-v0?admissible=true&description=name&level=104"
TASKS: Mapping[str, Task] = {
    "maze": Task(_MAZE, _MAZE, "expert?noise=0.85", 600, 4, 64, 12_000, 30, 192),
    "wordle": Task(_WORDLE, _WORDLE, "expert?noise=0.7", 1500, 6, 64, 20_000, None, 192),
    "coin-collector": Task(
        f"{_COIN}&games=256&relabel=true",
        f"{_COIN}&first_game=256&games=192",
        "script:never-go-back?noise=0.45",
        1000,
        4,
        96,
        25_000,
        None,
        192,
    ),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: which method on which task with which seed."""

    task: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """What the file calls it."""
        return f"{self.task} / {self.method} / {self.seed}"


METHODS = (*CREDIT, AS_PUBLISHED)


def cells(methods: Sequence[str] = METHODS, seeds: Sequence[int] = SEEDS) -> Iterator[Cell]:
    """All cells, one seed after the other, so that what is there is balanced at any time."""
    for seed in seeds:
        for task in TASKS:
            for method in methods:
                yield Cell(task, method, seed)


def start(task: Task, seed: int, folder: Path) -> Path:
    """The cloned model that every algorithm begins from; made where it is missing."""
    clone = behaviour_cloning.Config(
        seed=seed,
        demonstrator=task.demonstrator,
        episodes=task.demonstrations,
        epochs=task.epochs,
        batch_size=8,
        observation_weight=0.1,
    )
    config = behaviour_cloning.TinyConfig(hidden=task.hidden, layers=2, clone=clone)
    return behaviour_cloning.pretrain(task.env, folder, config, resume=True)


def algorithm_of(method: str) -> str:
    """The algorithm that a method is a setting of.

    >>> algorithm_of("grpo, not centred")
    'grpo'
    """
    return method.partition(",")[0]


def settings(method: str, task: Task, seed: int) -> Any:
    """The method's Config for a task: its algorithm's defaults, and the settings that all share."""
    kind = importlib.import_module(f"algorithms.{algorithm_of(method)}").Config
    known = {field.name for field in fields(kind)}
    given: dict[str, Any] = {
        **SHARED,
        "seed": seed,
        "iterations": 10_000,
        "turn_budget": task.turn_budget,
        "max_turns": task.max_turns,
    }
    given["objective"] = Objective() if method == AS_PUBLISHED else OBJECTIVE
    if method in UNCLIPPED:
        given["epochs"] = 1
    given |= FORKING.get(method, {})
    if "groups" in known:
        given |= {"groups": EPISODES // 8, "group_size": 8}
    elif "episodes" in known:
        given["episodes"] = EPISODES
    return kind(**{name: value for name, value in given.items() if name in known})


def run_cell(cell: Cell, task: Task, folder: Path) -> dict[str, Any]:
    """Train (or go on training) one cell and score it on held-out tasks."""
    begin = start(task, cell.seed, folder / "starts" / f"{cell.task}-{cell.seed}")
    config = settings(cell.method, task, cell.seed)
    out = folder / f"{cell.task}-{cell.method}-{cell.seed}".replace(", ", "-").replace(" ", "-")
    trainer = importlib.import_module(f"algorithms.{algorithm_of(cell.method)}")
    run = trainer.train(task.env, begin, out, config, resume=True)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return {
        **score(run, task),
        "turns": int(sum(row["rollout/environment_turns"] for row in rows)),
        "seconds": rows[-1]["time"],
        "iterations": len(rows),
        "training_returns": [round(row["rollout/return"], 4) for row in rows],
        "config": asdict(config),
        "commit": support.commit(),
    }


def score(model: Path, task: Task) -> dict[str, Any]:
    """Held-out play of a model, as sampled: success and return with intervals."""
    policy = f"hf:{model}?max_new_tokens={LONGEST_ACTION}"
    report = evaluate(
        task.held_out, policy, episodes=task.evaluations, seed=EVALUATION_SEED, record=False
    )
    return {
        "episodes": task.evaluations,
        "success": asdict(report.success),
        "return": asdict(report.returns),
    }


def measure(folder: Path, result: Path, chosen: Sequence[Cell], command: str) -> None:
    """Run the cells that the file does not hold, and write it after each.

    Other processes may fill the same file, with cells of other starts: it is read again before it
    is written, and locked in between.

    Raises:
        ValueError: if the file holds cells of other tasks than today's.
    """
    result.parent.mkdir(parents=True, exist_ok=True)
    with support.progress("learning", len(chosen)) as advance:
        for cell in chosen:
            record = _read(result)
            if cell.name not in record["cells"]:
                task, start_name = TASKS[cell.task], f"{cell.task} / {cell.seed}"
                cells, starts = {cell.name: run_cell(cell, task, folder)}, {}
                if start_name not in record["starts"]:
                    begin = folder / "starts" / f"{cell.task}-{cell.seed}"
                    starts[start_name] = score(begin, task)
                _add(result, cells, starts, command)
            advance(1)


def _add(result: Path, cells: Mapping[str, Any], starts: Mapping[str, Any], command: str) -> None:
    lock = lock_folder(result.parent)
    record = _read(result)
    found = {
        "cells": record["cells"] | cells,
        "starts": record["starts"] | starts,
        "command": command,
        "machine": support.machine(),
        "versions": support.versions(),
        "tasks": _tasks(),
        "seeds": list(SEEDS),
    }
    write_whole(result, json.dumps(found, indent=1) + "\n")
    del lock  # it is held until here


def _read(result: Path) -> dict[str, Any]:
    if not result.exists():
        return {"cells": {}, "starts": {}}
    record = json.loads(result.read_text(encoding="utf-8"))
    if other := differing(record["tasks"], _tasks()):
        raise ValueError(
            f"{result}: expected cells of the same tasks, got another {', '.join(other)}; move it "
            "away"
        )
    return record


def _tasks() -> dict[str, Any]:
    return {name: asdict(task) for name, task in TASKS.items()}
