"""Credit among siblings: continuations of one shared prefix, which differ from the fork on.

`sibling_relative` compares them (SLATE: Samarinas, Chang and Zamani, Truncated Step-Level Sampling
with Process Rewards for Retrieval-Augmented Reasoning, 2026). `shared_prefix_turns` and `pivotal`
keep the prefix out of the gradient (R3L: Shi et al., Reflect-then-Retry Reinforcement Learning with
Language-Guided Exploration, Pivotal Credit, and Positive Amplification, 2026).
"""

from collections.abc import Hashable, Sequence

import numpy as np

from .groups import Scale, against_mean, codes_of
from .ragged import Floats, Indices, flatten, split, turn_indices
from .returns import Numbers, numbers
from .trees import Steps


def sibling_relative(
    rewards_N: Numbers, siblings_N: Sequence[Hashable], scale: Scale = "std"
) -> Floats:
    """Each next step against the others sampled from the same prefix: A_n = (r_n - mean) / std.

    rewards_N[n] is what step n earned: the reward of the step alone (SLATE, which truncates there)
    or the return of a continuation from it. siblings_N[n] names its prefix. The standard deviation
    is the sample's (ddof = 1) plus 1e-6, and `scale="none"` leaves it out. The arithmetic is
    `group_relative`'s: the siblings are a group that differs in one decision.

    Class: with `scale="none"` exact up to the factor (k - 1) / k, k being the number of siblings,
    for the goal that rewards_N measure. Returns of continuations measure the task; rewards of the
    step alone are biased for it by all that the step leads to. `scale="std"` is biased, and so is a
    prefix that was extended by its best sibling: the policy would not have gone there as often.
    Against whole episodes, with the same rewards per step, the variance falls by up to the number
    of steps. Source: Samarinas et al. (2026), step-level advantages and the variance theorem.

    Measured bias with `scale="std"`, for returns of 3 continuations, as (cosine to the true
    gradient, relative error): Microwave (1.0000, 0.423), StopOrContinue (0.9981, 1.182), DelayedKey
    (1.0000, 0.155), a chain of words (0.9716, 0.275).

    >>> sibling_relative([1.0, 0.0, 0.5], ["p", "p", "q"], scale="none").tolist()
    [0.5, -0.5, 0.0]
    """
    rewards = numbers("rewards_N", rewards_N)
    if len(siblings_N) != len(rewards):
        raise ValueError(f"{len(siblings_N)} prefixes for {len(rewards)} rewards; give one each")
    return against_mean(rewards, codes_of(siblings_N), scale)


def shared_prefix_turns(paths_E: Sequence[Steps], groups_E: Sequence[Hashable]) -> Indices:
    """How many first turns an episode has in common with all episodes of its group.

    paths_E[e] are the steps of episode e, and a group is a failed attempt with its retries. A group
    of one shares nothing.

    >>> shared_prefix_turns([["a", "b"], ["a", "c"], ["a", "b"]], ["g", "g", "h"]).tolist()
    [1, 1, 0]
    """
    if len(groups_E) != len(paths_E):
        raise ValueError(
            f"{len(groups_E)} group names for {len(paths_E)} paths; give one per episode"
        )
    members: dict[Hashable, list[Steps]] = {}
    for path, group in zip(paths_E, groups_E, strict=True):
        members.setdefault(group, []).append(path)
    shared = {group: _shared(paths) for group, paths in members.items()}
    return np.array([shared[group] for group in groups_E], dtype=np.intp)


def pivotal(advantages_ET: Sequence[Numbers], shared_E: Sequence[int] | Indices) -> list[Floats]:
    """No credit for the turns before the fork: A_{i,t} = 0 for t < shared_i.

    Class: as the advantages that are given. The prefix was not sampled again for each sibling, so
    a gradient through it would count one sample many times. Source: Shi et al. (2026), pivotal
    credit assignment.

    >>> [turns.tolist() for turns in pivotal([[1.0, 1.0], [-1.0, -1.0, -1.0]], [1, 1])]
    [[0.0, 1.0], [0.0, -1.0, -1.0]]
    """
    flat, turns_E = flatten("advantages_ET", advantages_ET)
    shared = np.asarray(shared_E, dtype=np.intp)
    if len(shared) != len(turns_E):
        raise ValueError(
            f"{len(shared)} shared prefixes for {len(turns_E)} episodes; give one per episode"
        )
    wrong = np.flatnonzero((shared < 0) | (shared > turns_E))
    if len(wrong):
        raise ValueError(
            f"episode {wrong[0]} shares {shared[wrong[0]]} turns and has {turns_E[wrong[0]]}; "
            "expected a number from 0 to that"
        )
    own = turn_indices(turns_E) >= np.repeat(shared, turns_E)
    return split(np.where(own, flat, 0.0), turns_E)


def _shared(paths: list[Steps]) -> int:
    if len(paths) == 1:
        return 0
    together = 0
    for first, *others in zip(*paths, strict=False):
        if any(other != first for other in others):
            break
        together += 1
    return together
