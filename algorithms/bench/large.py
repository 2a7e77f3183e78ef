"""Sampling and training a model of half a billion parameters on a GPU, and the share of its peak.

The model has the shape of Qwen2.5-0.5B and random weights, in bfloat16. The peak is what a large
product of two bfloat16 matrices reaches on this device, not what its maker says. Counted are two
operations for every parameter and token forward, four more backward, and attention's own; of the
output layer only what is computed, the positions that a token is sampled or trained at.
"""

import time
from typing import Any, TypedDict

import torch
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.lm import LMPolicy
from agents.rollout import collect
from agents.sampling import Sampling
from lmenvs.types import Episode

from ..batch import TokenBatch, make_batch
from .scene import ANSWER, Talk, make_model, make_tokenizer
from .training import ours

SHAPE = {
    "hidden": 896,
    "layers": 24,
    "heads": 14,
    "key_heads": 2,
    "inner": 4864,
    "vocabulary": 151_936,
}


class Large(TypedDict):
    """One speed of the large model."""

    what: str
    parameters: int
    tokens_per_second: float  # sampled, or trained
    forwarded_per_second: float  # all tokens that the model read
    peak: float  # operations a second of a large matrix product
    of_peak: float


def large(
    device: torch.device,
    seed: int,
    *,
    dtype: torch.dtype = torch.bfloat16,
    shape: dict[str, int] = SHAPE,
    episodes: int = 256,
    turns: int = 20,
    trained: int = 64,
    micro_tokens: int = 16_384,
    product: int = 8192,
) -> list[Large]:
    """Sampled and trained tokens a second on one device.

    Args:
        device: Where.
        seed: Seeds weights, tasks and samples.
        dtype: Of the weights.
        shape: See `scene.make_model`.
        episodes: Of the rollout, all at once.
        turns: Of each.
        trained: How many of these episodes an optimizer step is taken on, as the trainers do.
        micro_tokens: Padded tokens of each of its forward passes.
        product: Rows and columns of the matrices whose product gives the peak.
    """
    model = make_model(**shape, stop=0.15, seed=seed)
    torch.nn.Module.to(model, device=device, dtype=dtype)
    count = sum(weights.numel() for weights in model.parameters())
    best = peak(device, dtype, product)
    played, read, spent = _sampling(model, seed, episodes, turns)
    sampled = sum(len(turn.action.token_ids) for episode in played for turn in episode.turns)
    batch = make_batch(played[:trained], Chat(make_tokenizer())).to(device)
    busy = _training(model, batch, micro_tokens)
    lengths = batch.lengths.double()
    tokens, context = int(lengths.sum()), float((lengths**2).sum() / lengths.sum() / 2)
    forward = operations_of(model, tokens, context, batch.policy_tokens)
    return [
        {
            "what": f"sampled, {episodes} conversations of {turns} turns",
            "parameters": count,
            "tokens_per_second": sampled / spent,
            "forwarded_per_second": read / spent,
            "peak": best,
            "of_peak": operations_of(model, read, read / episodes / 2, sampled) / spent / best,
        },
        {
            "what": f"trained, {len(batch.lengths)} episodes of {tokens} tokens in all",
            "parameters": count,
            "tokens_per_second": tokens / busy,
            "forwarded_per_second": tokens / busy,
            "peak": best,
            "of_peak": 3 * forward / busy / best,
        },
    ]


def operations_of(model: PreTrainedModel, tokens: int, context: float, outputs: int) -> float:
    """Floating-point operations of reading so many tokens, each looking back on `context` others,
    with the output layer at so many positions. Embeddings are looked up and cost nothing.
    """
    config = model.config
    head = model.get_output_embeddings().weight.numel()  # type: ignore[union-attr]
    layers = model.get_decoder().get_submodule("layers")
    blocks = sum(weights.numel() for weights in layers.parameters())
    attention = 4 * config.num_hidden_layers * config.hidden_size * context
    return tokens * (2.0 * blocks + attention) + outputs * 2.0 * head


def peak(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Operations a second of the product of two square matrices, the best of five."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    taken = [_seconds(device, lambda: left @ right) for _ in range(6)]
    return 2.0 * size**3 / min(taken[1:])


def _seconds(device: torch.device, work: Any) -> float:
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _sampling(
    model: PreTrainedModel, seed: int, episodes: int, turns: int
) -> tuple[list[Episode], int, float]:
    """(episodes, tokens read, seconds) of the second of two rollouts."""
    policy = LMPolicy(model, Chat(make_tokenizer()), Sampling(max_new_tokens=ANSWER))
    seeds = range(seed, seed + episodes)
    spent = before = 0
    played: list[Episode] = []
    for _ in range(2):
        before = policy.forwarded_tokens
        began = time.perf_counter()
        played = collect(lambda: Talk(turns), policy, seeds, width=episodes)
        spent = time.perf_counter() - began
    return played, policy.forwarded_tokens - before, spent


def _training(model: PreTrainedModel, batch: TokenBatch, micro_tokens: int) -> float:
    """Seconds of an optimizer step, the best of five."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def step() -> None:
        ours(model, batch, micro_tokens)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return min([_seconds(model.device, step) for _ in range(6)][1:])
