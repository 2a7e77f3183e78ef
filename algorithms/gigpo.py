"""GiGPO: groups of episodes, and within them groups of turns taken in the same state (torch).

Paper: Feng et al., Group-in-Group Policy Optimization for LLM Agent Training (2025), equations 2 to
7: A = A_episode + weight * A_step, where A_step compares the returns to go of all turns of the
group that began in the same anchor state. Biased, by little: see credit/anchors.py.

Deviations: anchors are the environment's true states (`Turn.state_key`), which do not alias;
`anchor="observation"` compares what the player read, as the paper does, "similar" joins texts
that are nearly equal. Statistics count every
episode once; the published code counts every turn (`count="turn"`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.types import Episode

from .credit import group_in_group
from .settings import refuse_impossible
from .trainer.experience import kept_groups
from .trainer.objective import Objective
from .trainer.session import open_session
from .trainer.update import update

SIMILARITY = 0.9  # of observations that count as one anchor


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh groups and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    groups: int = 16  # tasks per iteration
    group_size: int = 8  # episodes per task; a larger group has a steadier baseline
    discount: float = 0.95  # per turn, of the returns that are compared at anchor states
    weight: float = 1.0  # of the step-level advantage beside the episode-level one
    scale: Literal["std", "none"] = "none"  # whether both are divided by a standard deviation
    count: Literal["episode", "turn"] = "episode"  # what counts once in a group's statistics
    anchor: Literal["state", "observation", "similar"] = "state"  # what makes turns comparable
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
    """One array per episode: the advantage of each of its turns.

    Raises:
        ValueError: where the states were not recorded.
    """
    return group_in_group(
        [[turn.reward for turn in episode.turns] for episode in episodes],
        [_anchors(episode, config) for episode in episodes],
        [str(episode.group) for episode in episodes],
        config.discount,
        config.weight,
        config.scale,
        config.count,
        SIMILARITY if config.anchor == "similar" else None,
    )


def _anchors(episode: Episode, config: Config) -> list[str]:
    if config.anchor != "state":
        return [turn.observation for turn in episode.turns]
    keys = [turn.state_key for turn in episode.turns if turn.state_key is not None]
    if len(keys) < len(episode.turns):
        raise ValueError(
            f"episode {episode.id}: {len(keys)} recorded states for {len(episode.turns)} turns; "
            "collect with record=True, or use anchor='observation'"
        )
    return keys


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
        "gigpo",
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
