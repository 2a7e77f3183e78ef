"""A turn against the same turn of the group's other episodes: MT-GRPO, mended and as published.

Zeng et al., Reinforcing Multi-Turn Reasoning in LLM Agents via Turn-Level Credit Assignment (2025)
normalise the rewards of each turn and add them up. `turn_leave_one_out` compares what is still to
come instead, with as many terms whatever the action. The published form is kept as
`turn_index_normalised` to show the difference; do not train with it where episodes can end early.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from .groups import Scale, against_mean, group_codes
from .ragged import Floats, Indices, flatten, returns_to_go, split, turn_indices
from .returns import Numbers


def turn_leave_one_out(
    rewards_ET: Sequence[Numbers], groups_E: Sequence[Hashable], discount: float = 1.0
) -> list[Floats]:
    """What is still to come, less the others': A_{i,t} = D_{i,t} - sum_{j != i} D_{j,t} / (N - 1).

    D_{i,t} = r_{i,t} + discount * D_{i,t+1}. An episode that has ended counts with 0, so all N - 1
    others always count and the baseline does not depend on the action. A group of one gives 0.

    Class: exact at discount 1; with less, biased towards the discounted objective, by as much as
    `discounted_returns`, which leaves out the factor discount ** t as well. The published form (see
    `turn_index_normalised`) is biased even at discount 1. Source: Zeng et al. (2025), with the
    baseline of Kool et al. (2019) at every turn.

    >>> a, b = turn_leave_one_out([[0.0, 1.0], [0.5]], ["g", "g"])
    >>> a.tolist(), b.tolist()
    ([0.5, 1.0], [-0.5])
    """
    rewards, turns_E = flatten("rewards_ET", rewards_ET)
    groups = group_codes(groups_E, len(turns_E))
    returns = returns_to_go(rewards, turns_E, discount)
    slots = _slots(groups, turns_E)
    sizes = np.repeat(np.bincount(groups)[groups], turns_E)
    others = np.bincount(slots, returns)[slots] - returns
    advantages = returns - others / np.maximum(sizes - 1, 1)
    # no noise of rounding where all agree, and nothing where there is nobody to compare with
    return split(np.where(_disagreed(returns, slots, sizes), advantages, 0.0), turns_E)


def turn_index_normalised(
    rewards_ET: Sequence[Numbers], groups_E: Sequence[Hashable], scale: Scale = "std"
) -> list[Floats]:
    """A test's foil: A_{i,t} = sum_{k >= t} (r_{i,k} - mean_k(r)) / (std_k(r) + 1e-6).

    The mean and the sample standard deviation are over the group's episodes that still play at turn
    k. `scale="none"` leaves the division out.

    Class: biased. An action that goes on is charged a mean for every turn that follows, one that
    stops is not. In a large group and without the division, the future of an action that goes on is
    worth 0 on average whatever it earns. Sources: Zeng et al. (2025); the bias, verl issue 7244.

    Measured bias, in groups of 3, as (cosine to the true gradient, relative error): Microwave
    (0.9995, 0.295), StopOrContinue (-0.9483, 3.102), DelayedKey (1.0000, 0.155), a chain of
    words (0.3185, 2.488).

    >>> a, b = turn_index_normalised([[0.0, 1.0], [0.5]], ["g", "g"], scale="none")
    >>> a.tolist(), b.tolist()
    ([-0.25, 0.0], [0.25])
    """
    rewards, turns_E = flatten("rewards_ET", rewards_ET)
    slots = _slots(group_codes(groups_E, len(turns_E)), turns_E)
    return split(returns_to_go(against_mean(rewards, slots, scale), turns_E, 1.0), turns_E)


def _slots(groups: Indices, turns_E: Indices) -> Indices:
    """One integer per turn, equal where the group and the turn's index are."""
    longest_G = np.zeros(groups.max(initial=-1) + 1, dtype=np.intp)
    np.maximum.at(longest_G, groups, turns_E)
    first_slot_G = np.cumsum(longest_G) - longest_G
    return np.repeat(first_slot_G[groups], turns_E) + turn_indices(turns_E)


def _disagreed(returns: Floats, slots: Indices, sizes: Indices) -> np.ndarray:
    """For each turn, whether returns at its index differ, those that have ended being 0."""
    some_return = np.zeros(slots.max(initial=-1) + 1)
    some_return[slots] = returns
    playing = np.bincount(slots)[slots]
    compared = np.where(playing < sizes, 0.0, some_return[slots])
    return (np.bincount(slots, returns != compared) > 0)[slots]
