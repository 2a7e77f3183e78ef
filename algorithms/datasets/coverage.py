"""Which states and actions a file of episodes holds, and what share of those there are.

Different texts are counted by their 64-bit hashes, 8 bytes each: among ten million the chance that
two share one is below one in a hundred thousand.
"""

import copy
from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from lmenvs.core import TextEnv
from lmenvs.model import States
from lmenvs.registration import TABLE, make

MOST_PAIRS = 50_000  # of a state and an action, asked of an environment's model: some seconds
_MERGE_AT = 1 << 20  # hashes that wait until they are sorted into the others


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the turns of one environment in one split have visited.

    Attributes:
        env: The env string.
        split: Of its items.
        turns: Turns that have a recorded state.
        states: Different states among them.
        pairs: Different pairs of a state and an action's text.
        reachable: Pairs of a reachable state and an admissible action; None where nobody knows.
        covered: How many of the reachable pairs are among `pairs`; None where nobody knows.
        unknown: Why nobody knows.
    """

    env: str
    split: str
    turns: int
    states: int
    pairs: int
    reachable: int | None = None
    covered: int | None = None
    unknown: str | None = None


class Distinct:
    """Counts different texts."""

    def __init__(self) -> None:
        self._known = np.zeros(0, np.uint64)
        self._new = array("Q")

    def add(self, *parts: str) -> None:
        """Take in a text, or several that belong together."""
        self._new.append(_hash(*parts))
        if len(self._new) >= _MERGE_AT:
            self.hashes()

    def hashes(self) -> np.ndarray:
        """The different hashes, sorted."""
        if self._new:
            self._known = np.union1d(self._known, np.array(self._new, np.uint64))
            self._new = array("Q")
        return self._known

    def __len__(self) -> int:
        return len(self.hashes())


class Visits:
    """Gathers what the turns of one environment and split visit."""

    def __init__(self) -> None:
        self._turns = 0
        self._states, self._pairs = Distinct(), Distinct()

    def add(self, state_key: str | None, action: str) -> None:
        """Take in a turn; one whose state was not recorded is left out."""
        if state_key is not None:
            self._turns += 1
            self._states.add(state_key)
            self._pairs.add(state_key, action.strip())

    def coverage(self, env: str, split: str) -> Coverage:
        """What was visited, beside what can be."""
        visited = self._turns, len(self._states), len(self._pairs)
        if not self._turns:
            return Coverage(env, split, *visited, unknown="no turn has a recorded state")
        try:
            there = _reachable(env, split)
        except ValueError as reason:
            return Coverage(env, split, *visited, unknown=str(reason))
        covered = int(np.isin(there.hashes(), self._pairs.hashes()).sum())
        return Coverage(env, split, *visited, len(there), covered)


def _reachable(env: str, split: str) -> Distinct:
    """The pairs of an environment by its table row.

    Raises:
        ValueError: where it has no exact model, or too large a one; the line says so.
    """
    spec = TABLE.get(env.partition("?")[0])
    if spec is None or "exact" not in spec.tags:
        raise ValueError("the environment has no exact model")
    made = make(env) if split == "all" else make(env, split=split)
    try:
        return count_pairs(reachable_pairs(made))
    finally:
        made.close()


def count_pairs(pairs: Iterable[tuple[str, str]]) -> Distinct:
    """The different pairs.

    >>> len(count_pairs([("here", "go"), ("here", "stay"), ("here", "go")]))
    2
    """
    found = Distinct()
    for state_key, action in pairs:
        found.add(state_key, action.strip())
    return found


def reachable_pairs(env: TextEnv) -> Iterable[tuple[str, str]]:
    """(state key, admissible action) of every state that play can reach, each once.

    States are met in the order of the fewest turns to them, so that the turn limit ends the search
    where it ends the play. The actions are those that are admissible on that first visit.

    Raises:
        ValueError: for an environment without an exact model, and for too many pairs.
    """
    states = States(copy.deepcopy(env), stationary=True)
    waiting = deque(dict.fromkeys(node for _, node, _ in states.starts()))
    met, count = set(waiting), 0
    while waiting:
        node = waiting.popleft()
        for action, _, after in states.edges(node, 0):
            count += 1
            if count > MOST_PAIRS:
                raise ValueError(f"more than {MOST_PAIRS} pairs of a state and an action")
            yield states.key(node), action
            for probability, reached, _ in after:
                if probability > 0 and reached not in met:
                    met.add(reached)
                    waiting.append(reached)


def _hash(*parts: str) -> int:
    raw = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "little")
