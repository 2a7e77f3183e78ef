"""The index of prefixes against a search of everything."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from agents.prefixes import BLOCK, PrefixIndex, common


def made(ids: list[int]) -> Any:
    return SimpleNamespace(ids=ids)


def test_the_longest_shared_beginning_is_found_to_the_block_and_mostly_to_the_token():
    generator = np.random.default_rng(0)
    index: PrefixIndex[Any] = PrefixIndex()
    known = []
    for _ in range(60):
        parent = known[generator.integers(len(known))].ids if known else []
        cut = int(generator.integers(len(parent) + 1))
        sequence = made(parent[:cut] + generator.integers(3, size=30).tolist())
        index.add(sequence)
        known.append(sequence)
    found = exact = 0
    for _ in range(200):
        parent = known[generator.integers(len(known))].ids
        ids = [*parent[: generator.integers(len(parent) + 1)], 9, 9]
        best = max(common(sequence.ids, ids) for sequence in known)
        owner, length = index.find(ids)
        if best < BLOCK:
            assert (owner, length) == (None, 0)
        else:
            assert owner is not None and common(owner.ids, ids) == length
            assert length // BLOCK == best // BLOCK
            exact += length == best
            found += 1
    assert found > 50 and exact > 0.8 * found


def test_what_was_removed_is_not_found_and_what_has_grown_is():
    index: PrefixIndex[Any] = PrefixIndex()
    one, other = made(list(range(20))), made(list(range(18)))
    index.add(one)
    index.add(other)
    assert index.find(list(range(40)))[1] == 20
    one.ids += range(20, 40)
    index.add(one)
    assert index.find([*range(36), 7]) == (one, 36)
    index.remove(one)
    assert index.find(list(range(40))) == (other, 18)
    index.remove(other)
    index.remove(other)
    assert index.find(list(range(40))) == (None, 0)


def test_less_than_a_block_counts_as_nothing():
    index: PrefixIndex[Any] = PrefixIndex()
    index.add(made(list(range(BLOCK - 1))))
    assert index.find(list(range(40))) == (None, 0)
