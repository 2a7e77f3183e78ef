"""Batches of episodes through a model: micro-batches, log-probabilities, what the sampler said
(torch).

What costs nothing twice: a beginning that rows of a micro-batch share is read once
(agents/reading.py), the output layer runs on the positions that predict trained tokens only, and
softmax once on each of those.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.devices import mixed_precision
from agents.layout import shared_beginnings
from agents.models import decoder, head_logits
from agents.reading import Way, read

from .batch import TokenBatch

_PADDED = 0.2  # what a cell costs attention, in tokens of all other layers (width 160, length 110)


def by_length(lengths: Tensor, tokens: int) -> Iterator[Tensor]:
    """Group rows of similar length into micro-batches of at most `tokens` padded tokens each.

    Every row comes once; a row longer than `tokens` comes alone.
    """
    order = torch.argsort(lengths, descending=True, stable=True)
    start = 0
    while start < len(order):
        width = max(1, tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + width]
        start += width


def micro_batches(batch: TokenBatch, tokens: int) -> list[Tensor]:
    """Rows in groups of at most `tokens` padded tokens: of similar length, or of shared beginnings.

    Of the two the one is taken that has less to compute: distinct tokens, and a fifth for every
    padded cell that attention looks at. Groups of episodes from one start stay together where their
    first observations are long; elsewhere similar lengths waste less.
    """
    lengths = batch.lengths.cpu()
    similar = list(by_length(lengths, tokens))
    if len(similar) == 1:
        return similar
    order, shared = shared_beginnings(batch.ids, batch.lengths)
    kindred, start = [], 0
    while start < len(order):
        longest = np.maximum.accumulate(lengths[order[start:]].numpy())
        fits = int(np.searchsorted(longest * np.arange(1, len(longest) + 1), tokens, "right"))
        kindred.append(torch.from_numpy(order[start : start + max(1, fits)]))
        start += max(1, fits)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))

    def cost(parts: Sequence[Tensor]) -> float:
        work = 0.0
        for part in parts:
            ranks = np.sort(rank[part.numpy()])
            # what two rows share is the least that any neighbours between them share
            saved = sum(int(shared[a:b].min()) for a, b in pairwise(ranks))
            cells = len(part) * int(lengths[part].max())
            work += int(lengths[part].sum()) - saved + _PADDED * cells
        return work

    return kindred if cost(kindred) < cost(similar) else similar


def policy_logprobs(
    model: PreTrainedModel,
    batch: TokenBatch,
    temperature: float = 1.0,
    *,
    entropy: Literal["trained", "measured", "none"] = "trained",
    way: Way = "auto",
    checkpointing: bool = False,
) -> tuple[Tensor, Tensor]:
    """The learner's own log-probabilities of the policy tokens, and the entropy where each was
    chosen.

    Args:
        model: A causal language model; in bfloat16 on CUDA, softmax in float32 (or wider).
        batch: On the model's device.
        temperature: Logits are divided by it.
        entropy: Whether it carries a gradient, is a number only, or is left 0.
        way: How shared beginnings are read: see `agents.reading.read`.
        checkpointing: Whether blocks are computed again in the backward pass.

    Returns:
        logprobs [B, L] and entropy [B, L] in nats, zero off the policy tokens.
    """
    reading = read(decoder(model), batch.ids, batch.lengths, way=way, checkpointing=checkpointing)
    row, column = batch.policy_mask.nonzero(as_tuple=True)
    # rows that said the same so far share the distribution of what comes next
    places, which = reading.place[row, column - 1].unique(return_inverse=True)
    with mixed_precision(batch.ids.device):
        logits = head_logits(model, reading.flat.index_select(0, places))
    logits = logits.float() if logits.dtype != torch.float64 else logits
    if temperature != 1.0:
        logits = logits / temperature
    distribution = torch.log_softmax(logits, -1)
    chosen = distribution[which, batch.ids[row, column]]
    grid = chosen.new_zeros(batch.ids.shape)
    logprobs = grid.index_put((row, column), chosen)
    if entropy == "none":
        return logprobs, grid
    if entropy == "measured":
        distribution = distribution.detach()
    surprise = -(distribution.exp() * distribution).sum(-1)
    return logprobs, grid.index_put((row, column), surprise[which])


@torch.no_grad()
def recompute(
    model: PreTrainedModel, batch: TokenBatch, micro_tokens: int, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """What `policy_logprobs` says before an update, without a gradient: both [B, L]."""
    logprobs = torch.zeros(batch.ids.shape, device=batch.ids.device)
    entropies = torch.zeros_like(logprobs)
    for rows in micro_batches(batch, micro_tokens):
        part = batch.rows(rows)
        where = rows.to(logprobs.device), slice(part.ids.shape[1])
        said = policy_logprobs(model, part, temperature, entropy="measured")
        logprobs[where], entropies[where] = (grid.to(logprobs.dtype) for grid in said)
    return logprobs, entropies


def recompute_logprobs(
    model: PreTrainedModel, batch: TokenBatch, micro_tokens: int, temperature: float = 1.0
) -> Tensor:
    """The learner's own log-probabilities [B, L] before an update, so that the first ratio is 1."""
    return recompute(model, batch, micro_tokens, temperature)[0]
