"""A value for every task, kept from batch to batch: the baseline of a group of one.

Xu and Ding, Single-stream Policy Optimization (2025). A task's success rate is Beta(alpha, beta);
each batch adds to it, and the further the policy has moved since the task was last played, the more
of the past is forgotten. All functions read a state and return; none changes it. Read baselines and
advantages from the state of before the batch, then update it: a baseline must not see the action.

Where this differs from the paper: a task without a history starts at `PRIOR`, so that a run needs
no sampling beforehand; a task that comes more than once in a batch forgets once, since the policy
did not move between; and a task's sampling weight is not divided by a power of alpha + beta.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from .groups import Scale, against_mean
from .ragged import Floats
from .returns import Numbers, numbers

Task = TypeVar("Task", bound=Hashable)
Tracker = Mapping[Task, tuple[float, float]]
"""For each task seen so far, the forgetting sums (alpha, beta) of its successes and failures."""

PRIOR = (0.5, 0.5)  # Jeffreys': even odds, worth one episode
LEAST_KEPT, MOST_KEPT = 0.875, 0.96  # rho's bounds: 8 to 25 episodes; 0.96 is (unverified)
HALF_LIFE = 0.06  # the divergence (nats) that halves the past; from the paper (unverified)


def initial_tracker(successes: Mapping[Task, Numbers]) -> dict[Task, tuple[float, float]]:
    """A state from episodes played beforehand: alpha = N v, beta = N (1 - v), N = 1 / (1 - 0.875).

    successes[task] holds rewards from 0 to 1, v is their mean and N the memory at its shortest.
    Source: Xu and Ding (2025), initialisation of the tracker.

    >>> initial_tracker({"a": [1.0, 0.0, 0.0, 0.0]})
    {'a': (2.0, 6.0)}
    """
    memory = 1.0 / (1.0 - LEAST_KEPT)
    state: dict[Task, tuple[float, float]] = {}
    for task, rewards in successes.items():
        rates = _unit(numbers(f"successes[{task!r}]", rewards), 0.0, 1.0)
        if len(rates) == 0:
            raise ValueError(f"task {task!r} has no rewards; leave it out to start at even odds")
        value = float(rates.mean())
        state[task] = (memory * value, memory * (1.0 - value))
    return state


def tracked_values(state: Tracker[Task], tasks: Sequence[Task]) -> Floats:
    """The success rate expected of each task: v = alpha / (alpha + beta), 1/2 for a new one.

    Source: Xu and Ding (2025), the tracker's posterior mean.

    >>> tracked_values({"a": (2.0, 6.0)}, ["a", "b"]).tolist()
    [0.25, 0.5]
    """
    sums = np.array([state.get(task, PRIOR) for task in tasks], dtype=np.float64).reshape(-1, 2)
    return sums[:, 0] / sums.sum(axis=1)


def tracked_advantages(
    returns_E: Numbers,
    tasks_E: Sequence[Task],
    state: Tracker[Task],
    lowest: float = 0.0,
    highest: float = 1.0,
    scale: Scale = "std",
) -> Floats:
    """Each return against its task's value, normalised over the batch: A_i = norm(r_i - v_i).

    r = (R - lowest) / (highest - lowest) is the return on the tracker's scale and v the value
    *before* the batch. norm subtracts the batch's mean and divides by its sample standard deviation
    (ddof = 1) plus 1e-6; `scale="none"` leaves both out.

    Class: `scale="none"` is exact (for r), as v has not seen the batch; `scale="std"` is biased,
    since the division has. Source: Xu and Ding (2025), global advantage normalisation.

    Measured bias with `scale="std"`, in batches of 3 plays of a task, as (cosine to the true
    gradient, relative error): Microwave (1.0000, 0.423), StopOrContinue (0.9568, 1.090), DelayedKey
    (1.0000, 0.155), a chain of words (0.9753, 0.306).

    >>> state = {"a": (2.0, 6.0)}
    >>> tracked_advantages([1.0, 0.0], ["a", "b"], state, scale="none").tolist()
    [0.75, -0.5]
    """
    rates = _rates(returns_E, tasks_E, lowest, highest)
    advantages_E = rates - tracked_values(state, tasks_E)
    if scale == "none":
        return advantages_E
    return against_mean(advantages_E, np.zeros(len(rates), dtype=np.intp), scale)


def updated_tracker(
    returns_E: Numbers,
    tasks_E: Sequence[Task],
    state: Tracker[Task],
    divergences: Mapping[Task, float],
    lowest: float = 0.0,
    highest: float = 1.0,
    half_life: float = HALF_LIFE,
) -> dict[Task, tuple[float, float]]:
    """The state after a batch: alpha' = rho alpha + sum r, beta' = rho beta + sum (1 - r).

    rho = 2^(-D / half_life), kept from 0.875 to 0.96, with D the task's entry in `divergences`: KL
    between the policy that played it last and the one that plays it now. The sums are over the
    task's episodes in the batch, r as in `tracked_advantages`. Tasks outside the batch stay as they
    are, and new ones start at even odds worth one episode. Source: Xu and Ding (2025), the
    KL-adaptive update; a single episode moves v by (r - v) / (rho (alpha + beta) + 1).

    >>> updated_tracker([1.0], ["a"], {"a": (2.0, 6.0)}, {"a": 1.0})
    {'a': (2.75, 5.25)}
    """
    if not half_life > 0.0:
        raise ValueError(f"half_life is {half_life}; expected a divergence above 0")
    rates = _rates(returns_E, tasks_E, lowest, highest)
    after = dict(state)
    for task in dict.fromkeys(tasks_E):
        if task not in state:
            after[task] = PRIOR
            continue
        divergence = divergences.get(task, float("nan"))
        if not divergence >= 0.0:
            raise ValueError(
                f"task {task!r} has the divergence {divergence}; expected at least 0 for every "
                "task that was played before"
            )
        kept = min(max(2.0 ** (-divergence / half_life), LEAST_KEPT), MOST_KEPT)
        alpha, beta = state[task]
        after[task] = (kept * alpha, kept * beta)
    for task, rate in zip(tasks_E, rates.tolist(), strict=True):
        alpha, beta = after[task]
        after[task] = (alpha + rate, beta + 1.0 - rate)
    return after


def task_probabilities(
    state: Tracker[Task], tasks: Sequence[Task], exploration: float = 0.05
) -> Floats:
    """How often to play each task next: p proportional to sqrt(v (1 - v)) + exploration.

    The root is the standard deviation of a success: what is always solved, or never, teaches least.
    Source: Xu and Ding (2025), prioritised sampling, with the paper's exploration bonus.

    >>> task_probabilities({"a": (8.0, 0.0), "b": (4.0, 4.0)}, ["a", "b"], 0.125).tolist()
    [0.16666666666666666, 0.8333333333333334]
    """
    if not exploration > 0.0:
        raise ValueError(f"exploration is {exploration}; expected above 0, or tasks are given up")
    values = tracked_values(state, tasks)
    weights = np.sqrt(values * (1.0 - values)) + exploration
    return weights / weights.sum()


def _rates(
    returns_E: Numbers, tasks_E: Sequence[Hashable], lowest: float, highest: float
) -> Floats:
    returns = numbers("returns_E", returns_E)
    if len(tasks_E) != len(returns):
        raise ValueError(f"{len(tasks_E)} tasks for {len(returns)} returns; give one per episode")
    return _unit(returns, lowest, highest)


def _unit(returns: Floats, lowest: float, highest: float) -> Floats:
    if not -np.inf < lowest < highest < np.inf:
        raise ValueError(
            f"returns from {lowest} to {highest}; expected finite bounds, the lower bound first"
        )
    rates = (returns - lowest) / (highest - lowest)
    wrong = np.flatnonzero((rates < 0.0) | (rates > 1.0))
    if len(wrong):
        raise ValueError(
            f"episode {wrong[0]} has the return {returns[wrong[0]]}, outside {lowest} to "
            f"{highest}; give bounds that hold for every episode"
        )
    return rates
