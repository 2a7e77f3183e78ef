"""Episodes of different lengths laid end to end, so that one numpy call serves all of their turns.

`flatten` checks what every estimator over turns must refuse, `split` undoes it. Nothing is padded:
one very long episode costs its own turns and no more.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .returns import NOT_FINITE, Numbers, numbers, usable

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def flatten(name: str, values_ET: Sequence[Numbers]) -> tuple[Floats, Indices]:
    """All turns end to end, and how many turns each episode has.

    Raises:
        ValueError: if an episode has no turns, is not one-dimensional or holds a number that is not
            finite or is above `returns.LARGEST`.

    >>> [part.tolist() for part in flatten("rewards_ET", [[1.0, 2.0], [3.0]])]
    [[1.0, 2.0, 3.0], [2, 1]]
    """
    rows = [np.asarray(values_T, dtype=np.float64) for values_T in values_ET]
    for episode, row in enumerate(rows):
        if row.ndim != 1:
            raise ValueError(
                f"{name}[{episode}] has shape {row.shape}; expected one number per turn, in one "
                "dimension"
            )
    turns_E = turn_counts([len(row) for row in rows])
    flat = np.concatenate(rows) if rows else np.zeros(0)
    if not usable(flat).all():
        where = int(np.flatnonzero(~usable(flat))[0])
        episode = int(np.searchsorted(np.cumsum(turns_E), where, side="right"))
        turn = where - int(turns_E[:episode].sum())
        raise ValueError(f"{name}[{episode}][{turn}] is {flat[where]}; {NOT_FINITE}")
    return flat, turns_E


def split(flat: Floats, turns_E: Indices) -> list[Floats]:
    """One array per episode again.

    >>> [turns.tolist() for turns in split(np.array([1.0, 2.0, 3.0]), np.array([2, 1]))]
    [[1.0, 2.0], [3.0]]
    """
    ends = np.cumsum(turns_E)
    starts = ends - turns_E
    return [flat[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def turn_counts(turns_E: Sequence[int] | Indices) -> Indices:
    """The numbers of turns as an array.

    Raises:
        ValueError: if an episode has no turns, or a part of one.

    >>> turn_counts([3, 1]).tolist()
    [3, 1]
    """
    counts = numbers("turns_E", np.asarray(turns_E, dtype=np.float64))
    wrong = np.flatnonzero((counts < 1) | (counts != np.floor(counts)))
    if len(wrong):
        raise ValueError(
            f"episode {wrong[0]} has {counts[wrong[0]]:g} turns; expected at least 1, leave out "
            "episodes in which nothing was done"
        )
    return counts.astype(np.intp)


def turn_indices(turns_E: Indices) -> Indices:
    """The index of every turn inside its episode.

    >>> turn_indices(np.array([3, 1])).tolist()
    [0, 1, 2, 0]
    """
    starts_E = np.cumsum(turns_E) - turns_E
    return np.arange(int(turns_E.sum())) - np.repeat(starts_E, turns_E)


def episode_sums(flat: Floats, turns_E: Indices) -> Floats:
    """The sum over the turns of each episode.

    >>> episode_sums(np.array([1.0, 0.0, 2.0, 5.0]), np.array([3, 1])).tolist()
    [3.0, 5.0]
    """
    episodes = np.repeat(np.arange(len(turns_E)), turns_E)
    return np.bincount(episodes, flat).astype(np.float64)


def returns_to_go(flat: Floats, turns_E: Indices, discount: float) -> Floats:
    """`discounted_returns` of every episode at once: D_t = r_t + discount * D_{t+1}.

    The last turn of all episodes first, then the one before it in all that have it, and so on.

    >>> returns_to_go(np.array([1.0, 0.0, 2.0, 5.0]), np.array([3, 1]), 0.5).tolist()
    [1.5, 1.0, 2.0, 5.0]
    """
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount is {discount}; expected a number from 0 to 1")
    returns = flat.copy()
    longest_first = np.argsort(-turns_E, kind="stable")
    last_turns = (np.cumsum(turns_E) - 1)[longest_first]
    with_more_turns = len(turns_E) - np.cumsum(np.bincount(turns_E))
    for back, episodes in enumerate(with_more_turns[1:].tolist(), start=1):
        turns = last_turns[:episodes] - back
        returns[turns] += discount * returns[turns + 1]
    return returns
