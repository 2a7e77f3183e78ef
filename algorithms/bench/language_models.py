"""Sampled and trained tokens a second of a tiny model made on the spot, on episodes of the maze."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lmenvs.types import Episode

from .measurement import Measurement, best_rate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from agents.chat import Chat

LM_ENV = "lmenvs/Maze-v0"


def language_models(
    seconds: float,
    seed: int,
    *,
    sampling: bool = True,
    training: bool = True,
    conversations: int = 64,
) -> list[Measurement]:
    """Sampled and trained tokens a second of a tiny model, either or both (torch)."""
    from agents import make_policy, tiny
    from agents.chat import Chat
    from agents.lm import LMPolicy
    from agents.rollout import collect
    from agents.sampling import Sampling

    played = collect(LM_ENV, make_policy("expert"), range(seed, seed + 32), record=False)
    texts = [t for e in played for turn in e.turns for t in (turn.observation, turn.action.text)]
    tokenizer = tiny.make_tokenizer([*texts, played[0].instructions])
    model = tiny.make_model(tokenizer, seed=seed)
    chat = Chat(tokenizer)
    size = sum(weights.numel() for weights in model.parameters()) / 1e6
    results: list[Measurement] = []
    if sampling:
        policy = LMPolicy(model, chat, Sampling(max_new_tokens=8))

        def sample() -> int:
            episodes = collect(
                LM_ENV,
                policy,
                range(seed, seed + conversations),
                width=64,
                max_turns=8,
                record=False,
            )
            return sum(len(turn.action.token_ids) for e in episodes for turn in e.turns)

        rate = best_rate(sample, seconds)
        what = (
            f"sampled, {size:.1f} M parameters, {conversations} conversations of 8 turns, "
            "reading included"
        )
        results.append({"what": what, "value": rate, "unit": "tokens/s"})
    if training:
        what = f"trained, {size:.1f} M parameters, every token of the episodes"
        rate = best_rate(_training_step(model, chat, played, seed), seconds)
        results.append({"what": what, "value": rate, "unit": "tokens/s"})
    return results


def _training_step(
    model: "PreTrainedModel", chat: "Chat", episodes: Sequence[Episode], seed: int
) -> Callable[[], int]:
    """A function that takes one optimizer step on the episodes; returns the tokens in them."""
    import torch

    from ..batch import make_batch
    from ..behaviour_cloning import Config, update

    batch = make_batch(episodes, chat)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    config = Config(seed=seed)
    tokens = int(batch.lengths.sum())

    def step() -> int:
        update(model, optimizer, batch, config)
        return tokens

    return step
