"""Actions as words: a policy that picks an action writes it word by word, and a stop at its end.

In every state the actions form a trie. A row is a node of it, an entry is one next word at a row,
and the policy's parameters are the entries' logits: a softmax over each row. Written out, an
action's chance is the product of its entries' chances. Arrays: A actions of all states end to end,
K their words end to end, R rows, P entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
STOP = "<stop>"


@dataclass(frozen=True, slots=True)
class Words:
    """The tries of all states.

    Attributes:
        first_action: Where each state's actions begin, and the end: state s has the actions
            first_action[s] to first_action[s + 1] - 1.
        first_word: Where each action's words begin in `entries`, and the end.
        entries: [K] the entry of every word of every action.
        rows: [P] the row of each entry.
        first_row: Where each state's rows begin, and the end; the first is the empty prefix.
        options: [R] how many words can follow.
    """

    first_action: Indices
    first_word: Indices
    entries: Indices
    rows: Indices
    first_row: Indices
    options: Indices

    @property
    def lengths(self) -> Indices:
        """[A] words of each action, the stop counted."""
        return np.diff(self.first_word)

    def chances(self, chances_A: Floats) -> Floats:
        """[P] the chance of each entry, for a policy with these chances of actions."""
        mass_P = np.bincount(
            self.entries, np.repeat(chances_A, self.lengths), minlength=len(self.rows)
        )
        return mass_P / np.bincount(self.rows, mass_P)[self.rows]


def spelled(actions_S: Sequence[Sequence[str]]) -> Words:
    """The tries of these actions, one sequence for each state.

    Raises:
        ValueError: if two actions of a state are the same words.
    """
    entries, rows = list[int](), list[int]()
    first_action, first_word, first_row, row_count = [0], [0], [0], 0
    for state, actions in enumerate(actions_S):
        known: dict[tuple[int, str], int] = {}  # (row, word) -> entry
        below: dict[int, int] = {}  # entry -> the row that it leads to
        root = row_count
        row_count += 1
        for action in actions:
            row = root
            for word in (*action.split(), STOP):
                entry = known.get((row, word))
                if entry is None:
                    entry = known[row, word] = len(rows)
                    rows.append(row)
                    if word != STOP:
                        below[entry] = row_count
                        row_count += 1
                elif word == STOP:
                    raise ValueError(
                        f"state {state} has two actions with the words of {action!r}; expected "
                        "actions that differ in more than white space"
                    )
                entries.append(entry)
                row = below.get(entry, -1)
            first_word.append(len(entries))
        first_action.append(len(first_word) - 1)
        first_row.append(row_count)
    rows_P = np.array(rows, dtype=np.intp)
    return Words(
        np.array(first_action, dtype=np.intp),
        np.array(first_word, dtype=np.intp),
        np.array(entries, dtype=np.intp),
        rows_P,
        np.array(first_row, dtype=np.intp),
        np.bincount(rows_P, minlength=row_count),
    )


def ranges(starts: Indices, counts: Indices) -> Indices:
    """The numbers start, start + 1, ... of every start, as many as its count, end to end.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)


def weighted_scores(words: Words, chances_P: Floats, entries: Indices, weights: Floats) -> Floats:
    """[P] the sum of weight * grad log chance over words written, by the entries' logits.

    A word at weight w adds w at its entry, and -w * chance over its whole row.
    """
    taken = np.bincount(entries, weights, minlength=len(words.rows))
    return taken - chances_P * np.bincount(words.rows, taken)[words.rows]
