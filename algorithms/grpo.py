"""GRPO and Dr. GRPO: every turn of an episode has its return compared with its group's (torch).

Papers: Shao et al., DeepSeekMath (2024), section 4.1; `scale="none"` is Liu et al., Understanding
R1-Zero-Like Training (2025), whose gradient is exact up to (N - 1) / N; the division by the group's
standard deviation is biased. No critic: A_i = (R_i - mean R) / std R for all tokens of episode i,
under the clipped objective.

Deviations: the KL to the start is off by default, and where it is on it is k2, whose gradient is
the KL's own (the paper's k3 has another divergence's). The loss is a mean over tokens of the whole
batch unless `objective.reduction` says otherwise (the paper: over episodes of each one's mean).
Where failures are longer than successes, advantages that sum to zero over episodes sum to less over
turns, and tiny models can unlearn everything they say: `objective.normalise="centre"` prevents that
(the README, "Learning", has the form that is standardised and the one that is not).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.types import Episode

from .credit import group_relative, spread
from .settings import refuse_impossible
from .trainer.experience import kept_groups
from .trainer.objective import Objective
from .trainer.session import open_session
from .trainer.update import update


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh groups and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    groups: int = 16  # tasks per iteration
    group_size: int = 8  # episodes per task; a larger group has a steadier baseline
    scale: Literal["std", "none"] = "std"  # none: Dr. GRPO, which does not favour even groups
    objective: Objective = Objective()  # of the policy: clip, ratio, KL, entropy, masks
    target_kl: float | None = None  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 1  # passes over an iteration's episodes
    minibatches: int = 2  # optimizer steps per pass
    learning_rate: float = 3e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    anneal: float = 1.0  # over the last third, learning rates fall to this share; 1 holds them
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


def credit(episodes: Sequence[Episode], config: Config) -> list[np.ndarray]:
    """One array per episode: its group-relative advantage at each of its turns."""
    returns_E = [episode.total_reward for episode in episodes]
    groups_E = [str(episode.group) for episode in episodes]
    advantages_E = group_relative(returns_E, groups_E, config.scale)
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


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
        "grpo",
        env,
        model,
        out,
        config,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.groups)
            played = session.collect(policy, seeds, config.group_size)
        with session.phase("credit"):
            experience = session.read(kept_groups(played, config.objective.equal_groups))
            advantages_ET = credit(experience.episodes, config)
            advantages = experience.spread(advantages_ET, config.objective.normalise)
        with session.phase("update"):
            measured = update(session.learner, experience, advantages, config, generator)
        session.log(iteration, experience, advantages_ET, measured)
    return session.path
