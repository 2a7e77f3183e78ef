"""Arms with unknown means: making, ordering and reading them, and the index of UCB."""

import math
import re
from collections.abc import Iterator, Sequence

from lmenvs.arguments import check_count, check_number

from .scenarios import LARGEST

EXPLORATION = 0.5  # alpha of the index, and of LinUCB's bonus

_NUMBER = re.compile(r"\A([0-9]{1,3})\Z")
_LONGEST = 64


def parse_arm(text: str, names: Sequence[str], noun: str) -> int | str:
    """The index of the arm that a text means, or the category of the error.

    Read are a name, a number from 1, and either with the noun beside it, in any case.

    >>> [parse_arm(text, ["red", "blue"], "button") for text in ("Red", "2", "button 1", "3", "up")]
    [0, 1, 0, 'unknown', 'malformed']
    """
    if len(text) > _LONGEST:
        return "malformed"
    words = text.lower().strip(" \t\r\n.!\"'`").split()
    if len(words) == 2 and noun in words:
        words.remove(noun)
    if len(words) != 1:
        return "malformed"
    if words[0] in names:
        return names.index(words[0])
    return numbered(words[0], len(names))


def numbered(word: str, count: int) -> int | str:
    """The index that a number from 1 means: "unknown" above the count, "malformed" for no number.

    >>> [numbered(word, 2) for word in ("2", "3", "1000", "-1", "two")]
    [1, 'unknown', 'malformed', 'malformed', 'malformed']
    """
    number = _NUMBER.match(word)
    if number is None:
        return "malformed"
    index = int(number.group(1)) - 1
    return index if 0 <= index < count else "unknown"


def upper_confidence_index(
    pulls: int, rewards: float, turn: int, alpha: float = EXPLORATION
) -> float:
    """The index mean + sqrt(alpha ln t / n), infinite for an arm not pulled; t counts all pulls.

    >>> upper_confidence_index(4, 3, 1), upper_confidence_index(0, 0, 7)
    (0.75, inf)
    """
    if pulls == 0:
        return math.inf
    return rewards / pulls + exploration_bonus(pulls, turn, alpha)


def exploration_bonus(pulls: int, turn: int, alpha: float = EXPLORATION) -> float:
    """sqrt(alpha ln t / n), with t pulls in all and n of this arm."""
    return math.sqrt(alpha * math.log(turn) / pulls)


def gap_means(arms: int, gap: float) -> tuple[float, ...]:
    """One arm of 0.5 + gap/2 and the others of 0.5 - gap/2.

    Raises:
        ValueError: for an impossible number of arms or gap.
    """
    check_count("arms", arms, 2, LARGEST)
    check_number("gap", gap, 0, 1, above=True)
    return (0.5 + gap / 2, *(0.5 - gap / 2 for _ in range(arms - 1)))


def check_means(means: Sequence[float], least: float, most: float) -> tuple[float, ...]:
    """A user's means.

    Raises:
        ValueError: if there are too few or too many, or one is not from `least` to `most`.
    """
    if isinstance(means, str) or not isinstance(means, Sequence):
        raise ValueError(f"means={means!r}; expected a list of numbers, one per arm")
    if not 2 <= len(means) <= LARGEST:
        raise ValueError(f"means has {len(means)} numbers; expected 2 to {LARGEST}, one per arm")
    for index, mean in enumerate(means):
        check_number(f"means[{index}]", mean, least, most)
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
