"""Advantages from comparing the episodes of a group: several plays of the same task.

The arrays are per episode: returns_E[e] is the return of episode e and groups_E[e] the name of the
task it played. The order is free. A group of one compares with nothing and gives 0.
`greedy_baseline` compares with a play of its own making, `identical_credit` with nothing at all.
"""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from .ragged import Floats, Indices, split, turn_counts
from .returns import Numbers, numbers

Scale = Literal["std", "none"]
EPSILON = 1e-6  # keeps the division by a group's standard deviation finite


def group_relative(
    returns_E: Numbers, groups_E: Sequence[Hashable], scale: Scale = "std"
) -> Floats:
    """Each return against its group: A_i = (R_i - mean(R)) / (std(R) + 1e-6).

    The standard deviation is the sample's (ddof = 1). Class: `scale="none"` leaves the division out
    and is exact up to the factor (N - 1) / N, N being the group's size; `scale="std"` is biased,
    because what it divides by has seen the action. Sources: Shao et al., DeepSeekMath (2024),
    section 4.1 (GRPO); Liu et al., Understanding R1-Zero-Like Training (2025), known as Dr.GRPO.

    Measured bias with `scale="std"`, in groups of 3, as (cosine to the true gradient, relative
    error): Microwave (1.0000, 0.423), StopOrContinue (0.9568, 1.090), DelayedKey (1.0000,
    0.155), a chain of words (0.9753, 0.306).

    >>> group_relative([1.0, 0.0, 5.0], ["a", "a", "b"], scale="none").tolist()
    [0.5, -0.5, 0.0]
    """
    returns, codes_E = _grouped(returns_E, groups_E)
    return against_mean(returns, codes_E, scale)


def leave_one_out(returns_E: Numbers, groups_E: Sequence[Hashable]) -> Floats:
    """Each return against the mean of the others: A_i = R_i - sum_{j != i} R_j / (N - 1).

    Class: exact, as the baseline has not seen the episode it judges. Source: Kool et al., Buy 4
    REINFORCE Samples, Get a Baseline for Free! (2019), known as RLOO.

    >>> leave_one_out([1.0, 0.0, 0.5, 7.0], ["a", "a", "a", "b"]).tolist()
    [0.75, -0.75, 0.0, 0.0]
    """
    returns, codes_E = _grouped(returns_E, groups_E)
    sizes_E = np.bincount(codes_E)[codes_E]
    # a group of one has nothing to correct: its advantage is 0 already
    return against_mean(returns, codes_E, "none") * sizes_E / np.maximum(sizes_E - 1, 1)


def greedy_baseline(returns_E: Numbers, greedy_returns_E: Numbers) -> Floats:
    """Each return against the most likely play of the same task: A_i = R_i - R_greedy(task of i).

    greedy_returns_E[e] is the return of the episode that takes the likeliest action everywhere, in
    the task of episode e. Class: exact, as the greedy play does not depend on the sampled one.
    Source: Li et al., ReMax (2023).

    >>> greedy_baseline([1.0, 0.0], [0.25, 0.5]).tolist()
    [0.75, -0.5]
    """
    returns = numbers("returns_E", returns_E)
    greedy_returns = numbers("greedy_returns_E", greedy_returns_E)
    if len(greedy_returns) != len(returns):
        raise ValueError(
            f"{len(greedy_returns)} greedy returns for {len(returns)} returns; give one per "
            "episode, that of its own task"
        )
    return returns - greedy_returns


def identical_credit(returns_E: Numbers, turns_E: Sequence[int]) -> list[Floats]:
    """Every turn is credited with its episode's whole return: A_{i,t} = R_i.

    Class: exact, with a high variance: nothing is subtracted, and a turn is paid for what was
    earned before it. Source: Luo et al., Agent Lightning (2025).

    >>> [turns.tolist() for turns in identical_credit([1.0, 0.5], [2, 1])]
    [[1.0, 1.0], [0.5]]
    """
    return spread(numbers("returns_E", returns_E), turns_E)


def spread(advantages_E: Numbers, turns_E: Sequence[int] | Indices) -> list[Floats]:
    """What an episode has earned, given to each of its turns: A_{i,t} = A_i.

    >>> [turns.tolist() for turns in spread([0.5, -0.5], [1, 2])]
    [[0.5], [-0.5, -0.5]]
    """
    advantages, counts = numbers("advantages_E", advantages_E), turn_counts(turns_E)
    if len(counts) != len(advantages):
        raise ValueError(
            f"{len(counts)} numbers of turns for {len(advantages)} episodes; give one per episode"
        )
    return split(np.repeat(advantages, counts), counts)


def equal_groups(returns_E: Numbers, groups_E: Sequence[Hashable]) -> np.ndarray:
    """Which episodes are in a group whose returns are all equal, and so learn nothing from it.

    A group of one is such a group.

    >>> equal_groups([1.0, 1.0, 1.0, 0.0], ["a", "a", "b", "b"]).tolist()
    [True, True, False, False]
    """
    returns, codes_E = _grouped(returns_E, groups_E)
    return ~varied(returns, codes_E)[codes_E]


def against_mean(
    values: Floats, codes: Indices, scale: Scale, counts: Indices | None = None
) -> Floats:
    """Each value against the mean of those with its code, divided by their standard deviation.

    `counts` makes a value stand for that many equal ones. Values that are all equal hold no
    comparison and give exactly 0: the noise of a rounded mean, divided by a tiny standard
    deviation, would not.

    >>> against_mean(np.array([1.0, 4.0]), np.array([0, 0]), "none", np.array([2, 1])).tolist()
    [-1.0, 2.0]
    """
    check_choice("scale", scale, ("std", "none"))
    weights = np.ones_like(values) if counts is None else counts
    totals = np.bincount(codes, weights)
    means = np.bincount(codes, weights * values) / totals
    centred = np.where(varied(values, codes)[codes], values - means[codes], 0.0)
    if scale == "none":
        return centred
    # the floor of 1 is for the groups of one, which are 0 already
    variances = np.bincount(codes, weights * centred**2) / np.maximum(totals - 1, 1)
    return centred / (np.sqrt(variances) + EPSILON)[codes]


def varied(values: Floats, codes: Indices) -> np.ndarray:
    """For each code, whether its values differ.

    >>> varied(np.array([1.0, 1.0, 1.0, 2.0]), np.array([0, 0, 1, 1])).tolist()
    [False, True]
    """
    some_value = np.zeros(codes.max(initial=-1) + 1)
    some_value[codes] = values
    return np.bincount(codes, values != some_value[codes]) > 0


def codes_of(names: Sequence[Hashable]) -> Indices:
    """Equal names as equal integers, counted from 0 in the order of their first appearance.

    >>> codes_of(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    numbering = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.fromiter(map(numbering.__getitem__, names), dtype=np.intp, count=len(names))


def group_codes(groups_E: Sequence[Hashable], episodes: int) -> Indices:
    """The groups as integers, once there is one per episode.

    >>> group_codes(["b", "a", "b"], 3).tolist()
    [0, 1, 0]
    """
    if len(groups_E) != episodes:
        raise ValueError(f"{len(groups_E)} group names for {episodes} episodes; give one for each")
    return codes_of(groups_E)


def check_choice(name: str, value: str, choices: tuple[str, str]) -> None:
    """Refuse a value that is not one of the two.

    >>> check_choice("scale", "std", ("std", "none"))
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; expected {choices[0]!r} or {choices[1]!r}")


def _grouped(returns_E: Numbers, groups_E: Sequence[Hashable]) -> tuple[Floats, Indices]:
    returns = numbers("returns_E", returns_E)
    return returns, group_codes(groups_E, len(returns))
