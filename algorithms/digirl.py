"""DigiRL: from a file, imitate the turns that made success likelier, in episodes that surprised
(torch).

Paper: Bai et al., DigiRL: Training In-The-Wild Device-Control Agents with Autonomous Reinforcement
Learning (2024), section 4. Two value functions of success, fitted by cross-entropy: one of the
task, read before the first turn, one of the step, read before every turn. The first chooses
episodes: the share `keep` whose outcome is furthest above what the task's value foresaw. The second
chooses turns in them: an advantage that trusts both the outcome and the values (doubly robust) has
to be above `threshold`. What is chosen is imitated, all alike.

With y = 1 for success and else 0, r = y on the last turn and else 0, and p the step's value, 0
behind the last turn, the advantage of turn t of T is, by `form`:

| form | advantage | source |
|---|---|---|
| sum | p' - p + r + discount^(T-1-t) y | the published code |
| mixed | w y + (1 - w)(p' + r - p), w = lam^(T-1-t) | the paper's section 4.2 |

The first `critic_iterations` fit the values and nothing else.

Deviations:
- From a file only; the paper goes on online with the same filters, and fits on the way.
- The published code chooses a file's episodes by their return and keeps the task's value for online
  play; here the task's value chooses. It reads p' behind the end as well, where it has seen the
  outcome. It has two critics of each kind and takes the smaller p; here is one of each.
- `threshold` 0.05 is the code's, for both forms; the paper's is 1 / horizon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from agents.critics import TurnCritic
from lmenvs.types import Episode

from . import losses
from .batch import TokenBatch
from .credit import discounted_returns
from .losses.advantage_weighted import success_cross_entropy
from .metrics import update_metrics
from .settings import refuse_impossible
from .trainer.logged_values import critic_step, fitted, policy_step, read_heads
from .trainer.offline import OfflineSession, open_offline
from .trainer.values import critic_of

TASK, STEP = 0, 1  # the critic's heads


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn; the run repeats to the same numbers
    iterations: int = 20  # each makes `steps` optimizer steps, then logs
    critic_iterations: int = 8  # the first ones fit the values only
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # episodes per step
    pool: int = 512  # episodes that an iteration of the policy chooses from
    keep: float = 0.5  # the share of them that is imitated; 0.1 in the published code
    form: Literal["sum", "mixed"] = "sum"  # how outcome and values make an advantage
    threshold: float = 0.05  # a turn's advantage has to be above it
    discount: float = 0.5  # of form "sum": how far back success counts, per turn; as published
    lam: float = 0.5  # of form "mixed": how far back the outcome is trusted
    learning_rate: float = 5e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    critic_learning_rate: float = 1e-3  # of the critic
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    evaluations: int = 32  # training tasks played per iteration for the log; 0 plays none
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate played episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 5  # iterations between checkpoints

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        if not 0 < self.keep <= 1 or self.pool < 1:
            raise ValueError(
                f"keep {self.keep}, pool {self.pool}; expected a share in (0, 1], and at least 1"
            )
        if not 0 <= self.critic_iterations < self.iterations:
            raise ValueError(
                f"critic_iterations {self.critic_iterations}; expected fewer than iterations "
                f"({self.iterations}), so that the policy learns something"
            )


def credit(
    episodes: Sequence[Episode], chances_ET: Sequence[np.ndarray], config: Config
) -> list[np.ndarray]:
    """The doubly robust advantage of every turn; `chances_ET` of success precede the turns."""
    advantages_ET: list[np.ndarray] = []
    for episode, chances_T in zip(episodes, chances_ET, strict=True):
        rewards_T = np.zeros(len(episode.turns))
        rewards_T[-1] = float(episode.success)
        following_T = np.append(chances_T[1:], 0.0)
        step_T = following_T - chances_T + rewards_T
        if config.form == "sum":
            advantages_ET.append(step_T + discounted_returns(rewards_T, config.discount))
        else:
            trust_T = config.lam ** np.arange(len(rewards_T))[::-1].astype(float)
            advantages_ET.append(trust_T * float(episode.success) + (1 - trust_T) * step_T)
    return advantages_ET


def surprising(
    episodes: Sequence[Episode], foreseen_E: Sequence[float], keep: float
) -> list[Episode]:
    """The share `keep` whose outcome is furthest above the task's value; at least one, in order."""
    surprise_E = [float(e.success) - v for e, v in zip(episodes, foreseen_E, strict=True)]
    count = max(1, round(keep * len(episodes)))
    order = sorted(range(len(episodes)), key=lambda index: -surprise_E[index])
    return [episodes[index] for index in sorted(order[:count])]


def fit(
    session: OfflineSession, episodes: Sequence[Episode], batch: TokenBatch, config: Config
) -> dict[str, float]:
    """One step of both values towards who succeeded."""
    outcomes = batch.turn_grid([np.full(len(e.turns), float(e.success)) for e in episodes])
    totals = float(len(episodes)), float(batch.turn_mask.sum())

    def loss(part: TokenBatch, rows: Tensor, heads: Tensor) -> losses.LossOutput:
        wanted = outcomes[rows, : heads.shape[1]]
        masks = first_turns(part), part.turn_mask
        task, step = (
            success_cross_entropy(heads[..., head], wanted, mask, total)
            for head, mask, total in zip((TASK, STEP), masks, totals, strict=True)
        )
        numbers = {f"task_{name}": value for name, value in task.metrics.items()}
        return losses.LossOutput(task.loss + step.loss, {**step.metrics, **numbers})

    return critic_step(session.learner, batch, loss, config)


def first_turns(batch: TokenBatch) -> Tensor:
    """[B, T] True where an episode begins; a row may go on with an episode of another row."""
    along = torch.arange(batch.turn_mask.shape[1], device=batch.ids.device)
    return batch.turn_mask & (along == 0) & (batch.first_turn == 0)[:, None]


def judge(
    session: OfflineSession, batch: TokenBatch, episodes: int, config: Config
) -> tuple[list[float], list[np.ndarray]]:
    """The chance of success of each task, and before each turn."""
    before, _ = read_heads(critic_of(session.learner), batch, config.micro_tokens)
    chances = torch.sigmoid(before)
    tasks_ET = batch.by_episode(chances[..., TASK], episodes)
    return [float(row[0]) for row in tasks_ET], batch.by_episode(chances[..., STEP], episodes)


def policy_update(
    session: OfflineSession,
    batch: TokenBatch,
    advantages_ET: Sequence[np.ndarray],
    config: Config,
) -> dict[str, float]:
    """One step of imitating the turns whose advantage is above the threshold."""
    chosen = batch.spread([(one > config.threshold).astype(float) for one in advantages_ET])
    total = max(1.0, float(chosen.sum()))

    def loss(part: TokenBatch, rows: Tensor, logprobs: Tensor) -> losses.LossOutput:
        weights = chosen[rows, : logprobs.shape[1]]
        return losses.negative_log_likelihood(logprobs, part.policy_mask, weights, total)

    numbers = policy_step(session.learner, batch, loss, config)
    return {**numbers, "kept": float(chosen.sum()) / batch.policy_tokens}


def train(
    env: str,
    model: str | Path | None,
    out: str | Path,
    config: Config = Config(),
    *,
    data: str | Path,
    resume: bool = False,
    device: str = "cpu",
) -> Path:
    """Train on the chosen turns of a file of episodes; returns the run folder.

    `model`, `data`, `device`: see `trainer.offline.open_offline`.
    """
    session = open_offline(
        "digirl",
        env,
        data,
        model,
        out,
        config,
        judges="turns",
        critic_learning_rate=config.critic_learning_rate,
        critic=partial(TurnCritic, values=2),
        resume=resume,
        device=device,
    )
    for iteration, generator in session.iterations():
        history: list[dict[str, float]] = []
        fitting = iteration < config.critic_iterations
        pool: list[Episode] = []
        if not fitting:
            with session.phase("choose"):
                drawn = session.draw(generator, count=config.pool)
                foreseen_E, _ = judge(session, session.batch(drawn), len(drawn), config)
                pool = surprising(drawn, foreseen_E, config.keep)
        with session.phase("critic" if fitting else "update"):
            for _ in range(config.steps):
                if fitting:
                    episodes = session.draw(generator)
                    history.append(fit(session, episodes, session.batch(episodes), config))
                    continue
                picks = generator.integers(len(pool), size=config.batch_size)
                episodes = [pool[pick] for pick in picks]
                batch = session.batch(episodes)
                _, chances_ET = judge(session, batch, len(episodes), config)
                advantages_ET = credit(episodes, chances_ET, config)
                history.append(policy_update(session, batch, advantages_ET, config))
        session.log(iteration, fitted(history) if fitting else update_metrics(history))
    return session.path
