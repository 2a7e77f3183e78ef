"""How one pass over a flat row of new tokens is split into calls of attention (torch).

What is new in every conversation is laid end to end without padding. Rows of similar length share
one call over neighbouring slots of the store, read in place; a row that is much longer than the
others, or brings many tokens, has a call of its own and attends over its true length.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_KEYS_A_CALL = 25_000.0  # what a call costs besides: so many keys times their width, one query each
_PAIRS_A_CALL = 300_000.0  # and for several queries, pairs of query and key times their width


class Row(NamedTuple):
    """What one conversation brings to a pass: `new` tokens behind `start` stored ones."""

    slot: int
    start: int
    new: int


@dataclass(slots=True)
class Call:
    """One call of attention: every row brings up to `width` tokens to slots `first` to `last`.

    Attributes:
        first: The first slot that is read.
        last: The slot behind the last one.
        width: Queries of each slot, padded where a row brings fewer.
        seen: Keys behind this many are not looked at.
        positions: [last - first, width] where each query stands; 0 where there is none.
        regular: Whether all queries are there and stand at the same positions in every slot.
        begin: Where its tokens begin in the flat row.
        take: [last - first, width] places of the queries in the flat row; None if they lie there in
            order.
        put: (places in the flat row, places among the answers) of the real ones.
    """

    first: int
    last: int
    width: int
    seen: int
    positions: np.ndarray
    regular: bool
    begin: int
    take: Tensor | None = None
    put: tuple[Tensor, Tensor] | None = None
    masks: dict[int | None, Tensor | None] = field(default_factory=dict)

    def mask(self, window: int | None, like: Tensor) -> Tensor | None:
        """What is added to the scores [slots or 1, 1, width, seen]; None if every key is seen."""
        if window not in self.masks:
            if window is None and self.regular and self.width == 1:
                self.masks[None] = None  # the last token sees all keys
                return None
            places = self.positions[:1] if self.regular else self.positions
            keys = np.arange(self.seen)
            hidden = keys > places[..., None]
            if window is not None:
                hidden |= keys <= places[..., None] - window
            added = None
            if hidden.any():
                bias = np.where(hidden, -np.inf, 0.0).astype(np.float32)[:, None]
                added = torch.from_numpy(bias).to(like.device, like.dtype)
            self.masks[window] = added
        return self.masks[window]


@dataclass(slots=True)
class Plan:
    """How one pass over a flat row of tokens reads and writes the store.

    Attributes:
        order: Indices of the rows in the order in which their tokens lie in the flat row.
        slots: [N] the slot of each token.
        positions: [N] its place there.
        last: [rows] where each row's last token lies, in the order the rows were given.
        calls: How attention is split.
        ends: The same pass with each row's last token as its only query, if it has others.
    """

    order: list[int]
    slots: Tensor
    positions: Tensor
    last: Tensor
    calls: list[Call]
    ends: "Plan | None" = None


def make_plan(
    rows: Sequence[Row], queries: int, keys: int, device: torch.device, *, alone: bool = True
) -> Plan:
    """Lay the rows' tokens out and split their attention into calls.

    Args:
        rows: Distinct slots; the order is free.
        queries: Width of all query heads together.
        keys: Width of all key heads together.
        device: Where the pass runs.
        alone: Whether a row may have a call of its own (a GPU prefers few large calls).
    """
    slots, starts, counts = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    groups: list[np.ndarray] = []
    for several, price in ((False, _KEYS_A_CALL / keys), (True, _PAIRS_A_CALL / queries)):
        members = np.flatnonzero((counts > 1) == several)
        members = members[np.argsort(slots[members], kind="stable")]
        groups += _split(members, slots, starts, counts, price if alone else np.inf)
    order = np.concatenate(groups)
    begins = np.zeros(len(rows), np.int64)
    begins[order] = np.cumsum(counts[order]) - counts[order]
    total = int(counts.sum())
    within = np.arange(total) - np.repeat(begins[order], counts[order])
    plan = Plan(
        order.tolist(),
        torch.from_numpy(np.repeat(slots[order], counts[order])).to(device),
        torch.from_numpy(np.repeat(starts[order], counts[order]) + within).to(device),
        torch.from_numpy(begins + counts - 1).to(device),
        [_call(group, slots, starts, counts, begins, device) for group in groups],
    )
    if total > len(rows):
        ends = [Row(row.slot, row.start + row.new - 1, 1) for row in rows]
        plan.ends = make_plan(ends, queries, keys, device, alone=alone)
    return plan


def _split(
    members: np.ndarray, slots: np.ndarray, starts: np.ndarray, counts: np.ndarray, price: float
) -> list[np.ndarray]:
    """Rows with the most work leave the shared call one by one, as long as that saves work."""
    if len(members) < 2 or price == np.inf:
        return [members] if len(members) else []
    seen = starts[members] + counts[members]
    heavy = np.argsort(-seen * counts[members], kind="stable")
    ranked = members[heavy]

    def rest(values: np.ndarray) -> np.ndarray:
        """The greatest of what is left when the first k have gone."""
        return np.maximum.accumulate(values[::-1])[::-1]

    span = rest(slots[ranked]) + rest(-slots[ranked]) + 1
    together = span * rest(counts[ranked]) * rest(seen[heavy]) + price
    work = (seen * counts[members])[heavy]
    alone = np.concatenate([[0.0], np.cumsum(work + price)])
    costs = np.append(alone[:-1] + together, alone[-1])
    gone = int(np.argmin(costs))
    left = np.sort(heavy[gone:])  # members are in the order of their slots
    groups = [members[left]] if len(left) else []
    return groups + [members[index : index + 1] for index in np.sort(heavy[:gone])]


def _call(
    group: np.ndarray,
    slots: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    begins: np.ndarray,
    device: torch.device,
) -> Call:
    first, last = int(slots[group[0]]), int(slots[group[-1]]) + 1
    if len(group) == 1:  # most calls are one row's: what follows would take five times as long
        start, count = int(starts[group[0]]), int(counts[group[0]])
        positions = np.arange(start, start + count)[None]
        begin = int(begins[group[0]])
        return Call(first, last, count, start + count, positions, True, begin)
    width = int(counts[group].max())
    seen = int((starts[group] + counts[group]).max())
    rows = slots[group] - first
    whole = last - first == len(group) and bool((counts[group] == width).all())
    columns = np.arange(width)
    positions = np.zeros((last - first, width), np.int64)
    positions[rows] = np.minimum(starts[group], seen - 1)[:, None] + columns
    np.minimum(positions, seen - 1, out=positions)
    regular = whole and bool((starts[group] == starts[group[0]]).all())
    begin = int(begins[group[0]])
    if whole:
        return Call(first, last, width, seen, positions, regular, begin)
    real = columns < counts[group][:, None]
    places = begins[group][:, None] + columns
    take = np.full((last - first, width), begin, np.int64)
    take[rows] = np.where(real, places, begin)
    answers = rows[:, None] * width + columns
    put = torch.from_numpy(places[real]).to(device), torch.from_numpy(answers[real]).to(device)
    return Call(
        first, last, width, seen, positions, False, begin, torch.from_numpy(take).to(device), put
    )
