"""Stratified GRPO: episodes are compared with those of their group that are built alike (torch).

Paper: Zhu et al., Stratified GRPO: Handling Structural Heterogeneity in Reinforcement Learning of
LLM Search Agents (2025): Stratified Advantage Normalization, blended with the group's global one.
The stratum is what the episode did (how many tool calls, turns or invalid actions), so it depends
on the actions: unbiased within a stratum, not for the policy as a whole.

Deviation: the paper counts search calls, which `stratum="tool_calls"` does; the default counts
turns, as most environments have no tools.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.types import Episode

from .credit import spread, stratified
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
    stratum: Literal["tool_calls", "turns", "invalid"] = "turns"  # what makes episodes alike
    blend: float = 0.8  # share of the stratum's advantage; the rest is the group's
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
    """One array per episode: its stratified advantage at each of its turns."""
    advantages_E = stratified(
        [episode.total_reward for episode in episodes],
        [str(episode.group) for episode in episodes],
        [_stratum(episode, config) for episode in episodes],
        config.blend,
    )
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


def _stratum(episode: Episode, config: Config) -> int:
    if config.stratum == "tool_calls":
        return sum(len(turn.tool_calls) for turn in episode.turns)
    if config.stratum == "invalid":
        return sum(not turn.valid for turn in episode.turns)
    return len(episode.turns)


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
        "stratified_grpo",
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
