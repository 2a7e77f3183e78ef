"""Tables that learn, cell by cell: every estimator on every exact environment, five seeds each.

A cell that was run is kept in the file; one that was stopped is run anew, which takes seconds. See
credit/learning.py for what a learner does.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import provenance, support
from ..checkpoints import write_whole
from .credit.environments import ENVIRONMENTS
from .credit.estimators import ESTIMATORS, Estimator
from .credit.learning import Settings, learn, place
from .credit.measures import student_interval
from .credit.words import Floats
from .kept import differing

SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, with which seeds; tests take less."""

    environments: Mapping[str, str]
    estimators: Sequence[Estimator]
    seeds: Sequence[int]
    settings: Settings

    def cells(self) -> Iterator[tuple[str, Estimator]]:
        """Every environment with every estimator."""
        for name in self.environments:
            for estimator in self.estimators:
                yield name, estimator


WHOLE = Plan(ENVIRONMENTS, ESTIMATORS, SEEDS, Settings())


def cell_name(environment: str, estimator: str) -> str:
    """What the file calls a cell."""
    return f"{environment} / {estimator}"


def run_cell(
    env: str, estimator: Estimator, seeds: Sequence[int], settings: Settings
) -> dict[str, Any]:
    """One estimator in one environment, with every seed: normalised values and what they cost.

    `final` is the value of the last policy and `area` the mean of the curve over turns, both with
    intervals over seeds; a curve's values lie `turns_between` turns apart.
    """
    here = place(env)
    learned = [learn(here, estimator, seed, settings) for seed in seeds]
    values = np.array([one.values for one in learned])
    areas = (values[:, 1:] + values[:, :-1]).mean(axis=1) / 2
    return {
        "final": student_interval(values[:, -1]),
        "area": student_interval(areas),
        "finals": _rounded(values[:, -1]),
        "areas": _rounded(areas),
        "turns": [one.turns for one in learned],
        "steps": [one.steps for one in learned],
        "curves": [_rounded(row[:: settings.every]) for row in values],
        "turns_between": settings.every * settings.episodes * here.turns,
        "returns": {"uniform": here.uniform, "optimal": here.optimal},
    }


def measure(result: Path, command: str, plan: Plan = WHOLE) -> None:
    """Run the cells that the file does not hold, and write it after each.

    Raises:
        ValueError: if the file holds the results of other settings.
    """
    about = _about(command, plan)
    cells = _so_far(result, about)
    result.parent.mkdir(parents=True, exist_ok=True)
    with support.progress("learning", len(list(plan.cells()))) as advance:
        for name, estimator in plan.cells():
            key = cell_name(name, estimator.name)
            if key not in cells:
                env = plan.environments[name]
                found = run_cell(env, estimator, plan.seeds, plan.settings)
                cells[key] = {**found, "commit": about["commit"]}
                write_whole(result, _written(about, cells))
            advance(1)


def _about(command: str, plan: Plan) -> dict[str, Any]:
    return {
        "command": command,
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "seeds": list(plan.seeds),
        "settings": asdict(plan.settings),
        "environments": dict(plan.environments),
        "estimators": [estimator.name for estimator in plan.estimators],
    }


def _so_far(result: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    if not result.exists():
        return {}
    record = json.loads(result.read_text(encoding="utf-8"))
    same = {name: about[name] for name in ("seeds", "settings", "environments")}
    if other := differing(record, same):
        raise ValueError(
            f"{result}: expected results of the same run, got other {', '.join(other)}; "
            "move it away"
        )
    return record["cells"]


def _written(about: Mapping[str, Any], cells: Mapping[str, Any]) -> str:
    """JSON with one line for each cell, so that a difference shows what was run anew."""
    head = json.dumps(about, indent=1).removesuffix("\n}")
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(cell)}" for name, cell in cells.items())
    return f'{head},\n "cells": {{\n{lines}\n }}\n}}\n'


def _rounded(values: Floats) -> list[float]:
    return np.round(values, 4).tolist()
