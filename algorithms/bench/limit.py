"""What the sampler is set beside: the bare loop that knows all lengths, and `generate` (torch).

`bare` is the limit: conversations in step, answers' lengths known in advance, so that nothing is
decided, waited for or masked that need not be. The store of keys and values is allocated once and
written in place, rows that still answer are neighbours (the lengths of a turn are dealt out that
way, longest first and longest last in turns, so that all rows grow alike), attention ends at the
longest row's true length, the last sampled token begins the next block, one multinomial samples. It
has no tokenizer, no environment and no stop token.

`generated` calls `model.generate` on the whole history at every turn, all conversations in one
left-padded batch: what most frameworks with Transformers do.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from .scene import ANSWER, CONTROL, NEW_TOKENS, VOCABULARY


class BareCache(Cache):
    """Keys and values of rows in step, allocated once."""

    def __init__(self, model: PreTrainedModel, rows: int, capacity: int):
        super().__init__(layers=[])
        config = model.config
        width = config.hidden_size // config.num_attention_heads
        shape = (rows, config.num_key_value_heads, capacity, width)
        self._stores = [
            [torch.zeros(shape, device=model.device, dtype=model.dtype) for _ in range(2)]
            for _ in range(config.num_hidden_layers)
        ]
        self.first, self.last, self.start, self.seen = 0, rows, 0, 0
        self.where: tuple[Tensor, slice, Tensor] | None = None

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *args: object,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        """Write [rows, heads, new, width] behind what is there; returns what is to be seen."""
        found: list[Tensor] = []
        for store, new in zip(self._stores[layer_idx], (key_states, value_states), strict=True):
            if self.where is None:
                store[self.first : self.last, :, self.start : self.seen] = new
            else:
                store[self.where] = new.transpose(1, 2)
            found.append(store[self.first : self.last, :, : self.seen])
        return found[0], found[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions are given with every pass."""
        return 0


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass of the bare loop over neighbouring rows.

    Attributes:
        first: The first row.
        last: The row behind the last.
        starts: [last - first] tokens that each row has in the store.
        block: [last - first, new] ids that were given; empty where only a sampled token is read.
        joined: Whether the last sampled token comes first.
    """

    first: int
    last: int
    starts: np.ndarray
    block: Tensor
    joined: bool

    @property
    def new(self) -> int:
        """Tokens of each row."""
        return self.block.shape[1] + self.joined


def dealt(lengths: Sequence[Sequence[int]]) -> list[list[int]]:
    """The lengths of each turn's answers, dealt out anew among the rows that have that turn.

    Rows are sorted by their number of turns. Even turns give the longest answer to the first row,
    odd turns to the last.

    >>> dealt([[1, 2], [3, 4], [5]])
    [[5, 2], [3, 4], [1]]
    """
    rows = sorted(lengths, key=len, reverse=True)
    result: list[list[int]] = [[] for _ in rows]
    for turn in range(len(rows[0])):
        answers = sorted((row[turn] for row in rows if len(row) > turn), reverse=turn % 2 == 0)
        for row, length in zip(result, answers, strict=False):
            row.append(length)
    return result


def passes(lengths: Sequence[Sequence[int]], seed: int) -> list[Pass]:
    """Every pass of one batch of conversations, known in advance.

    Args:
        lengths: For each conversation the length of each turn's answer.
        seed: Seeds the ids that are given.
    """
    rows, chance = dealt(lengths), np.random.default_rng(seed)
    stored = np.zeros(len(rows), np.int64)
    plan: list[Pass] = []
    for turn in range(len(rows[0])):
        answers = np.array([row[turn] for row in rows if len(row) > turn])
        count = len(answers)
        given = chance.integers(CONTROL, VOCABULARY, size=(count, NEW_TOKENS))
        plan.append(Pass(0, count, stored[:count].copy(), torch.from_numpy(given), turn > 0))
        stored[:count] += NEW_TOKENS + (turn > 0)
        for read in range(1, int(answers.max())):
            (active,) = np.nonzero(answers > read)
            first, last = int(active[0]), int(active[-1]) + 1
            block = torch.zeros((last - first, 0), dtype=torch.int64)
            plan.append(Pass(first, last, stored[first:last].copy(), block, True))
            stored[first:last] += 1
    return plan


@torch.inference_mode()
def bare(model: PreTrainedModel, lengths: Sequence[Sequence[int]], width: int, seed: int) -> float:
    """Seconds of the bare loop for these answers, `width` conversations at once, longest first."""
    ordered = sorted(lengths, key=len, reverse=True)
    batches = [ordered[begin : begin + width] for begin in range(0, len(ordered), width)]
    plans = [passes(batch, seed) for batch in batches]
    capacity = max(int(one.starts.max()) + one.new for plan in plans for one in plan)
    cache = BareCache(model, width, capacity)
    sampled = torch.zeros((width, 1), dtype=torch.int64, device=model.device)
    for plan in plans[-1:]:  # the first touch of the memory is not the loop's
        run(model, cache, plan[:ANSWER], sampled)
    began = time.perf_counter()
    for plan in plans:
        run(model, cache, plan, sampled)
    return time.perf_counter() - began


def run(model: PreTrainedModel, cache: BareCache, plan: Sequence[Pass], sampled: Tensor) -> None:
    """The loop: forward passes as planned, the last sampled token of each row in `sampled`."""
    device = model.device
    for one in plan:
        rows = slice(one.first, one.last)
        ids = one.block.to(device)
        if one.joined:
            ids = torch.cat([sampled[rows], ids], 1) if one.new > 1 else sampled[rows]
        positions, mask = _aim(cache, one, device)
        logits = model(
            input_ids=ids,
            position_ids=positions,
            attention_mask={"full_attention": mask},
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        shares = torch.softmax(logits[:, -1].float(), -1)
        sampled[rows] = torch.multinomial(shares, 1)


def _aim(cache: BareCache, one: Pass, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Say where a pass writes; its positions [rows or 1, new] and its mask, if it needs one."""
    starts, new = one.starts, one.new
    cache.first, cache.last = one.first, one.last
    cache.seen = int(starts.max()) + new
    even = bool((starts == starts[0]).all())
    places = torch.from_numpy(starts[:1] if even else starts).to(device)[:, None]
    positions = places + torch.arange(new, device=device)
    if even:
        cache.start, cache.where = int(starts[0]), None
        if new == 1 or cache.start == 0:
            return positions, None
    else:
        index = torch.arange(one.first, one.last, device=device)[:, None]
        cache.where = (index, slice(None), positions)
    hidden = torch.arange(cache.seen, device=device) > positions[..., None]
    mask = torch.zeros(hidden.shape, device=device).masked_fill_(hidden, -torch.inf)
    return positions, mask[:, None]


@torch.inference_mode()
def generated(
    model: PreTrainedModel, turns: int, width: int, seed: int, *, every: int = 1, stop: int = 1
) -> tuple[float, int]:
    """Seconds and sampled tokens of `generate` on the whole history of each turn.

    Args:
        model: The causal language model.
        turns: Of each conversation.
        width: Conversations, all in one batch.
        seed: Seeds the ids that are given, and what is sampled.
        every: Time one turn out of so many, which stands for all of them.
        stop: The id that ends an answer.
    """
    chance = np.random.default_rng(seed)
    device = model.device
    texts: list[list[int]] = [[] for _ in range(width)]
    spent, tokens = 0.0, 0
    for turn in range(turns):
        new = chance.integers(CONTROL, VOCABULARY, size=(width, NEW_TOKENS)).tolist()
        texts = [text + more for text, more in zip(texts, new, strict=True)]
        if turn % every != every // 2:  # the middle one: cost grows almost evenly
            said = chance.integers(CONTROL, VOCABULARY, size=(width, ANSWER)).tolist()
            texts = [text + more for text, more in zip(texts, said, strict=True)]
            continue
        began = time.perf_counter()
        longest = max(map(len, texts))
        padded = [[0] * (longest - len(text)) + text for text in texts]
        mask = [[0] * (longest - len(text)) + [1] * len(text) for text in texts]
        answers = model.generate(  # type: ignore[operator]  # transformers types it as a module's
            torch.tensor(padded, device=device),
            attention_mask=torch.tensor(mask, device=device),
            max_new_tokens=ANSWER,
            do_sample=True,
            top_k=0,
            pad_token_id=0,
            eos_token_id=stop,
        )[:, longest:].tolist()
        spent += time.perf_counter() - began
        said = [[token for token in answer if token] for answer in answers]
        tokens += sum(map(len, said))
        texts = [text + more for text, more in zip(texts, said, strict=True)]
    return spent * every, tokens * every
