"""Measures every estimator on every environment, at every budget, and keeps each part at once."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ... import provenance
from ..kept import Kept
from . import draws
from .environments import ENVIRONMENTS, SMALLER
from .estimators import ESTIMATORS, Estimator
from .measures import measure, measured
from .speed import measure_speed
from .textworld import measure_by_forking
from .world import World, build, half_way

BUDGETS = {8: 96, 64: 33, 512: 12}
"""Budgets, as so many independent episodes, and how many samples are drawn at each."""
FORKED, SPEED = "by forking", "speed"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: everything, unless less is asked for."""

    environments: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENTS)
    budgets: Mapping[int, int] = field(default_factory=lambda: BUDGETS)
    estimators: Sequence[Estimator] = ESTIMATORS
    more: Sequence[str] = (FORKED, SPEED)  # parts after the environments
    forked: Mapping[str, Any] = field(default_factory=dict)  # of textworld.measure_by_forking
    speed: Mapping[str, Any] = field(default_factory=dict)  # of speed.measure_speed

    @property
    def parts(self) -> list[str]:
        """The parts, in the order in which they are measured."""
        return [*self.environments, *self.more]

    def seeds(self, first: int) -> list[int]:
        """The seeds over which the samples are spread."""
        own = draws.chances(first, max(self.budgets.values()))
        return list(dict.fromkeys(seed for seed, _ in own))


def planned(names: Sequence[str], budgets: Sequence[int], samples: int) -> Plan:
    """A plan with these parts (none: all), these budgets, and at most so many samples (0: all).

    Raises:
        ValueError: if there is no such part or budget.
    """
    parts, counts = names or Plan().parts, dict(BUDGETS)
    unknown = [name for name in parts if name not in Plan().parts]
    if unknown:
        raise ValueError(f"no part {unknown[0]!r}; expected one of {', '.join(Plan().parts)}")
    if budgets:
        if min(budgets) < 1:
            raise ValueError(f"a budget of {min(budgets)} episodes; expected at least 1")
        counts = {budget: BUDGETS.get(budget, min(BUDGETS.values())) for budget in budgets}
    return Plan(
        environments={name: ENVIRONMENTS[name] for name in parts if name in ENVIRONMENTS},
        budgets={b: min(samples, count) if samples else count for b, count in counts.items()},
        more=[name for name in (FORKED, SPEED) if name in parts],
    )


def measure_all(
    seed: int,
    file: Path | None = None,
    advance: Callable[[int], None] = lambda count: None,
    plan: Plan = Plan(),
) -> dict[str, Any]:
    """Measure every part; returns plain data, {part: what it gave}.

    Args:
        seed: The first of three, over which the samples are spread; a sample is the same whatever
            else is measured.
        file: Results so far are kept beside it and taken from there.
        advance: Called with the number of parts that are done.
        plan: What to measure.

    Raises:
        ValueError: if the results so far are another run's.
    """
    origin = {
        "seed": seed,
        "budgets": {str(budget): count for budget, count in plan.budgets.items()},
        "environments": dict(plan.environments),
        "estimators": [estimator.name for estimator in plan.estimators],
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "machine": {k: v for k, v in provenance.machine().items() if k != "threads"},
    }
    kept = Kept(file, origin)
    advance(len(kept.parts))
    for name in plan.parts:
        if name in kept.parts:
            continue
        if name == FORKED:
            found = measure_by_forking(seed, plan.estimators, **plan.forked)
        elif name == SPEED:
            found = measure_speed(seed, **plan.speed)
        else:
            found = measure_environment(name, plan.environments[name], seed, plan)
        kept.add(name, found)
        advance(1)
    return kept.parts


def measure_environment(name: str, env: str, seed: int, plan: Plan) -> dict[str, Any]:
    """One environment: what it is, and one row for each estimator and budget."""
    try:
        model = build(env)
    except ValueError as error:
        return {"env": env, "refused": str(error)}
    chances_A, sharpness = half_way(model)
    world = World(model, chances_A)
    costs = draws.unit_costs(world, seed)
    uniform = np.repeat(1.0 / np.diff(model.first_option), np.diff(model.first_option))
    facts = {
        "env": env,
        "smaller": SMALLER.get(name, ""),
        "states": len(model.keys),
        "parameters": len(model.words.rows),
        "start_states": len(model.starts),
        "turns_per_episode": world.turns_per_episode,
        "tokens_per_episode": _words_per_episode(world),
        "sharpness": sharpness,
        "returns": {
            "uniform": model.start_value(model.values(uniform)[0]),
            "policy": model.start_value(world.values_I),
            "optimal": model.start_value(model.values(None)[0]),
        },
    }
    rows = [
        row
        for budget, samples in plan.budgets.items()
        for row in _rows(name, world, plan.estimators, costs, budget, samples, seed)
    ]
    return {**facts, "rows": rows}


def _words_per_episode(world: World) -> float:
    taken_O = world.visits_I[world.situations_O] * world.chances_O
    return float(taken_O @ world.words.lengths[world.actions_O])


def _rows(
    name: str,
    world: World,
    estimators: Sequence[Estimator],
    costs: Mapping[str, float],
    budget: int,
    samples: int,
    seed: int,
) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    limit = budget * world.turns_per_episode
    for draw in dict.fromkeys(estimator.draw for estimator in estimators):
        units = int(limit / costs[draw] + 1e-9)
        mine = [estimator for estimator in estimators if estimator.draw == draw]
        for one in [one for one in mine if one.only and name not in one.only]:
            found[one.name] = {**_named(one, budget), "not_run": "the task has no phases"}
            mine.remove(one)
        if not units:
            reason = f"one unit costs {costs[draw] / world.turns_per_episode:.1f} episodes"
            found |= {one.name: {**_named(one, budget), "not_run": reason} for one in mine}
            continue
        drawn = [
            draws.DRAWS[draw](
                world, units, np.random.default_rng((own, budget, number, *draw.encode()))
            )
            for own, number in draws.chances(seed, samples)
        ]
        for one in mine:
            found[one.name] = {
                **_named(one, budget),
                "units": units,
                **measured(
                    drawn,
                    one.credit,
                    measure,
                    world.true_gradient,
                    np.random.default_rng((seed, budget)),
                ),
            }
    return [found[estimator.name] for estimator in estimators]


def _named(estimator: Estimator, budget: int) -> dict[str, Any]:
    return {
        "estimator": estimator.name,
        "kind": estimator.kind,
        "needs": estimator.needs,
        "draw": estimator.draw,
        "budget": budget,
    }


def record(parts: Mapping[str, Any], seeds: Sequence[int], command: Sequence[str]) -> str:
    """Results with where they come from, as JSON."""
    whole = {
        "benchmark": "credit",
        "command": " ".join(["lmenvs", *command[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "seeds": list(seeds),
        "parts": parts,
    }
    return compact(_rounded(whole)) + "\n"


def compact(value: Any, indent: str = "") -> str:
    """JSON with a line for each row of a table, where `indent` has one for each number.

    >>> print(compact({"rows": [{"a": 1}, {"a": 2}]}))
    {
     "rows": [
      {"a": 1},
      {"a": 2}
     ]
    }
    """
    nested = isinstance(value, dict | list) and any(
        isinstance(part, dict | list) for part in _in(value)
    )
    if not nested or (isinstance(value, dict) and {"mean", "rank"} & value.keys()):
        return json.dumps(value)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{json.dumps(k)}: {compact(part, inner)}" for k, part in value.items()]
    else:
        lines = [compact(part, inner) for part in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + ",".join(f"\n{inner}{line}" for line in lines) + f"\n{indent}{closing}"


def _in(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _rounded(value: Any) -> Any:
    """Numbers to five digits: the rest is noise, and the file half as large."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value
