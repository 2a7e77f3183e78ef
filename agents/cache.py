"""A key-value cache with a slot for each conversation (torch), written at each row's own length."""

import torch
from torch import Tensor
from transformers.cache_utils import Cache


class SlotCache(Cache):
    """Keys and values of many conversations, one slot each, written in place at its own length."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._slots = 0
        self._capacity = 0
        self._rows: Tensor | None = None
        self._columns = torch.empty(0)
        self._seen = 0

    def reserve(self, slots: int, capacity: int) -> None:
        """Make room for so many slots of so many tokens; what is stored stays."""
        if slots <= self._slots and capacity <= self._capacity:
            return
        self._slots = max(self._slots, slots)
        if capacity > self._capacity:
            self._capacity = max(64, capacity, self._capacity * 3 // 2)
        self._keys = [self._grown(old) for old in self._keys]
        self._values = [self._grown(old) for old in self._values]

    def _grown(self, old: Tensor) -> Tensor:
        _, heads, _, width = old.shape
        new = old.new_zeros((self._slots, heads, self._capacity, width))
        new[: old.shape[0], :, : old.shape[2]] = old
        return new

    def aim(self, rows: Tensor, columns: Tensor, seen: int) -> None:
        """Say where the next forward pass writes.

        Args:
            rows: [B] the slot of each row.
            columns: [B, Q] the position of each new token within its slot.
            seen: Keys beyond this position are not looked at.
        """
        contiguous = bool((rows == torch.arange(len(rows), device=rows.device)).all())
        self._rows = None if contiguous else rows
        self._index = rows[:, None].expand_as(columns)
        self._columns, self._seen = columns, seen

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of one slot into another (a fork)."""
        for store in (*self._keys, *self._values):
            store[target, :, :length] = store[source, :, :length]

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *args: object,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        """Store the new keys and values [B, heads, Q, width]; return all that the rows may attend
        to.
        """
        while len(self._keys) <= layer_idx:
            batch, heads, _, width = key_states.shape
            shape = (max(self._slots, batch), heads, self._capacity, width)
            self._keys.append(key_states.new_zeros(shape))
            self._values.append(value_states.new_zeros((*shape[:3], value_states.shape[-1])))
        stored: list[Tensor] = []
        for store, new in (
            (self._keys[layer_idx], key_states),
            (self._values[layer_idx], value_states),
        ):
            store[self._index, :, self._columns] = new.transpose(1, 2)
            seen = store[:, :, : self._seen]
            stored.append(seen[: key_states.shape[0]] if self._rows is None else seen[self._rows])
        return stored[0], stored[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many key positions the next pass sees."""
        return self._seen

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        """(key positions, offset); the mask is given explicitly, so this only has to agree with
        it.
        """
        return self._seen, 0
