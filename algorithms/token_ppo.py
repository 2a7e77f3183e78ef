"""PPO whose unit of credit is the token: generalised advantages over policy tokens (torch).

Paper: Schulman et al., High-Dimensional Continuous Control Using Generalized Advantage Estimation
(2016), equation 16, over the policy tokens of the whole episode; the clipped objective of Schulman
et al. (2017), equation 7. The reward of a turn falls on its last token; environment tokens carry
nothing. With a discount below 1 long answers cost more than short ones (POAD calls it NTPO).

Deviations: as in turn_ppo.py; the critic judges every token from what precedes it, and advantages
are standardised over tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmenvs.types import Episode

from .credit import token_gae
from .settings import refuse_impossible
from .trainer.credited import TokenCredit, token_credit
from .trainer.objective import Objective, refuse_dropped_groups
from .trainer.session import open_session
from .trainer.update import update
from .trainer.values import critic_of, judge_tokens


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh episodes and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    episodes: int = 128  # per iteration; more is steadier and slower
    discount: float = 1.0  # per token; below 1 makes long answers dear
    lam: float = 0.95  # trust in sampled rewards (1) against the critic (0)
    objective: Objective = Objective(normalise="standardise")  # of the policy: clip, KL, masks
    target_kl: float | None = 0.03  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 2  # passes over an iteration's episodes
    minibatches: int = 4  # optimizer steps per pass
    learning_rate: float = 5e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    critic_learning_rate: float = 1e-3  # of the critic
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints
    engine: str = ""  # what samples, "" in this process; see agents.making.open_engine

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        refuse_dropped_groups(self.objective)


def credit(
    episodes: Sequence[Episode],
    values_ETL: Sequence[Sequence[np.ndarray]],
    bootstraps_E: Sequence[float],
    config: Config,
) -> TokenCredit:
    """Token-level GAE for each episode; `bootstraps_E` is 0 where an episode terminated."""
    advantages_ETL: list[list[np.ndarray]] = []
    for episode, values_TL, bootstrap in zip(episodes, values_ETL, bootstraps_E, strict=True):
        rewards_T = [turn.reward for turn in episode.turns]
        advantages_TL = token_gae(rewards_T, values_TL, config.discount, config.lam, bootstrap)
        advantages_ETL.append(advantages_TL)
    return token_credit(advantages_ETL, values_ETL)


def train(
    env: str,
    model: str | Path,
    out: str | Path,
    config: Config = Config(),
    *,
    resume: bool = False,
    device: str = "cpu",
    env_workers: int = 0,
    step_timeout: float | None = None,
) -> Path:
    """Train a model folder or hub id on an environment's training split; returns the run folder.

    `device`, `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "token_ppo",
        env,
        model,
        out,
        config,
        judges="tokens",
        critic_learning_rate=config.critic_learning_rate,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    critic = critic_of(session.learner)
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.episodes)
            episodes = session.collect(policy, seeds)
        with session.phase("credit"):
            experience = session.read(episodes)
            values_ETL, bootstraps_E = judge_tokens(
                critic, experience.tokens, len(episodes), config.micro_tokens
            )
            given = credit(experience.episodes, values_ETL, bootstraps_E, config)
        with session.phase("update"):
            measured = given.metrics() | update(
                session.learner,
                experience,
                experience.lay_out(given.advantages_ETL, config.objective.normalise),
                config,
                generator,
                value_targets=given.targets(experience.tokens),
            )
        session.log(iteration, experience, given.advantages_ET, measured, given.values_ET)
    return session.path
