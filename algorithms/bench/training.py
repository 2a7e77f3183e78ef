"""Training speed beside a bare loop, and beside one row a turn (torch).

All three compute the same loss and gradient, the mean log-likelihood of what the policy said, on
the same episodes and in micro-batches of as many tokens:

- ours: algorithms/forward.py as the trainers call it, from a `TokenBatch` to gradients;
- bare: nothing but forward and backward over tensors laid out beforehand, episodes packed into rows
  by length, no mask, the output layer on the trained positions only: the limit;
- one row a turn: every turn with all that came before it is a row of its own, as most trainers of
  multi-turn agents make them; the loop is as bare as the limit's.

They run in turns and the best time of each counts, so that a busy moment hits all of them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.devices import mixed_precision
from agents.lm import LMPolicy
from agents.models import decoder, head_logits
from agents.rollout import collect
from agents.sampling import Sampling

from .. import losses
from ..batch import TokenBatch, make_batch
from ..forward import by_length, micro_batches, policy_logprobs
from .scene import ANSWER, Talk, make_model, make_tokenizer


class Training(TypedDict):
    """What one length of episodes gave; a trained token counts once, however often it is read."""

    turns: int
    episodes: int
    tokens: int
    tokens_per_second: float
    bare_tokens_per_second: float
    of_bare: float
    row_per_turn_tokens_per_second: float
    times_row_per_turn: float


@dataclass(frozen=True, slots=True)
class Part:
    """A micro-batch of the bare loops.

    Attributes:
        ids: [B, L] padded on the right.
        row: [M] the row of each trained token.
        column: [M] the column whose hidden state predicts it.
        said: [M] the token.
    """

    ids: Tensor
    row: Tensor
    column: Tensor
    said: Tensor


def scene(
    turns: int, episodes: int, seed: int, device: torch.device, **shape: int
) -> tuple[PreTrainedModel, TokenBatch]:
    """A model and what it said in episodes of so many turns, each turn 40 new tokens and up to 8
    sampled.
    """
    model = make_model(seed=seed, stop=0.15, **shape)
    chat = Chat(make_tokenizer(), int(model.config.max_position_embeddings))
    policy = LMPolicy(model, chat, Sampling(max_new_tokens=ANSWER))
    played = collect(lambda: Talk(turns), policy, range(seed, seed + episodes), policy_seed=seed)
    model.requires_grad_(True)
    model.get_output_embeddings().bias.requires_grad_(False)  # type: ignore[union-attr]  # fixed
    return model.to(device), make_batch(played, chat).to(device)  # type: ignore[arg-type]


def ours(model: PreTrainedModel, batch: TokenBatch, micro_tokens: int) -> None:
    """Accumulate the gradient as the trainers do."""
    total = batch.policy_tokens
    for rows in micro_batches(batch, micro_tokens):
        part = batch.rows(rows)
        logprobs, _ = policy_logprobs(model, part, entropy="none")
        losses.negative_log_likelihood(logprobs, part.policy_mask, total=total).loss.backward()


def bare(model: PreTrainedModel, parts: Sequence[Part], total: int) -> None:
    """Accumulate the same gradient from tensors that are ready."""
    for part in parts:
        with mixed_precision(part.ids.device):
            hidden = decoder(model)(input_ids=part.ids, use_cache=False).last_hidden_state
            logits = head_logits(model, hidden[part.row, part.column])
        (cross_entropy(logits.float(), part.said, reduction="sum") / total).backward()


def row_per_episode(batch: TokenBatch, micro_tokens: int) -> list[Part]:
    """The episodes, by length."""
    parts: list[Part] = []
    for rows in by_length(batch.lengths, micro_tokens):
        part = batch.rows(rows)
        row, column = part.policy_mask.nonzero(as_tuple=True)
        parts.append(Part(part.ids, row, column - 1, part.ids[row, column]))
    return parts


def row_per_turn(batch: TokenBatch, micro_tokens: int) -> list[Part]:
    """A row for every turn, from the beginning to its end, by length; only its own tokens count."""
    where = batch.turn_mask.nonzero()
    ends = batch.after_turn[batch.turn_mask] + 1
    parts: list[Part] = []
    for rows in by_length(ends, micro_tokens):
        longest = int(ends[rows].max())
        episode, turn = where[rows].T
        ids = batch.ids[episode, :longest].clone()
        ids[torch.arange(longest, device=ids.device) >= ends[rows][:, None]] = 0
        own = batch.turn_index[episode, :longest] == turn[:, None]
        row, column = own.nonzero(as_tuple=True)
        parts.append(Part(ids, row, column - 1, ids[row, column]))
    return parts


def training(
    turns: int = 20,
    seed: int = 0,
    *,
    episodes: int = 16,
    micro_tokens: int = 4096,
    repeats: int = 3,
    seconds: float = 20.0,
    device: str = "cpu",
    **shape: int,
) -> Training:
    """Measure the three ways to train on the same episodes.

    Args:
        turns: Of each episode.
        seed: Seeds weights and episodes.
        episodes: How many.
        micro_tokens: Padded tokens of a forward pass.
        repeats: Of each way, at least; the best counts.
        seconds: Repeat for so long; a short one is easily disturbed.
        device: Where.
        shape: Of the model: see `scene.make_model`.
    """
    model, batch = scene(turns, episodes, seed, torch.device(device), **shape)
    total = batch.policy_tokens
    whole, cut = row_per_episode(batch, micro_tokens), row_per_turn(batch, micro_tokens)
    ways: dict[str, Callable[[], None]] = {
        "ours": lambda: ours(model, batch, micro_tokens),
        "bare": lambda: bare(model, whole, total),
        "row per turn": lambda: bare(model, cut, total),
    }
    best = dict.fromkeys(ways, float("inf"))
    bare(model, whole[:1], total)  # the first pass of a process is slow
    began, done = time.perf_counter(), 0
    while done < repeats or time.perf_counter() - began < seconds:
        done += 1
        for name, way in ways.items():
            model.zero_grad()
            best[name] = min(best[name], _seconds(way, model.device))
    tokens = int(batch.lengths.sum())
    return Training(
        turns=turns,
        episodes=episodes,
        tokens=tokens,
        tokens_per_second=tokens / best["ours"],
        bare_tokens_per_second=tokens / best["bare"],
        of_bare=best["bare"] / best["ours"],
        row_per_turn_tokens_per_second=tokens / best["row per turn"],
        times_row_per_turn=best["row per turn"] / best["ours"],
    )


def _seconds(way: Callable[[], Any], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    way()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
