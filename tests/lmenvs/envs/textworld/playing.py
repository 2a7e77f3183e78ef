"""A coin collector on the shipped games, and random play of it."""

import lmenvs
from lmenvs.envs.textworld.coin_collector import TextWorldCoinCollector


def make(**kwargs) -> TextWorldCoinCollector:
    env = lmenvs.make("lmenvs/TextWorldCoinCollector-v0", **{"level": 104, "games": 256, **kwargs})
    assert isinstance(env, TextWorldCoinCollector)
    return env


def walk(env, generator, turns):
    """Random admissible play; [(action, everything step says)]."""
    told = []
    for _ in range(turns):
        action = str(generator.choice(env.admissible_actions() or ["look"]))
        told.append((action, env.step(action)))
        if told[-1][1][2]:
            break
    return told
