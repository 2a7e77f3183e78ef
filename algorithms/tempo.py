"""TEMPO: where episodes of a group part, each way is judged by what came of it (torch).

Paper: Tran et al., Exploiting Tree Structure for Credit Assignment in RL Training of LLMs (2025):
prefix-to-tree and the branch-gated advantage, A_t = (R - mean R + V_{t+1} - V_t) / std R. V of a
prefix is the mean return of the group's episodes that begin with it, so that the correction is 0
where nothing branches, and there it is GRPO. Biased in how much a prefix weighs, and by the
division: see credit/trees.py.

Deviations: a step is a whole turn unless `step="token"` (the paper's). What the environment said
next belongs to the step that it answers: where it has chance, equal actions may lead apart.
Group members that happen to share a prefix were each sampled, so each trains it. `weight` scales
the correction. Plain clipping at 0.2 on both sides.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.types import Episode

from .credit import prefix_tree
from .settings import refuse_impossible
from .trainer.credited import turn_means
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
    step: Literal["turn", "token"] = "turn"  # what two episodes must share to share a prefix
    weight: float = 1.0  # of the correction where episodes part; 0 is GRPO
    scale: Literal["std", "none"] = "std"  # none: does not favour even groups
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
    """One array per episode: the advantage of each of its steps, be they turns or tokens."""
    return prefix_tree(
        [episode.total_reward for episode in episodes],
        [path_of(episode, config.step) for episode in episodes],
        [str(episode.group) for episode in episodes],
        config.weight,
        config.scale,
    )


def path_of(episode: Episode, step: Literal["turn", "token"]) -> list[Hashable]:
    """The steps of an episode, each with what the environment answered where a turn ends."""
    answers = [*(turn.observation for turn in episode.turns[1:]), episode.final_observation]
    if step == "turn":
        return [(turn.action.text, a) for turn, a in zip(episode.turns, answers, strict=True)]
    path: list[Hashable] = []
    for turn, answer in zip(episode.turns, answers, strict=True):
        path += [(token, None) for token in turn.action.token_ids[:-1]]
        path += [(token, answer) for token in turn.action.token_ids[-1:]]
    return path


def by_turn(episode: Episode, numbers_L: np.ndarray) -> list[np.ndarray]:
    """The tokens' numbers, one array per turn."""
    counts = [len(turn.action.token_ids) for turn in episode.turns]
    return np.split(numbers_L, np.cumsum(counts)[:-1])


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
        "tempo",
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
            steps_E, how = credit(experience.episodes, config), config.objective.normalise
            if config.step == "turn":
                advantages_ET, advantages = steps_E, experience.spread(steps_E, how)
            else:
                advantages_ETL = list(map(by_turn, experience.episodes, steps_E))
                advantages_ET = turn_means(advantages_ETL)
                advantages = experience.lay_out(advantages_ETL, how)
        with session.phase("update"):
            measured = update(session.learner, experience, advantages, config, generator)
        session.log(iteration, experience, advantages_ET, measured)
    return session.path
