"""Arms with unknown chances: making them, ordering them, and the upper-confidence index."""

import math
from collections.abc import Iterator, Sequence

from .scenarios import LARGEST

EXPLORATION = 0.5  # alpha of the index


def upper_confidence_index(pulls: int, rewards: int, turn: int) -> float:
    """The index mean + sqrt(alpha ln t / n), infinite for an arm not pulled; t counts all pulls."""
    if pulls == 0:
        return math.inf
    return rewards / pulls + exploration_bonus(pulls, turn)


def exploration_bonus(pulls: int, turn: int) -> float:
    """sqrt(alpha ln t / n), with t pulls in all and n of this arm."""
    return math.sqrt(EXPLORATION * math.log(turn) / pulls)


def gap_means(arms: int, gap: float) -> tuple[float, ...]:
    """One arm of 0.5 + gap/2 and the others of 0.5 - gap/2.

    Raises:
        ValueError: for an impossible number of arms or gap.
    """
    if not isinstance(arms, int) or not 2 <= arms <= LARGEST:
        raise ValueError(f"arms={arms!r}; expected an integer from 2 to {LARGEST}")
    if not isinstance(gap, int | float) or not 0 < gap <= 1:
        raise ValueError(f"gap={gap!r}; expected a number above 0 and at most 1")
    return (0.5 + gap / 2, *(0.5 - gap / 2 for _ in range(arms - 1)))


def check_means(means: Sequence[float]) -> tuple[float, ...]:
    """A user's chances.

    Raises:
        ValueError: if there are too few or too many, or one is not from 0 to 1.
    """
    if not 2 <= len(means) <= LARGEST:
        raise ValueError(f"means has {len(means)} numbers; expected 2 to {LARGEST}, one per arm")
    for mean in means:
        if not isinstance(mean, int | float) or not 0 <= mean <= 1:
            raise ValueError(f"means holds {mean!r}; expected chances from 0 to 1")
    return tuple(float(mean) for mean in means)


def orders_of(values: Sequence[float]) -> Iterator[tuple[float, ...]]:
    """The distinct orders of some values, each once."""
    if not values:
        yield ()
    for first in sorted(set(values)):
        rest = list(values)
        rest.remove(first)
        for order in orders_of(rest):
            yield (first, *order)


def count_orders(values: Sequence[float]) -> int:
    """How many distinct orders some values have.

    >>> count_orders([0.7, 0.3, 0.3])
    3
    """
    orders = math.factorial(len(values))
    for value in set(values):
        orders //= math.factorial(list(values).count(value))
    return orders
