"""A-LoL: from a file, imitate the turns that went better than the reference's (torch).

Paper: Baheti et al., Leftover Lunch: Advantage-based Offline Reinforcement Learning for Language
Models (ICLR 2024), section 3. The reference policy is a clone of the data. Its value is estimated
once, what did not beat it is left out, and the rest is imitated with the weight A * pi / pi_ref,
the ratio clipped and without a gradient: `losses.a_lol`, which names the variants. `variant`
"r_lol" weighs by the reward instead and leaves nothing out.

So `model` has to be a clone of the same file (`lmenvs train behaviour_cloning`): it is both where
the policy begins and the reference. The first `critic_iterations` fit the value and nothing else.

Deviations:
- The paper's whole answer is one action. Here a turn is, and A is the return that followed it less
  V before it (`lam` = 1; below 1 the critic is trusted for what followed).
- V is fitted to the logged returns, not to answers that the reference samples: nothing is played.
  It is the value of whoever played the file; a clone of the file is the same policy.
- V is a critic of its own (a copy of the policy's decoder), not a head on a frozen reference.
- Episodes are drawn uniformly; the paper prefers those of high advantage. Weights do the same.
- The mean is over trained tokens; the paper sums over an answer's.
- "r_lol" weighs every turn by its episode's return, scaled to [0, 1] over the file.

What the ratio does: its objective, the mean of max(A, 0) * pi / pi_ref over the file, is linear in
pi, so the best pi says one thing, whichever was said most times as well as it went. Where returns
are noisy that need not be what is best to say. Measured in the maze (layout u, half the file from
an expert with 0.8 noise, half with 0.3; seed 2, sampled / greedy return, a clone earns -9.9):
"a_lol" -49.3, "seq" -49.4 / -49.4, "ref_free" -5.4 / -33.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from lmenvs.types import Episode

from .batch import TokenBatch
from .losses import LossOutput
from .losses.advantage_weighted import Importance, a_lol
from .metrics import update_metrics
from .reference import Reference
from .settings import refuse_impossible
from .trainer.logged_values import LoggedValues, fitted, policy_step
from .trainer.offline import OfflineSession, open_offline

Variant = Literal["a_lol", "seq", "ref_free", "kl", "r_lol"]
IMPORTANCE: dict[Variant, Importance] = {
    **{"a_lol": "turn", "r_lol": "turn", "seq": "token", "ref_free": "none", "kl": "none"}
}


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn; the run repeats to the same numbers
    iterations: int = 20  # each makes `steps` optimizer steps, then logs
    critic_iterations: int = 8  # the first ones fit the value only
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # episodes per step
    variant: Variant = "a_lol"  # how far the ratio to the reference weighs, and of what
    clip: float = 0.9  # the ratio is held within 1 ± clip, as in the paper
    kl: float = 0.1  # of variant "kl": pulls towards the reference; in the reward's unit
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    lam: float = 1.0  # trust in logged rewards (1, the paper) against the critic (0)
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
        if self.variant not in IMPORTANCE:
            raise ValueError(f"variant {self.variant!r}; expected one of {', '.join(IMPORTANCE)}")
        if self.clip < 0 or self.kl < 0:
            raise ValueError(f"clip {self.clip}, kl {self.kl}; expected both to be at least 0")
        if not 0 <= self.critic_iterations < self.iterations and self.variant != "r_lol":
            raise ValueError(
                f"critic_iterations {self.critic_iterations}; expected fewer than iterations "
                f"({self.iterations}), so that the policy learns something"
            )


def reward_weights(episodes: Sequence[Episode], low: float, high: float) -> list[np.ndarray]:
    """R-LoL: each turn's weight is its episode's return, scaled so that low is 0 and high is 1."""
    width = high - low if high > low else 1.0
    return [
        np.full(len(episode.turns), (episode.total_reward - low) / width if high > low else 1.0)
        for episode in episodes
    ]


def policy_update(
    session: OfflineSession,
    batch: TokenBatch,
    weights_ET: Sequence[np.ndarray],
    reference: Reference,
    config: Config,
) -> dict[str, float]:
    """One step of the policy towards the turns whose weight is above 0."""
    weights = batch.spread(weights_ET)
    old = reference.logprobs(batch, config.micro_tokens)
    total = max(1.0, float((weights > 0).sum()))

    def loss(part: TokenBatch, rows: Tensor, logprobs: Tensor) -> LossOutput:
        width = slice(logprobs.shape[1])
        return a_lol(
            logprobs,
            old[rows, width],
            weights[rows, width],
            part.policy_mask,
            part.turn_index,
            importance=IMPORTANCE[config.variant],
            clip=config.clip,
            kl=config.kl if config.variant == "kl" else 0.0,
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
    by_reward = config.variant == "r_lol"
    session = open_offline(
        "a_lol",
        env,
        data,
        model,
        out,
        config,
        judges="nothing" if by_reward else "turns",
        critic_learning_rate=config.critic_learning_rate,
        resume=resume,
        device=device,
    )
    reference = session.reference()
    values = None if by_reward else LoggedValues(session, config.discount)
    low, high = float(session.data.returns_E.min()), float(session.data.returns_E.max())
    for iteration, generator in session.iterations():
        history: list[dict[str, float]] = []
        fitting = values is not None and iteration < config.critic_iterations
        with session.phase("critic" if fitting else "update"):
            for _ in range(config.steps):
                episodes = session.draw(generator)
                batch = session.batch(episodes)
                if values is None:
                    weights_ET = reward_weights(episodes, low, high)
                elif fitting:
                    history.append(values.fit(episodes, batch, config))
                    continue
                else:
                    weights_ET = values.advantages(episodes, batch, config.lam, config.micro_tokens)
                history.append(policy_update(session, batch, weights_ET, reference, config))
        session.log(iteration, fitted(history) if fitting else update_metrics(history))
    return session.path
