"""A key-value store with a slot for each conversation (torch), written at each one's own length."""

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from .attention_plan import Plan


class SlotCache(Cache):
    """Keys and values of many conversations, one slot each; a pass writes where its plan says.

    Attributes:
        slots: How many conversations have room.
        capacity: How many tokens of each.
        generation: How often the tensors have been replaced by larger ones.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self.slots = 0
        self.capacity = 0
        self.generation = 0
        self._plan: Plan | None = None

    def reserve(self, slots: int, capacity: int) -> None:
        """Make room for so many slots of so many tokens; what is stored stays."""
        if slots <= self.slots and capacity <= self.capacity:
            return
        self.generation += 1
        self.slots = max(self.slots, slots)
        if capacity > self.capacity:
            self.capacity = max(64, capacity, self.capacity * 3 // 2)
        self._keys = [self._grown(old) for old in self._keys]
        self._values = [self._grown(old) for old in self._values]

    def _grown(self, old: Tensor) -> Tensor:
        _, heads, _, width = old.shape
        new = old.new_zeros((self.slots, heads, self.capacity, width))
        new[: old.shape[0], :, : old.shape[2]] = old
        return new

    def aim(self, plan: Plan) -> None:
        """Say where the next forward pass writes."""
        self._plan = plan

    def copy(self, source: int, targets: list[int], length: int) -> None:
        """Copy the first `length` tokens of one slot into others (forks, shared prompts)."""
        for store in (*self._keys, *self._values):
            # a copy first: torch refuses to write a full slot while it reads one of the same store
            store[targets, :, :length] = store[source, :, :length].clone()

    @property
    def windows(self) -> set[int | None]:
        """Over how many keys the layers of the last pass looked back; None is all of them."""
        assert self._plan is not None
        plans = (self._plan, self._plan.ends)
        calls = [call for plan in plans if plan is not None for call in plan.calls]
        return {window for call in calls for window in call.masks}

    @property
    def dtype(self) -> torch.dtype | None:
        """Of what is stored; None before the first pass."""
        return self._values[0].dtype if self._values else None

    @property
    def nbytes(self) -> int:
        """The memory held, in bytes."""
        return sum(store.nbytes for store in (*self._keys, *self._values))

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *args: object,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        """Store the new keys and values [1, heads, N, width]; returns the whole store of the
        layer.
        """
        assert self._plan is not None
        while len(self._keys) <= layer_idx:
            for stores, new in ((self._keys, key_states), (self._values, value_states)):
                _, heads, _, width = new.shape
                shape = (self.slots, heads, self.capacity, width)
                stores.append(value_states.new_zeros(shape))
        where = (self._plan.slots, slice(None), self._plan.positions)
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        # under autocast rotated keys may be wider than the values
        keys[where] = key_states[0].transpose(0, 1).to(keys.dtype)
        values[where] = value_states[0].transpose(0, 1).to(values.dtype)
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Zero: the plan gives every position."""
        return 0
