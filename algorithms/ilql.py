"""ILQL: implicit Q-learning over tokens, whose values steer the words of a language model (torch).

Paper: Snell et al., Offline RL for Natural Language Generation with Implicit Language Q Learning
(2023), section 4; LMRL-Gym (Abdulhai et al., 2023) uses it as a baseline. A token is an action,
what stands before it the state, a turn's reward follows its last token. From a file of anybody's
episodes: Q_k(s, a) is fitted to r + discount * V(s'), s' the next token that the policy chose
(observations are skipped); V(s) to the tau-expectile of min_k Qbar_k(s, a), Qbar following slowly;
a conservative term keeps what nobody said low, and beside that the model imitates the episodes,
weighted by exp(A / temperature) if one is given (AWAC). In play the logits of the imitating model
are shifted by strength * (min_k Q_k - V): see agents/guidance.py. Truncation bootstraps,
termination does not.

Deviations: see token_values/network.py; and a warm-up in which V is fitted to the mean of the
returns as played and Q to one step of that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agents.guidance import guide_for

from .batch import TokenBatch
from .losses.implicit_q import advantage_weights
from .metrics import update_metrics
from .settings import refuse_impossible
from .token_values.network import Fit, Values, follow, guided, pieces, prepare, step
from .token_values.pieces import Piece, played_returns, targets_of
from .token_values.reading import Judged
from .trainer.offline import OfflineSession, open_offline


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn; the run repeats to the same numbers
    iterations: int = 40  # each makes `steps` optimizer steps, then plays a little and logs
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # pieces of episodes per step
    values: Values = field(default_factory=Values)  # the heads and what they are fitted to
    expectile: float = 0.7  # 0.5 values the policy that played, near 1 the best of its actions
    lam: float = 0.0  # of Q's lambda-return: 0 is one-step, as the paper; 1 the return as played
    warmup_iterations: int = 2  # meanwhile V is the mean of the returns as played
    polyak: float = 0.1  # how far the target heads follow after every step
    temperature: float | None = None  # imitation weighted by exp(A / temperature); None: all alike
    learning_rate: float = 2e-3  # of the model
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients of model and heads longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate evaluated episodes here
    width: int = 64  # conversations answered at once
    evaluations: int = 16  # training tasks played per iteration for the log; 0 plays none
    micro_tokens: int = 16_384  # padded tokens per pass; those that rows share are read once
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if not 0 < self.expectile < 1 or not 0 <= self.lam <= 1 or not 0 < self.polyak <= 1:
            raise ValueError(
                f"expectile {self.expectile}, lam {self.lam}, polyak {self.polyak}; expected them "
                "in (0, 1), [0, 1] and (0, 1]"
            )
        if self.temperature is not None and not self.temperature > 0:
            raise ValueError(f"temperature {self.temperature}; expected a number above 0, or None")


def credit(pieces: Sequence[Piece], judged: Judged, config: Config) -> list[list[np.ndarray]]:
    """Q's target at every policy token: the lambda-return by V."""
    discount, unit = config.values.discount, config.values.unit
    return [
        targets_of(piece.episode, values_TL, discount, config.lam, unit, behind)
        for piece, values_TL, behind in zip(pieces, judged.values_ETL, judged.behind_E, strict=True)
    ]


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
    """Learn from a file of episodes; returns the run folder, which plays with its values.

    `model` is a folder or hub id, or None for a tiny model made for the file.
    """
    session = open_offline(
        "ilql",
        env,
        data,
        model,
        out,
        config,
        judges="tokens",
        critic_learning_rate=config.values.heads_learning_rate,
        critic=guide_for,
        target=True,
        resume=resume,
        device=device,
    )
    guide = prepare(session, config.values)
    for iteration, generator in session.iterations():
        warm = iteration < config.warmup_iterations
        with session.phase("update"):
            history = [update(session, config, warm, generator) for _ in range(config.steps)]
        session.log(iteration, update_metrics(history), guided(session, guide, iteration))
    return session.path


def update(
    session: OfflineSession, config: Config, warm: bool, generator: np.random.Generator
) -> dict[str, float]:
    """One step on pieces of episodes, then one Polyak step of the target heads."""

    def fit(part: Sequence[Piece], batch: TokenBatch, judged: Judged) -> Fit:
        q = batch.token_grid(credit(part, judged, config))
        weights = None
        if config.temperature is not None:
            advantages = judged.q - judged.v
            weights = advantage_weights(advantages, batch.policy_mask, config.temperature)
        if warm:
            values = config.values
            returns = played_returns(part, judged.behind_E, values.discount, values.unit)
            return Fit(q, batch.token_grid(returns), 0.5, weights)
        return Fit(q, judged.q, config.expectile, weights)

    numbers = step(session, pieces(session, config.values, generator), fit, config.values)
    follow(session, config.polyak)
    return numbers
