"""Decoding of fixed shape, captured once as a CUDA graph and replayed (torch).

A pass in which every conversation brings one token is so little work for a GPU that starting its
kernels one by one takes longer than they run. Here such a pass has tensors of fixed places and
shapes: token i is that of slot i of the store, slots are rounded up to a bucket and so are the keys
that are looked at, and who does not take part writes where nobody reads. A graph of it is captured
when its shape comes up again and again.

A graph holds addresses. So graphs go when the store moves and when the policy is reset, and a model
that cannot be captured decodes as before.
"""

import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from .attention import followed
from .attention_plan import Call, Plan, Row
from .cache import SlotCache
from .devices import captured, cast_weights, mixed_precision
from .guidance import Guide
from .models import decoder, next_logits

PATIENCE = 3  # passes of one shape before it is captured, which costs about as much as ten
MOST_GRAPHS = 32
MOST_ROWS = 256  # more keep a GPU busy without a graph
_ROOM = 1024  # a store grows to a whole bucket of keys up to here, so that it moves less often
_ON_THE_DEVICE = np.empty((0, 1), np.int64)  # a call's positions, which its masks know already

Capture = Callable[
    [Callable[[], Tensor], torch.device, torch.cuda.CUDAGraph | None],
    tuple[torch.cuda.CUDAGraph, Tensor],
]
_refused: "weakref.WeakSet[PreTrainedModel]" = weakref.WeakSet()


@dataclass(slots=True)
class _Pass:
    """A pass of one shape.

    Attributes:
        given: [3, rows] ids, slots and positions; written before each run.
        graph: Computes the logits from what is given.
        logits: [rows, vocabulary]; written by each run.
    """

    given: Tensor
    graph: torch.cuda.CUDAGraph
    logits: Tensor


class _Whole(nn.Module):
    """Decoder, output layer and guide as one module, to which weights can be lent."""

    def __init__(self, model: PreTrainedModel, guide: Guide | None):
        super().__init__()
        self.model, self.guide = model, guide

    def forward(self, ids: Tensor, positions: Tensor, cache: SlotCache) -> Tensor:
        shift = None if self.guide is None else self.guide.shift
        return next_logits(self.model, ids, positions, cache, slice(None), shift)


class Graphs:
    """The decoding passes of a model over a store.

    Args:
        model: The model.
        cache: The store; an ordinary pass has to write to it first.
        capture: Makes a graph of a pass; see `devices.captured`.
        guide: Value heads that shift the logits.

    Attributes:
        served: How many passes were computed here.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        cache: SlotCache,
        capture: Capture = captured,
        guide: Guide | None = None,
    ):
        self.served = 0
        self._whole, self._cache, self._capture = _Whole(model, guide), cache, capture
        self.reset()

    def reset(self) -> None:
        """Drop all graphs; needed after the weights have changed."""
        self._passes: dict[tuple[int, int], _Pass] = {}
        self._asked: Counter[tuple[int, int]] = Counter()
        self._weights: dict[str, Tensor] = {}
        self._generation = self._cache.generation

    def logits(self, rows: Sequence[Row], ids: Sequence[int], slots: int) -> Tensor | None:
        """The logits [rows, vocabulary] behind one token of each row.

        Args:
            rows: Distinct slots.
            ids: The token of each.
            slots: How many slots of the store are somebody's.

        Returns:
            None where an ordinary pass has to do it.
        """
        model, cache = self._whole.model, self._cache
        count = _rounded_rows(1 + max(row.slot for row in rows))
        unfit = count > MOST_ROWS or any(row.new != 1 for row in rows)
        if unfit or cache.dtype is None or model in _refused:
            return None
        keys = _rounded_keys(1 + max(row.start for row in rows))
        cache.reserve(max(count, slots) + 1, min(keys, _ROOM))
        keys = min(keys, cache.capacity)
        if cache.generation != self._generation:
            self.reset()
        self._asked[count, keys] += 1
        if self._asked[count, keys] < PATIENCE:
            return None
        given = np.zeros((3, count), np.int64)
        given[1] = cache.slots - 1  # nobody's
        places = [row.slot for row in rows]
        given[:, places] = [ids, places, [row.start for row in rows]]
        known = self._passes.pop((count, keys), None) or self._made(given, keys)
        if known is None:
            return None
        self._passes[count, keys] = known  # the last of them again
        known.given.copy_(torch.from_numpy(given))
        self.served += 1
        known.graph.replay()
        return known.logits[torch.tensor(places, device=model.device)]

    def _made(self, given: np.ndarray, keys: int) -> _Pass | None:
        """A new pass of this shape; None if it cannot be captured."""
        model = self._whole.model
        if len(self._passes) >= MOST_GRAPHS:
            del self._passes[next(iter(self._passes))]  # used longest ago
        held = torch.from_numpy(given).to(model.device)
        try:
            if not self._passes:
                self._weights = cast_weights(self._whole, model.device)
            beside = next((known.graph for known in self._passes.values()), None)
            graph, logits = self._capture(partial(self._compute, held, keys), model.device, beside)
        except RuntimeError as error:
            self.reset()
            _refused.add(model)
            reason = " ".join(str(error).split())[:160]
            warnings.warn(
                f"{type(model).__name__} decodes without CUDA graphs: {reason}", stacklevel=2
            )
            return None
        return _Pass(held, graph, logits)

    def _compute(self, given: Tensor, keys: int) -> Tensor:
        """The pass itself. Nothing in it may depend on what is given but through the device."""
        model, cache = self._whole.model, self._cache
        ids, slots, positions = given
        count, device = len(ids), given.device
        columns, places = torch.arange(keys, device=device), positions[:, None]
        masks: dict[int | None, Tensor | None] = {}
        for window in cache.windows:
            hidden = columns > places
            if window is not None:
                hidden |= columns <= places - window
            seen = torch.zeros(count, 1, 1, keys, dtype=cache.dtype, device=device)
            masks[window] = seen.masked_fill_(hidden[:, None, None], -torch.inf)
        call = Call(0, count, 1, keys, _ON_THE_DEVICE, False, 0, masks=masks)
        last = torch.arange(count, device=device)
        plan = Plan(list(range(count)), slots, positions, last, [call])
        cache.aim(plan)
        # a cast weight that autocast remembers would lie where a graph does not find it again
        with followed(plan, decoder(model).config), mixed_precision(device, remember=False):
            found = functional_call(
                self._whole, self._weights, (ids, positions, cache), tie_weights=False
            )
        return found.float()


def _rounded_rows(count: int) -> int:
    return 1 << (count - 1).bit_length() if count <= 64 else -(-count // 32) * 32


def _rounded_keys(count: int) -> int:
    return max(256, 1 << (count - 1).bit_length())
