"""Attention of new tokens over a key-value store with a slot for each conversation (torch).

A forward pass reads one flat row of tokens [1, N]: what is new in every conversation, laid end to
end without padding, so that all other layers compute exactly what is needed. Only attention knows
whose token is whose. A `Plan` splits the pass into calls of scaled dot-product attention: rows of
similar length share one call over neighbouring slots, read in place; a row that is much longer than
the others, or brings many tokens, has a call of its own and attends over its true length.

Transformers calls `attend` in the place of its own attention while a plan is `followed`.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PretrainedConfig

NAME = "lmenvs_slots"
_UNDERSTOOD = {"position_ids", "is_causal", "cache_position", "output_attentions", "use_cache"}
_KEYS_A_CALL = 25_000.0  # what a call costs besides: so many keys times their width, one query each
_PAIRS_A_CALL = 300_000.0  # and for several queries, pairs of query and key times their width
_here = threading.local()


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
    """

    order: list[int]
    slots: Tensor
    positions: Tensor
    last: Tensor
    calls: list[Call]


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
    return Plan(
        order.tolist(),
        torch.from_numpy(np.repeat(slots[order], counts[order])).to(device),
        torch.from_numpy(np.repeat(starts[order], counts[order]) + within).to(device),
        torch.from_numpy(begins + counts - 1).to(device),
        [_call(group, slots, starts, counts, begins, device) for group in groups],
    )


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


@contextmanager
def followed(plan: Plan, config: PretrainedConfig) -> Iterator[None]:
    """Let the model of this configuration attend by the plan."""
    before = config._attn_implementation
    config._attn_implementation = NAME
    _here.plan = plan
    try:
        yield
    finally:
        _here.plan = None
        config._attn_implementation = before


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of a flat row of new tokens over the whole store, by the plan that is followed.

    Args:
        module: The attention layer; asked for nothing.
        query: [1, heads, N, width].
        key: [slots, key heads, capacity, width]: the store, new tokens included.
        value: [slots, key heads, capacity, value width].
        attention_mask: None; the plan says who sees what.
        scaling: Of the scores; 1 / sqrt(width) if None.
        dropout: Must be 0.
        sliding_window: How many keys back a query sees, itself included.
        others: What would change the numbers is refused.

    Returns:
        [1, N, heads, value width].

    Raises:
        ValueError: for an argument that this attention does not know.
    """
    unknown = [name for name, given in others.items() if given is not None]
    unknown = sorted(set(unknown) - _UNDERSTOOD)
    if unknown or dropout or attention_mask is not None:
        said = ", ".join(unknown) or ("dropout" if dropout else "a mask of its own")
        raise ValueError(
            f"{type(module).__name__} asks attention for {said}, which cached conversations do not "
            "have; use another model, or one that is served over HTTP"
        )
    plan: Plan = _here.plan
    query = query.to(key.dtype)  # under autocast rotated queries may be wider
    _, heads, total, _ = query.shape
    key_heads, width = key.shape[1], value.shape[-1]
    share = heads // key_heads
    answer = query.new_empty(total, heads, width)
    for call in plan.calls:
        slots, wide, begin = call.last - call.first, call.width, call.begin
        given, given_begin = query, begin
        if call.take is not None:
            given, given_begin = query.index_select(2, call.take.view(-1)), 0
        _, head, token, unit = given.stride()
        # as_strided: one step to each view, where slicing and transposing takes several a row
        if wide == 1:  # the query heads of one key head are asked as if they were its queries
            shape = (slots, key_heads, share, given.shape[3])
            steps = (token, share * head, head, unit)
            laid = (heads * width, share * width, width, 1)
        else:
            shape = (slots, heads, wide, given.shape[3])
            steps = (wide * token, head, token, unit)
            laid = (wide * heads * width, width, heads * width, 1)
        found = scaled_dot_product_attention(
            given.as_strided(shape, steps, given.storage_offset() + given_begin * token),
            _first_keys(key, call),
            _first_keys(value, call),
            attn_mask=call.mask(sliding_window, query),
            scale=scaling,
            enable_gqa=wide > 1 and share > 1,
        )
        if call.put is None:
            answer.as_strided(found.shape, laid, begin * heads * width).copy_(found)
        else:
            places, chosen = call.put
            found = found if wide == 1 else found.transpose(1, 2)
            answer[places] = found.reshape(-1, heads, width)[chosen]
    return answer[None], None


def _first_keys(store: Tensor, call: Call) -> Tensor:
    """The part of the store that a call reads: store[first:last, :, :seen]."""
    _, heads, _, width = store.shape
    steps = store.stride()
    begin = store.storage_offset() + call.first * steps[0]
    return store.as_strided((call.last - call.first, heads, call.seen, width), steps, begin)


AttentionInterface.register(NAME, attend)
