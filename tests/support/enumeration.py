"""Scenes in which everything is known: all plays, all groups of three, the true gradient."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np
from pytest import approx

from agents.tabular import TabularSoftmaxPolicy
from algorithms import truth
from algorithms.truth import Floats, Parameters, Play
from lmenvs.core import TextEnv
from lmenvs.exact import Solution, solve
from tests.support.chain import Chain

SIZE = 3
MICROWAVE = "lmenvs/Microwave-v0"
STOP = "lmenvs/StopOrContinue-v0?turns=3"
KEY = "lmenvs/DelayedKey-v0?delay=2&keys=2"
BANDIT = "lmenvs/BernoulliBandit-v0?arms=2&horizon=2"
CHAIN = "chain"
SCENES = (MICROWAVE, STOP, KEY, BANDIT, CHAIN)


@dataclass(frozen=True)
class Batch:
    """Plays as estimators take them; each play's probability is its weight in the expectation."""

    plays: list[Play]
    groups_E: list[int]
    rewards_ET: list[tuple[float, ...]]
    returns_E: list[float]
    turns_E: list[int]
    keys_ET: list[tuple[str, ...]]


@dataclass(frozen=True)
class Scene:
    """An environment, a policy that is neither good nor uniform, and what is true of them.

    Attributes:
        alone: Every play, each in a group of its own.
        grouped: Every group of plays of one task, told apart by its number.
    """

    env: TextEnv | str
    policy: TabularSoftmaxPolicy
    table: Parameters
    gradient: Floats
    solution: Solution
    alone: Batch
    grouped: Batch


Credit = Callable[[Batch], Sequence[Floats]]


@cache
def scene(name: str) -> Scene:
    env = Chain() if name == CHAIN else name
    policy = some_policy(env)
    played = truth.plays(env, policy)
    return Scene(
        env,
        policy,
        truth.parameters(env, policy),
        truth.true_gradient(env, policy),
        solve(env, policy=policy),
        batch(played, range(len(played))),
        groups_of(played),
    )


def some_policy(env: TextEnv | str) -> TabularSoftmaxPolicy:
    places = truth.parameters(env, TabularSoftmaxPolicy()).places
    logits = np.random.default_rng(0).normal(0.0, 0.7, len(places))
    policy = TabularSoftmaxPolicy()
    for (key, action), logit in zip(places, logits, strict=True):
        policy.add(key, [action], [logit])
    return policy


def batch(plays: list[Play], groups_E: Sequence[int]) -> Batch:
    rewards_ET = [play.rewards_T for play in plays]
    returns_E, turns_E = [sum(r) for r in rewards_ET], [len(r) for r in rewards_ET]
    return Batch(plays, [*groups_E], rewards_ET, returns_E, turns_E, [p.keys_T for p in plays])


def groups_of(plays: Sequence[Play], size: int = SIZE) -> Batch:
    """Every group of independent plays of one task (one start state), whatever their order.

    Estimators do not depend on the order, so each combination stands for all of its orders.
    """
    tasks: dict[str, list[Play]] = {}
    for play in plays:
        tasks.setdefault(play.keys_T[0], []).append(play)
    members, groups_E = list[Play](), list[int]()
    for task in tasks.values():
        chance = sum(play.probability for play in task)
        for group in combinations_with_replacement(range(len(task)), size):
            orders = factorial(size) / prod(factorial(group.count(one)) for one in set(group))
            weight = chance * orders * prod(task[one].probability / chance for one in group)
            groups_E += [len(members) // size] * size
            members += [replace(task[one], probability=weight / size) for one in group]
    return batch(members, groups_E)


def expected(of: Scene, played: Batch, credit: Credit) -> Floats:
    """The expectation of the estimator's policy gradient."""
    return truth.gradient(of.table, played.plays, credit(played))


def exactly(gradient: Floats) -> object:
    """What a gradient must compare equal to."""
    return approx(gradient, abs=1e-8, rel=0)


def bias(of: Scene, played: Batch, credit: Credit) -> tuple[float, float]:
    """The cosine to the true gradient, and the relative error |g - true| / |true|."""
    found = expected(of, played, credit)
    error = float(np.linalg.norm(found - of.gradient) / np.linalg.norm(of.gradient))
    return truth.cosine(found, of.gradient), error


def documented_bias(estimator: Callable[..., object]) -> list[tuple[float, ...]]:
    """The pairs of (cosine, relative error) that the estimator's docstring gives."""
    said = " ".join((estimator.__doc__ or "").split()).partition("Measured bias")[2]
    return [tuple(map(float, p)) for p in re.findall(r"\((-?\d\.\d{4}), (\d\.\d{3})\)", said)]
