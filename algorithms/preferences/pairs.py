"""Which episodes are compared: pairs of plays of one task whose returns differ.

A pair names two episodes by their numbers in a list, and from which turn on they are trained: the
turns that both share say nothing about which is better. Only plays of one task are compared unless
the caller says otherwise: of two tasks the easier one's play would win, however it was played.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from lmenvs.registration import format_env_string, parse_env_string
from lmenvs.types import Episode

How = Literal["extremes", "best", "all"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two episodes of a list, one better than the other.

    Attributes:
        chosen: The number of the better one.
        rejected: The number of the other.
        margin: How much more it is worth.
        first: The first turn that is trained; both share the turns before it.
        turns: How many turns are trained from there on; None for all.
    """

    chosen: int
    rejected: int
    margin: float
    first: int = 0
    turns: int | None = None


def task_of(episode: Episode) -> str:
    """What makes two episodes plays of one hidden task: environment, split and seed."""
    return f"{_world(episode.env)}/{episode.split}#{episode.seed}"


@lru_cache(maxsize=1024)
def _world(env: str) -> str:
    """The environment and its arguments; the split stands in every episode, here or not."""
    env_id, arguments = parse_env_string(env)
    return format_env_string(env_id, {k: v for k, v in arguments.items() if k != "split"})


def check_same_tasks(shown: Iterable[Episode], played: Iterable[Episode]) -> None:
    """Look whether the policy met the tasks of demonstrations whose seeds it was given.

    Raises:
        ValueError: where equal seeds are other tasks.
    """
    tasks = {task_of(episode): episode for episode in shown}
    for episode in played:
        if task_of(episode) not in tasks:
            one = next(iter(tasks.values()))
            raise ValueError(
                f"demonstrations of {one.env}, split {one.split}: expected tasks of {episode.env}, "
                f"split {episode.split}, which is trained on; record them there"
            )


def pair_up(
    returns_E: Sequence[float] | np.ndarray,
    tasks_E: Sequence[Hashable],
    how: How = "extremes",
    margin: float = 0.0,
) -> list[Pair]:
    """Pairs within each task whose returns differ by more than `margin`, in order of the tasks.

    extremes: one pair a task, the best and the worst. best: the best against each that is worse.
    all: each that is better against each that is worse. Of equals the earlier one is the best or
    worst.

    >>> [(p.chosen, p.rejected) for p in pair_up([1, 0, 2, 5], ["a", "a", "a", "b"], "best")]
    [(2, 0), (2, 1)]
    """
    if how not in ("extremes", "best", "all"):
        raise ValueError(f"how is {how!r}; expected 'extremes', 'best' or 'all'")
    returns = [float(value) for value in returns_E]
    members: dict[Hashable, list[int]] = {}
    for index, task in enumerate(tasks_E):
        members.setdefault(task, []).append(index)

    def better(one: int, others: Iterable[int]) -> list[Pair]:
        gaps = [(other, returns[one] - returns[other]) for other in others]
        return [Pair(one, other, gap) for other, gap in gaps if gap > margin]

    pairs: list[Pair] = []
    for group in members.values():
        best = max(group, key=returns.__getitem__)
        if how == "extremes":
            pairs += better(best, [min(group, key=returns.__getitem__)])
        elif how == "best":
            pairs += better(best, group)
        else:
            pairs += [pair for one in group for pair in better(one, group)]
    return pairs


def sibling_pairs(
    forks: Sequence[Episode], how: How = "extremes", margin: float = 0.0
) -> list[Pair]:
    """Pairs of ways on from one state, trained from the turn on at which they were forked.

    Args:
        forks: Continuations as `agents.branching.branch` makes them; of each fork, all.
        how: See `pair_up`.
        margin: See `pair_up`.
    """
    pairs = pair_up([e.total_reward for e in forks], [e.parent for e in forks], how, margin)
    return [replace(pair, first=_forked_at(forks[pair.chosen])) for pair in pairs]


def action_pairs(
    forks: Sequence[Episode], how: How = "extremes", margin: float = 0.0
) -> list[Pair]:
    """Pairs of actions taken at one state, of which only that turn is trained.

    An action is worth the mean return of the ways on that began with it; the first of them stands
    for all. The arguments are those of `sibling_pairs`.
    """
    ways: dict[Hashable, list[int]] = {}
    for number, fork in enumerate(forks):
        action = fork.turns[_forked_at(fork)].action.text
        ways.setdefault((fork.parent, action), []).append(number)
    firsts = [numbers[0] for numbers in ways.values()]
    values = [float(np.mean([forks[n].total_reward for n in own])) for own in ways.values()]
    pairs = pair_up(values, [forks[number].parent for number in firsts], how, margin)
    return [
        Pair(firsts[p.chosen], firsts[p.rejected], p.margin, _forked_at(forks[firsts[p.chosen]]), 1)
        for p in pairs
    ]


def _forked_at(fork: Episode) -> int:
    assert fork.parent is not None
    return fork.parent[1]


class PairSampler:
    """Draws pairs from many recorded episodes, of which only returns and tasks are held.

    Args:
        returns_E: Of each episode.
        tasks_E: What it is a play of; episodes of different tasks are never paired.
        margin: Returns differ by more than this; None pairs any two episodes of a task.

    Raises:
        ValueError: where no two episodes can be paired.
    """

    def __init__(
        self,
        returns_E: Sequence[float] | np.ndarray,
        tasks_E: Sequence[Hashable],
        margin: float | None = 0.0,
    ):
        numbers = {task: number for number, task in enumerate(dict.fromkeys(tasks_E))}
        self.returns_E = np.asarray(returns_E, dtype=np.float64)
        self._group_E = np.array([numbers[task] for task in tasks_E], dtype=np.int64)
        order = np.lexsort((self.returns_E, self._group_E))  # a task's episodes, worst to best
        starts = np.flatnonzero(np.diff(self._group_E[order], prepend=-1))
        self._groups = np.split(order, starts[1:])
        # an episode's partners stand in its group before `below` and from `above` on
        self._below_E, self._above_E, partners_E = np.zeros((3, len(order)), dtype=np.int64)
        for group in self._groups:
            below, above = _partners(self.returns_E[group], margin)
            self._below_E[group], self._above_E[group] = below, above
            partners_E[group] = below + len(group) - above
        self._partners_E = partners_E
        self._able = np.flatnonzero(partners_E)
        if not len(self._able):
            sought = (
                "two" if margin is None else f"two whose returns differ by more than {margin:g}"
            )
            raise ValueError(
                f"{len(order)} episodes of {len(numbers)} tasks: expected {sought} of one task, "
                "got none to compare; record several episodes a seed, or set across_tasks where "
                "all tasks begin alike"
            )

    def draw(self, generator: np.random.Generator, count: int) -> list[Pair]:
        """So many pairs: a first episode uniformly among those that can be paired, then a second
        uniformly among those that it can be paired with. The better one is `chosen`.
        """
        firsts = generator.choice(self._able, size=count)
        numbers = generator.integers(self._partners_E[firsts])
        return [self._pair(int(one), int(n)) for one, n in zip(firsts, numbers, strict=True)]

    def _pair(self, one: int, number: int) -> Pair:
        """An episode with the partner of this number."""
        below, above = int(self._below_E[one]), int(self._above_E[one])
        group = self._groups[int(self._group_E[one])]
        other = int(group[number if number < below else above + number - below])
        gap = float(self.returns_E[one] - self.returns_E[other])
        return Pair(one, other, gap) if gap >= 0 else Pair(other, one, -gap)


def _partners(sorted_returns: np.ndarray, margin: float | None) -> tuple[np.ndarray, np.ndarray]:
    """For each place of a group, how many before it, and from which place on, can be paired."""
    if margin is None:
        places = np.arange(len(sorted_returns))
        return places, places + 1
    below = np.searchsorted(sorted_returns, sorted_returns - margin, "left")
    return below, np.searchsorted(sorted_returns, sorted_returns + margin, "right")
