"""Direct Advantage Policy Optimization: from a file, move each turn by its advantage (torch).

Paper: Liu et al., Improving Multi-Step Reasoning Abilities of Large Language Models with Direct
Advantage Policy Optimization (2024; not ByteDance's DAPO). First a critic alone is fitted to what
followed each step, then the policy alone to the advantages that the critic gives, by a square:
L = mean((log(pi / pi_ref) - A / beta)^2) / 2, `losses.direct_advantage`. Critic and policy never
learn at the same time, so neither chases the other.

A step of reasoning is a turn here: A = r + discount * V' - V (`lam` = 0, the paper; above 0 it
trusts the rewards that followed, as far as lam says). `model` is both where the policy begins and
pi_ref; the expectation is over its actions, so it has to be a clone of the file (`lmenvs train
behaviour_cloning`). The first `critic_iterations` fit the critic and nothing else.

`beta` is in the unit of rewards and has to suit them. Too small, logged actions are pushed down so
far that what nobody ever said gains: with 0.5 on the maze, where values differ by 1 and more, a
clone fell from -14.8 to -44.1 (one seed).

Deviations:
- The critic is fitted by a square to returns as logged, with the rewards of the environment. The
  paper fits the chance of a right answer by cross-entropy, to several completions from each step.
- Actions are those of the file; the paper samples several from pi_ref at each state.
- Which of the square's two equal forms the paper prints (beta at the ratio, or under the advantage)
  was not checked: they differ by a factor that the learning rate takes up.

On the small maze with mixed data (seed 0, beta 0.5) it ended at -44, below a plain clone's -15.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from .batch import TokenBatch
from .losses import LossOutput
from .losses.advantage_weighted import direct_advantage
from .metrics import update_metrics
from .reference import Reference
from .settings import refuse_impossible
from .trainer.logged_values import LoggedValues, fitted, policy_step
from .trainer.offline import OfflineSession, open_offline


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn; the run repeats to the same numbers
    iterations: int = 20  # each makes `steps` optimizer steps, then logs
    critic_iterations: int = 8  # the first ones fit the critic only
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # episodes per step
    beta: float = 0.5  # reward per nat: smaller moves the policy further from the reference
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    lam: float = 0.0  # trust in the critic (0, the paper) against logged rewards (1)
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
        if self.beta <= 0:
            raise ValueError(f"beta {self.beta}; expected a number above 0")
        if not 0 <= self.critic_iterations < self.iterations:
            raise ValueError(
                f"critic_iterations {self.critic_iterations}; expected fewer than iterations "
                f"({self.iterations}), so that the policy learns something"
            )


def policy_update(
    session: OfflineSession,
    batch: TokenBatch,
    advantages_ET: Sequence[np.ndarray],
    reference: Reference,
    config: Config,
) -> dict[str, float]:
    """One step of the policy towards pi_ref moved by the advantages."""
    advantages = batch.spread(advantages_ET)
    old = reference.logprobs(batch, config.micro_tokens)
    total = float(batch.turn_mask.sum())

    def loss(part: TokenBatch, rows: Tensor, logprobs: Tensor) -> LossOutput:
        width = slice(logprobs.shape[1])
        return direct_advantage(
            logprobs,
            old[rows, width],
            advantages[rows, width],
            part.policy_mask,
            part.turn_index,
            beta=config.beta,
            total=total,
        )

    return policy_step(session.learner, batch, loss, config)


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
    """Train a clone of a file of episodes to beat it; returns the run folder.

    `model`, `data`, `device`: see `trainer.offline.open_offline`.
    """
    session = open_offline(
        "direct_advantage",
        env,
        data,
        model,
        out,
        config,
        judges="turns",
        critic_learning_rate=config.critic_learning_rate,
        resume=resume,
        device=device,
    )
    reference = session.reference()
    values = LoggedValues(session, config.discount)
    for iteration, generator in session.iterations():
        history: list[dict[str, float]] = []
        fitting = iteration < config.critic_iterations
        with session.phase("critic" if fitting else "update"):
            for _ in range(config.steps):
                episodes = session.draw(generator)
                batch = session.batch(episodes)
                if fitting:
                    history.append(values.fit(episodes, batch, config))
                    continue
                advantages_ET = values.advantages(episodes, batch, config.lam, config.micro_tokens)
                history.append(policy_update(session, batch, advantages_ET, reference, config))
        session.log(iteration, fitted(history) if fitting else update_metrics(history))
    return session.path
