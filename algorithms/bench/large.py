"""Sampling and training a model of half a billion parameters on a GPU, and the share of its peak.

The model has the shape of Qwen2.5-0.5B and random weights, in bfloat16. The peak is what a large
product of two bfloat16 matrices reaches on this device, not what its maker says. Counted are two
operations for every parameter and token forward, four more backward, and attention's own.
"""

import time
from typing import Any, TypedDict

import torch
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.lm import LMPolicy
from agents.rollout import collect
from agents.sampling import Sampling

from .scene import ANSWER, CONTROL, VOCABULARY, Talk, make_model, make_tokenizer

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
    rows: int = 16,
    length: int = 1024,
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
        rows: Sequences of a training step.
        length: Their tokens.
        product: Rows and columns of the matrices whose product gives the peak.
    """
    model = make_model(**shape, stop=0.15, seed=seed)
    torch.nn.Module.to(model, device=device, dtype=dtype)
    count = sum(weights.numel() for weights in model.parameters())
    best = peak(device, dtype, product)
    sampled, read, operations, spent = _sampling(model, seed, episodes, turns)
    trained, more, busy = _training(model, seed, rows, length)
    return [
        {
            "what": f"sampled, {episodes} conversations of {turns} turns",
            "parameters": count,
            "tokens_per_second": sampled / spent,
            "forwarded_per_second": read / spent,
            "peak": best,
            "of_peak": operations / spent / best,
        },
        {
            "what": f"trained, {rows} sequences of {length} tokens",
            "parameters": count,
            "tokens_per_second": trained / busy,
            "forwarded_per_second": trained / busy,
            "peak": best,
            "of_peak": more / busy / best,
        },
    ]


def operations_of(model: PreTrainedModel, tokens: int, context: float) -> float:
    """Floating-point operations of reading so many tokens, each looking back on `context` others.

    Embeddings are looked up and cost nothing; the output layer counts, for it multiplies.
    """
    config = model.config
    head = model.get_output_embeddings().weight.numel()  # type: ignore[union-attr]
    layers = model.get_decoder().get_submodule("layers")
    blocks = sum(weights.numel() for weights in layers.parameters())
    attention = 4 * config.num_hidden_layers * config.hidden_size * context
    return tokens * (2.0 * (blocks + head) + attention)


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
) -> tuple[int, int, float, float]:
    """(tokens sampled, tokens read, operations, seconds) of the second of two rollouts."""
    policy = LMPolicy(model, Chat(make_tokenizer()), Sampling(max_new_tokens=ANSWER))
    seeds = range(seed, seed + episodes)
    spent = before = 0
    played: list[Any] = []
    for _ in range(2):
        before = policy.forwarded_tokens
        began = time.perf_counter()
        played = collect(lambda: Talk(turns), policy, seeds, width=episodes)
        spent = time.perf_counter() - began
    sampled = sum(len(turn.action.token_ids) for episode in played for turn in episode.turns)
    read = policy.forwarded_tokens - before
    return sampled, read, operations_of(model, read, read / episodes / 2), spent


def _training(
    model: PreTrainedModel, seed: int, rows: int, length: int
) -> tuple[int, float, float]:
    """(tokens, operations, seconds) of an optimizer step, the best of five."""
    device = model.device
    chance = torch.Generator().manual_seed(seed)
    ids = torch.randint(CONTROL, VOCABULARY, (rows, length), generator=chance).to(device)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    model.train()

    def step() -> None:
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    taken = [_seconds(device, step) for _ in range(6)]
    model.eval()
    tokens = rows * length
    return tokens, 3 * operations_of(model, tokens, length / 2), min(taken[1:])
