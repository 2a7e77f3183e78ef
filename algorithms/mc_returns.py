"""Monte Carlo returns: token values of what was earned, which steer a language model (torch).

The baseline of LMRL-Gym (Abdulhai et al., 2023): on the tokens the policy chose, Q_k(s, a) is
fitted to the discounted return that followed and V(s) to its mean; the conservative term, the
imitation beside it and decoding are those of ILQL (ilql.py). Its values are those of whoever
played: one step better than the data, and no further. Where an episode was cut, the value behind
its end stands for the rest.

Deviations: see token_values/network.py; V, which LMRL-Gym's decoding leaves out since it shifts all
logits alike, is there because Q_k is V and what the heads add to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agents.guidance import guide_for

from .batch import TokenBatch
from .metrics import update_metrics
from .settings import refuse_impossible
from .token_values.network import Fit, Values, follow, guided, pieces, prepare, step
from .token_values.pieces import Piece, played_returns
from .token_values.reading import Judged
from .trainer.offline import OfflineSession, open_offline


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn; the run repeats to the same numbers
    iterations: int = 40  # each makes `steps` optimizer steps, then plays a little and logs
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # pieces of episodes per step
    # the heads and what they are fitted to; more strength than 2 was worse on the maze
    values: Values = field(default_factory=lambda: Values(strength=2.0))
    learning_rate: float = 2e-3  # of the model
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients of model and heads longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate evaluated episodes here
    width: int = 64  # conversations answered at once
    evaluations: int = 16  # training tasks played per iteration for the log; 0 plays none
    micro_tokens: int = 4096  # padded tokens per pass
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)


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
        "mc_returns",
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
        with session.phase("update"):
            history = [update(session, config, generator) for _ in range(config.steps)]
        session.log(iteration, update_metrics(history), guided(session, guide, iteration))
    return session.path


def update(
    session: OfflineSession, config: Config, generator: np.random.Generator
) -> dict[str, float]:
    """One step on pieces of episodes; the target heads, which judge ends only, keep up with it."""

    def fit(part: Sequence[Piece], batch: TokenBatch, judged: Judged) -> Fit:
        values = config.values
        known = played_returns(part, judged.behind_E, values.discount, values.unit)
        returns = batch.token_grid(known)
        return Fit(returns, returns, tau=0.5)

    numbers = step(session, pieces(session, config.values, generator), fit, config.values)
    follow(session, 1.0)
    return numbers
