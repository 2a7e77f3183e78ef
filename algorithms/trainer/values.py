"""What a critic says of a batch, per turn or per token, and how it is fitted (torch)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.critics import TurnCritic

from .. import losses, support
from ..batch import TokenBatch
from ..forward import micro_batches
from .config import Config
from .learner import Learner


@dataclass(frozen=True, slots=True)
class ValueTargets:
    """What a critic is fitted to where the mask says so: [B, T] of turns, or [B, L] of tokens."""

    grid: Tensor
    mask: Tensor


def critic_of(learner: Learner) -> TurnCritic:
    """The learner's critic, which reads whole episodes.

    Raises:
        ValueError: if it has none, or one of another kind.
    """
    if not isinstance(learner.critic, TurnCritic):
        got = "nothing" if learner.critic is None else type(learner.critic).__name__
        raise ValueError(f"expected a learner with a critic of turns, got {got}")
    return learner.critic


@torch.no_grad()
def judge_turns(
    critic: TurnCritic, batch: TokenBatch, episodes: int, micro_tokens: int
) -> tuple[list[np.ndarray], list[float]]:
    """The critic's value before each turn, and behind the end of truncated episodes."""
    grid = torch.zeros(batch.turn_mask.shape, device=batch.ids.device)
    bootstraps_E = [0.0] * episodes
    for rows in micro_batches(batch, micro_tokens):
        part = batch.rows(rows)
        hidden = critic.encode(part.ids, part.lengths)
        grid[rows, : part.before_turn.shape[1]] = critic.values(hidden, part.before_turn)[..., 0]
        _note_bootstraps(bootstraps_E, critic, hidden, part)
    return batch.by_episode(grid, episodes), bootstraps_E


@torch.no_grad()
def judge_tokens(
    critic: TurnCritic, batch: TokenBatch, episodes: int, micro_tokens: int
) -> tuple[list[list[np.ndarray]], list[float]]:
    """The critic's value before each policy token, and behind the end of truncated episodes.

    A token's value is read from the hidden state that predicts it: it has not seen the token.
    """
    grid = torch.zeros(batch.ids.shape, device=batch.ids.device)
    bootstraps_E = [0.0] * episodes
    for rows in micro_batches(batch, micro_tokens):
        part = batch.rows(rows)
        hidden = critic.encode(part.ids, part.lengths)
        grid[rows, : part.ids.shape[1]] = critic.values(hidden, _predictors(part))[..., 0]
        _note_bootstraps(bootstraps_E, critic, hidden, part)
    return batch.by_token(grid, episodes), bootstraps_E


def _predictors(part: TokenBatch) -> Tensor:
    """[B, L] the position that predicts each position."""
    along = torch.arange(part.ids.shape[1], device=part.ids.device)
    return (along - 1).clamp(min=0).expand(len(part), -1)


def _note_bootstraps(
    bootstraps_E: list[float], critic: TurnCritic, hidden: Tensor, part: TokenBatch
) -> None:
    behind = critic.values(hidden, part.bootstrap[:, None])[:, 0, 0].tolist()
    for episode, place, value in zip(
        part.episode.tolist(), part.bootstrap.tolist(), behind, strict=True
    ):
        if place >= 0:
            bootstraps_E[episode] = value


def fit_critic(
    learner: Learner, mini: TokenBatch, targets: ValueTargets, total: float, config: Config
) -> dict[str, float]:
    """One critic step on a minibatch and its rows of the targets."""
    critic = critic_of(learner)
    history: list[dict[str, float]] = []
    for inner in micro_batches(mini, config.micro_tokens):
        part = mini.rows(inner)
        hidden = critic.encode(part.ids, part.lengths, checkpointing=config.gradient_checkpointing)
        where = part.before_turn if learner.judges == "turns" else _predictors(part)
        values = critic.values(hidden, where)[..., 0]
        width = where.shape[1]
        mask = targets.mask[inner, :width]
        value = losses.value_mse(values, targets.grid[inner, :width], mask, total=total)
        value.loss.backward()
        history.append(value.metrics)
    assert learner.critic_optimizer is not None
    norm = support.optimizer_step(learner.critic_optimizer, critic.parameters(), config.max_norm)
    error = float(np.mean([row["value_error"] for row in history]))
    return {"value_error": error, "critic_grad_norm": norm}
