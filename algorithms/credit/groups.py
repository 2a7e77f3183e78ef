"""Advantages from comparing the episodes of a group: several plays of the same task.

The arrays are per episode: returns_E[e] is the return of episode e and groups_E[e] the name of the
task it played. The order is free. A group of one compares with nothing and gives 0.
"""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .returns import Numbers, numbers

Scale = Literal["std", "none"]
EPSILON = 1e-6  # keeps the division by a group's standard deviation finite


def group_relative(
    returns_E: Numbers, groups_E: Sequence[Hashable], scale: Scale = "std"
) -> NDArray[np.float64]:
    """Each return against its group: A_i = (R_i - mean(R)) / (std(R) + 1e-6).

    The standard deviation is the sample's (ddof = 1). `scale="none"` leaves the division out, which
    is unbiased up to the factor (N - 1) / N; the division is not unbiased. Sources: Shao et al.,
    DeepSeekMath (2024), section 4.1 (GRPO); Liu et al., Understanding R1-Zero-Like Training (2025).

    >>> group_relative([1.0, 0.0, 5.0], ["a", "a", "b"], scale="none").tolist()
    [0.5, -0.5, 0.0]
    """
    if scale not in ("std", "none"):
        raise ValueError(f"scale is {scale!r}; expected 'std' or 'none'")
    returns, members = _grouped(returns_E, groups_E)
    advantages_E = np.zeros_like(returns)
    for group in members:
        centred = _centred(returns[group])
        if scale == "std" and centred.any():
            centred = centred / (returns[group].std(ddof=1) + EPSILON)
        advantages_E[group] = centred
    return advantages_E


def leave_one_out(returns_E: Numbers, groups_E: Sequence[Hashable]) -> NDArray[np.float64]:
    """Each return against the mean of the others: A_i = R_i - sum_{j != i} R_j / (N - 1).

    The baseline has not seen the episode it judges, so the policy gradient stays unbiased. Source:
    Kool et al., Buy 4 REINFORCE Samples, Get a Baseline for Free! (2019), known as RLOO.

    >>> leave_one_out([1.0, 0.0, 0.5, 7.0], ["a", "a", "a", "b"]).tolist()
    [0.75, -0.75, 0.0, 0.0]
    """
    returns, members = _grouped(returns_E, groups_E)
    advantages_E = np.zeros_like(returns)
    for group in members:
        if len(group) > 1:
            advantages_E[group] = _centred(returns[group]) * (len(group) / (len(group) - 1))
    return advantages_E


def _centred(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    # Equal returns hold no comparison and give exactly 0: the noise of a rounded mean, divided by
    # a tiny standard deviation, would not.
    if returns.min() == returns.max():
        return np.zeros_like(returns)
    return returns - returns.mean()


def _grouped(
    returns_E: Numbers, groups_E: Sequence[Hashable]
) -> tuple[NDArray[np.float64], list[list[int]]]:
    returns = numbers("returns_E", returns_E)
    if len(groups_E) != len(returns):
        raise ValueError(
            f"{len(groups_E)} group names for {len(returns)} returns; give one per episode"
        )
    members: dict[Hashable, list[int]] = {}
    for episode, group in enumerate(groups_E):
        members.setdefault(group, []).append(episode)
    return returns, list(members.values())
