"""Measure a reference score by its recipe: exactly, or by playing episodes.

"optimum", "belief" and "uniform" are solved (`lmenvs.exact`). "expert:N", "random:N" and
"package.module:function:N" play seeds 0 to N-1: the environment's expert, a legal action drawn
uniformly, or what `function(env, generator)` says. "bound:package.module:function:N" plays nothing:
`function(env)` says what each of the tasks is worth at most.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from .core import TextEnv
from .exact import solve
from .references import BOUND
from .registration import make

Player = Callable[[TextEnv, np.random.Generator], str]


@dataclass(frozen=True, slots=True)
class Measured:
    """A mean return and its standard error (0 where it is exact)."""

    value: float
    error: float


def measure(env: str, recipe: str) -> Measured:
    """The score of an env string by a recipe.

    Raises:
        ValueError: for a recipe that is none.
    """
    if recipe in ("optimum", "belief", "uniform"):
        solution = solve(
            env,
            policy="uniform" if recipe == "uniform" else "optimal",
            information="observation" if recipe == "belief" else "state",
        )
        return Measured(solution.start_value, 0.0)
    player, _, episodes = recipe.rpartition(":")
    if not player or not episodes.isdecimal() or int(episodes) < 2:
        raise ValueError(
            f"recipe {recipe!r}; expected optimum, belief, uniform, or PLAYER:EPISODES with at "
            "least 2 episodes"
        )
    worth_E = values(env, player, range(int(episodes)))
    spread = float(np.std(worth_E, ddof=1))
    return Measured(float(np.mean(worth_E)), spread / len(worth_E) ** 0.5)


def values(env: str, player: str, seeds: range) -> list[float]:
    """What a recipe without its number of episodes measures on each seed."""
    if player.startswith(BOUND):
        return bounds(env, player.removeprefix(BOUND), seeds)
    return returns(env, player, seeds)


def returns(env: str, player: str, seeds: range) -> list[float]:
    """The undiscounted return of a player on each seed."""
    acts, made = find_player(player), make(env)
    totals: list[float] = []
    try:
        for seed in seeds:
            made.reset(seed=seed)
            generator = np.random.default_rng((seed, 3))
            total, over = 0.0, False
            while not over:
                _, reward, over, _, _ = made.step(acts(made, generator))
                total += reward
            totals.append(total)
    finally:
        made.close()
    return totals


def bounds(env: str, function: str, seeds: range) -> list[float]:
    """What the task of each seed is worth at most, as "package.module:function" says."""
    module, _, name = function.rpartition(":")
    most: Callable[[TextEnv], float] = vars(import_module(module))[name]
    made, values = make(env), list[float]()
    try:
        for seed in seeds:
            made.reset(seed=seed)
            values.append(most(made))
    finally:
        made.close()
    return values


def find_player(name: str) -> Player:
    """The player of a recipe: "expert", "random" or "package.module:function"."""
    if name == "expert":
        return lambda env, generator: env.expert_action()
    if name == "random":
        return _random
    module, _, function = name.rpartition(":")
    return vars(import_module(module))[function]


def _random(env: TextEnv, generator: np.random.Generator) -> str:
    actions = env.admissible_actions()
    if actions is None:
        raise ValueError(
            f"{type(env).__name__} lists no legal actions; measure another player than 'random'"
        )
    return actions[int(generator.integers(len(actions)))]
