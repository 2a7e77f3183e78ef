"""What logged turns were worth to whoever played them, and steps that learn from it (torch).

The critic is fitted first, by itself, on returns as they were logged; then it only judges. Its
heads work in a unit of their own: returns-to-go less their mean, over their spread, both measured
on a sample of the file. A head that begins at 0 then begins at the mean, and learns as fast
whatever a turn pays.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from agents.critics import TurnCritic
from lmenvs.types import Episode

from .. import losses, support
from ..batch import TokenBatch
from ..credit import discounted_returns, explained_variance, gae
from ..forward import micro_batches, policy_logprobs
from ..metrics import merged
from .config import Config, OfflineConfig
from .learner import Learner
from .offline import OfflineSession
from .values import critic_of

MEASURED = 512  # episodes of the file that tell the unit of values
PolicyLoss = Callable[[TokenBatch, Tensor, Tensor], losses.LossOutput]
"""(some rows of a batch, their numbers, their log-probabilities [B, L]) -> the loss of them."""
CriticLoss = Callable[[TokenBatch, Tensor, Tensor], losses.LossOutput]
"""(some rows of a batch, their numbers, what the heads say before each turn [B, T, heads])."""


def policy_step(
    learner: Learner, batch: TokenBatch, loss: PolicyLoss, config: OfflineConfig | Config
) -> dict[str, float]:
    """One optimizer step on the policy; the loss divides by a count of the whole batch."""
    history: list[dict[str, float]] = []
    weights: list[int] = []
    for rows in micro_batches(batch, config.micro_tokens):
        part = batch.rows(rows)
        logprobs, _ = policy_logprobs(
            learner.model, part, entropy="none", checkpointing=config.gradient_checkpointing
        )
        said = loss(part, rows, logprobs)
        said.loss.backward()
        history.append(said.metrics)
        weights.append(part.policy_tokens)
    norm = support.optimizer_step(learner.optimizer, learner.trained, config.max_norm)
    return {**_means(history, weights), "grad_norm": norm}


def critic_step(
    learner: Learner, batch: TokenBatch, loss: CriticLoss, config: OfflineConfig | Config
) -> dict[str, float]:
    """One optimizer step on the critic's V heads; the loss divides as in `policy_step`."""
    critic = critic_of(learner)
    history: list[dict[str, float]] = []
    weights: list[int] = []
    for rows in micro_batches(batch, config.micro_tokens):
        part = batch.rows(rows)
        hidden = critic.encode(part.ids, part.lengths, checkpointing=config.gradient_checkpointing)
        said = loss(part, rows, critic.values(hidden, part.before_turn))
        said.loss.backward()
        history.append(said.metrics)
        weights.append(int(part.turn_mask.sum()))
    assert learner.critic_optimizer is not None
    norm = support.optimizer_step(learner.critic_optimizer, critic.parameters(), config.max_norm)
    return {**_means(history, weights), "critic_grad_norm": norm}


def _means(history: Sequence[dict[str, float]], weights: Sequence[int]) -> dict[str, float]:
    return {
        name: float(np.average([row[name] for row in history], weights=weights))
        for name in history[0]
    }


@torch.no_grad()
def read_heads(critic: TurnCritic, batch: TokenBatch, micro_tokens: int) -> tuple[Tensor, Tensor]:
    """What the V heads say before each turn [B, T, heads], and behind the end of rows whose
    episode was truncated [B, heads] (of others what is there means nothing).
    """
    before: Tensor | None = None
    behind: Tensor | None = None
    for rows in micro_batches(batch, micro_tokens):
        part = batch.rows(rows)
        hidden = critic.encode(part.ids, part.lengths)
        said = critic.values(hidden, part.before_turn)
        if before is None or behind is None:
            before = said.new_zeros(*batch.turn_mask.shape, said.shape[-1])
            behind = said.new_zeros(len(batch), said.shape[-1])
        before[rows, : said.shape[1]] = said
        behind[rows] = critic.values(hidden, part.bootstrap[:, None])[:, 0]
    assert before is not None and behind is not None  # a batch has rows
    return before, behind


class LoggedValues:
    """The value before each turn of the file, of the policy that played it.

    Args:
        session: The run; its learner has a critic with one V head.
        discount: Per turn.
    """

    def __init__(self, session: OfflineSession, discount: float):
        self._session, self._discount = session, discount
        unit = session.learner.kept.get("value_unit")
        if unit is None:
            unit = session.learner.kept["value_unit"] = _unit(session, discount)
        self._mean, self._spread = unit

    def fit(
        self, episodes: Sequence[Episode], batch: TokenBatch, config: OfflineConfig
    ) -> dict[str, float]:
        """One critic step towards the returns that followed, bootstrapped where play was cut."""
        values_ET, bootstraps_E = self._judge(batch, len(episodes), config.micro_tokens)
        returns_ET = [
            discounted_returns([turn.reward for turn in episode.turns], self._discount, bootstrap)
            for episode, bootstrap in zip(episodes, bootstraps_E, strict=True)
        ]
        targets = batch.turn_grid(returns_ET)
        self._session.check(targets, batch.turn_mask)
        scaled = (targets - self._mean) / self._spread
        total = float(batch.turn_mask.sum())

        def loss(part: TokenBatch, rows: Tensor, heads: Tensor) -> losses.LossOutput:
            wanted = scaled[rows, : heads.shape[1]]
            return losses.value_mse(heads[..., 0], wanted, part.turn_mask, total=total)

        numbers = critic_step(self._session.learner, batch, loss, config)
        explained = explained_variance(np.concatenate(values_ET), np.concatenate(returns_ET))
        return {**numbers, "explained_variance": explained}

    def advantages(
        self, episodes: Sequence[Episode], batch: TokenBatch, lam: float, micro_tokens: int
    ) -> list[np.ndarray]:
        """How much better each turn did than expected: `credit.gae` by the fitted values.

        lam = 1 is the logged return less the value, lam = 0 the difference that one turn made.
        """
        values_ET, bootstraps_E = self._judge(batch, len(episodes), micro_tokens)
        return [
            gae([turn.reward for turn in e.turns], values_T, self._discount, lam, bootstrap)
            for e, values_T, bootstrap in zip(episodes, values_ET, bootstraps_E, strict=True)
        ]

    def _judge(
        self, batch: TokenBatch, episodes: int, micro_tokens: int
    ) -> tuple[list[np.ndarray], list[float]]:
        """The value before each turn, and behind the end of truncated episodes (0 elsewhere)."""
        before, behind = read_heads(critic_of(self._session.learner), batch, micro_tokens)
        values_ET = batch.by_episode(self._mean + self._spread * before[..., 0], episodes)
        bootstraps_E = [0.0] * episodes
        for episode, place, value in zip(
            batch.episode.tolist(), batch.bootstrap.tolist(), behind[:, 0].tolist(), strict=True
        ):
            if place >= 0:
                bootstraps_E[episode] = self._mean + self._spread * value
        return values_ET, bootstraps_E


def _unit(session: OfflineSession, discount: float) -> list[float]:
    """Mean and spread of the returns-to-go of some episodes; a spread of 1 where all are equal."""
    count = min(MEASURED, len(session.data))
    numbers = np.linspace(0, len(session.data) - 1, count).round().astype(np.int64)
    returns_T = np.concatenate(
        [
            discounted_returns([turn.reward for turn in episode.turns], discount)
            for episode in session.data.read(numbers)
        ]
    )
    spread = float(returns_T.std())
    return [float(returns_T.mean()), spread if spread > 1e-6 else 1.0]


def fitted(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """The numbers of an iteration's critic steps, under `critic/`."""
    return {f"critic/{name}": value for name, value in merged(history).items()}
