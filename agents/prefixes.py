"""Which stored sequence begins with the same tokens: an index of prefixes by blocks."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

BLOCK = 16
_TRIED = 8  # sequences with the same blocks that are compared token by token


class Indexed(Protocol):
    """A sequence that may share its beginning with another."""

    ids: list[int]


S = TypeVar("S", bound=Indexed)


class PrefixIndex(Generic[S]):
    """Finds a sequence that shares the longest beginning, in time linear in that length.

    Every whole block of a sequence is filed under a hash of all tokens up to its end. Among many
    that share the same blocks only the latest few are compared token by token.
    """

    def __init__(self) -> None:
        self._owners: dict[Hashable, list[S]] = {}
        self._filed: dict[int, list[Hashable]] = {}  # id of a sequence -> its keys, block by block

    def add(self, sequence: S) -> None:
        """File what has been added to the sequence since it was last filed."""
        keys = self._filed.setdefault(id(sequence), [])
        for key in _keys(sequence.ids, len(keys), keys[-1] if keys else None):
            keys.append(key)
            self._owners.setdefault(key, []).append(sequence)

    def remove(self, sequence: S) -> None:
        """Forget the sequence."""
        for key in self._filed.pop(id(sequence), []):
            owners = self._owners[key]
            owners[:] = [owner for owner in owners if owner is not sequence]
            if not owners:
                del self._owners[key]

    def find(self, ids: Sequence[int]) -> tuple[S | None, int]:
        """A sequence that shares the longest beginning with `ids`, and how many tokens that is.

        Fewer than a block counts as none.
        """
        owners: list[S] = []
        for key in _keys(ids, 0, None):
            if key not in self._owners:
                break
            owners = self._owners[key]
        best: tuple[S | None, int] = (None, 0)
        for owner in owners[-_TRIED:]:
            length = common(owner.ids, ids)
            if length > best[1] and length >= BLOCK:
                best = owner, length
        return best


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences share at their beginning.

    >>> common([1, 2, 3], [1, 2, 4, 5])
    2
    """
    length = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        length += 1
    return length


def _keys(ids: Sequence[int], done: int, key: Hashable) -> Iterator[Hashable]:
    """The key of every whole block after the first `done`; `key` is that of the last done."""
    for begin in range(done * BLOCK, len(ids) - BLOCK + 1, BLOCK):
        key = hash((key, tuple(ids[begin : begin + BLOCK])))
        yield key
