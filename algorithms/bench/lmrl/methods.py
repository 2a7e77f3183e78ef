"""The columns of the comparison: how each method is trained on a task (torch when it is run)."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from ...starting import memory_for, reading_for
from .tasks import Task

Kind = Literal["start", "file", "online"]
STEPS = 50  # optimizer steps in an iteration of what learns from the file


@dataclass(frozen=True, slots=True)
class Method:
    """One column.

    Attributes:
        algorithm: The module of `algorithms` that trains.
        kind: From nothing on the file, from the cloned model on the file, or online from it.
        options: What differs from the algorithm's defaults.
    """

    algorithm: str
    kind: Kind
    options: Mapping[str, Any]


METHODS: Mapping[str, Method] = {
    "BC": Method("behaviour_cloning", "start", {}),
    "filtered BC": Method("behaviour_cloning", "start", {"keep": 0.1}),
    "MC": Method("mc_returns", "file", {}),
    "ILQL": Method("ilql", "file", {}),
    "PPO": Method("token_ppo", "online", {}),
    "online filtered BC": Method("online_filtered_bc", "online", {}),
    "ArCHer": Method("archer", "online", {}),
    "offline ArCHer": Method("offline_archer", "file", {}),
    "POAD": Method("poad", "online", {}),
}
"""LMRL-Gym's six, ArCHer online and from the file, and the estimator that led on three tasks
(README, Learning)."""


def train(name: str, task: Task, seed: int, data: Path, start: Path, out: Path) -> Path:
    """Train one method on one task (or go on where it was stopped); returns the run folder.

    Args:
        name: Of the method.
        task: The task.
        seed: The run's.
        data: The task's file of episodes.
        start: The model that was cloned on it; made here for the method that is the clone.
        out: The run's folder.
    """
    method = METHODS[name]
    module = importlib.import_module(f"algorithms.{method.algorithm}")
    if method.kind == "start":
        return _clone(module, method, task, seed, data, out)
    config = config_of(module.Config, method, task, seed)
    more = {"data": data} if method.kind == "file" else {}
    return module.train(task.env, start, out, config, resume=True, **more)


def _clone(module: Any, method: Method, task: Task, seed: int, data: Path, out: Path) -> Path:
    kept = float(method.options.get("keep", 1.0))
    clone = module.Config(
        seed=seed,
        demonstrations=str(data),
        # as many steps on fewer episodes
        epochs=max(1, round(task.epochs / kept)),
        learning_rate=task.rate,
        batch_size=task.batch,
        observation_weight=0.1,
        **method.options,
    )
    config = module.TinyConfig(
        hidden=task.hidden,
        layers=task.layers,
        context=task.context,
        spelled=task.spelled,
        memory=memory_for(task.env),
        clone=clone,
    )
    return module.pretrain(task.env, out, config, resume=True)


def config_of(kind: Any, method: Method, task: Task, seed: int) -> Any:
    """The algorithm's Config for a task: its defaults, what the task sets, what the method does."""
    known = {one.name for one in fields(kind)}
    online = method.kind == "online"
    given: dict[str, Any] = {
        "seed": seed,
        "iterations": 10_000 if online else task.iterations,
        "steps": STEPS,
        "turn_budget": task.turn_budget,
        "max_turns": task.max_turns if online else None,
        "max_new_tokens": task.longest_action,
        "evaluations": 0,
        **method.options,
    }
    if "critic" in known:
        given["critic"] = replace(kind().critic, reading=reading_for(task.env))
    if online:
        given.pop("steps")  # each online method has its own number of steps for fresh episodes
        given |= {"episodes": task.collected} if task.collected else {}
    return kind(**{name: value for name, value in given.items() if name in known})
