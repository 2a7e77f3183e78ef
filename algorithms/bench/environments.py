"""Steps of environments a second, the time of their resets, and the memory they take.

Every id is stepped with legal actions drawn at random; asking for the legal actions is part of what
is timed, and the speed of steps alone stands beside it.
"""

import time
import tracemalloc

import gymnasium
import numpy as np

from lmenvs.core import TextEnv
from lmenvs.registration import TABLE, make

from .measurement import REPEATS, Measurement, best_rate


def environment(name: str, seconds: float, seed: int) -> list[Measurement]:
    """Steps a second of one environment; a second pass over known tasks for those that cache."""
    spec, env = TABLE[name], make(name)
    rates: list[Measurement] = []
    try:
        if "textworld" in spec.tags:
            for task in range(2):
                env.reset(seed=seed + task)  # compiles the game where that was never done
            # cold: the interpreter answers; warm: the same tasks and actions again, from memory
            began = time.perf_counter()
            turns = _steps(env, seed, tasks=2)
            cold = turns / (time.perf_counter() - began)
            rates.append({"what": f"{name}, first time", "value": cold, "unit": "steps/s"})
        tasks = 2 if "textworld" in spec.tags else 8
        rate = best_rate(lambda: _steps(env, seed, tasks), seconds)
    finally:
        env.close()
    return [*rates, {"what": name, "value": rate, "unit": "steps/s"}]


def bare_steps(name: str, seconds: float, seed: int, tasks: int = 64) -> Measurement:
    """Steps a second through `gymnasium.make`, resets and the choice of actions left out."""
    env = gymnasium.make(name, **TABLE[name].kwargs)
    walks = [_walk(env, seed + task) for task in range(tasks)]
    rates: list[float] = []
    for _ in range(REPEATS):
        turns, spent = 0, 0.0
        while spent < seconds / REPEATS:
            for task, walk in enumerate(walks):
                env.reset(seed=seed + task)
                began = time.perf_counter()
                for action in walk:
                    env.step(action)
                spent += time.perf_counter() - began
                turns += len(walk)
        rates.append(turns / spent)
    return {"what": f"{name}, steps alone", "value": max(rates), "unit": "steps/s"}


def _walk(env: gymnasium.Env[str, str], seed: int) -> list[str]:
    """Random legal actions to the end of a task."""
    game = env.unwrapped
    assert isinstance(game, TextEnv)
    generator, actions, over = np.random.default_rng(seed), [], False
    env.reset(seed=seed)
    while not over:
        legal = game.admissible_actions() or [game.expert_action()]
        actions.append(legal[generator.integers(len(legal))])
        _, _, terminated, truncated, _ = env.step(actions[-1])
        over = terminated or truncated
    return actions


def footprint(name: str, seed: int, count: int = 1000) -> list[Measurement]:
    """How long a reset to a new task takes on average, and what `count` environments hold."""
    tracemalloc.start()
    envs = [make(name) for _ in range(count)]
    for task, env in enumerate(envs):
        env.reset(seed=seed + task)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    began = time.perf_counter()
    for task, env in enumerate(envs):  # other tasks than before, which a cache would know
        env.reset(seed=seed + count + task)
    spent = time.perf_counter() - began
    return [
        {"what": f"{name}, reset", "value": 1e3 * spent / count, "unit": "ms"},
        {"what": f"{name}, {count} of them", "value": held / 2**20, "unit": "MiB"},
    ]


def _steps(env: TextEnv, seed: int, tasks: int) -> int:
    """Play some tasks with random legal actions; returns the turns taken."""
    generator = np.random.default_rng(seed)
    turns = 0
    for task in range(tasks):
        env.reset(seed=seed + task)
        over = False
        while not over:
            actions = env.admissible_actions() or [env.expert_action()]
            _, _, terminated, truncated, _ = env.step(actions[generator.integers(len(actions))])
            over = terminated or truncated
            turns += 1
    return turns
