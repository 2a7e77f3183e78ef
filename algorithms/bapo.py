"""BAPO: GRPO's advantages, trained on for many steps under a clip that keeps its balance (torch).

Paper: Xi et al., BAPO: Stabilizing Off-Policy Reinforcement Learning for LLMs via Balanced Policy
Optimization with Adaptive Clipping (2025), Algorithm 1. An iteration's groups serve several epochs,
so that most steps are off policy. Before each step the bounds of the ratio are chosen anew: upwards
first, so that tokens of positive advantage keep their gradient where the policy has moved, then
below, so that those of negative advantage lose theirs, until the positive ones have the wanted
share of the gradient (`losses.balanced_clip`, which says where its count differs).

Deviations: the bounds are those of the whole minibatch, for which it is read once more without a
gradient; they are found by what the tokens' gradients are, not by the clipped objective. Episodes
serve in the iteration they were played in only; the paper also replays those of older policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.types import Episode

from . import losses
from .credit import group_relative, spread
from .settings import refuse_impossible
from .trainer.experience import kept_groups
from .trainer.objective import Objective, Part
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
    low: tuple[float, float] = (0.6, 0.9)  # where the smallest ratio starts, how far it may rise
    high: tuple[float, float] = (1.2, 3.0)  # the same of the largest; a wide one moves faster
    positive_share: float = 0.5  # of the gradient, that tokens of positive advantage are to have
    objective: Objective = Objective()  # of the policy: ratio, KL, entropy, masks; its clip is ours
    target_kl: float | None = None  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 4  # passes over an iteration's episodes
    minibatches: int = 4  # optimizer steps per pass
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
        if not (0 <= self.low[0] <= self.low[1] < 1 < self.high[0] <= self.high[1]):
            raise ValueError(
                f"low {self.low}, high {self.high}; expected 0 <= low < 1 < high, each from where "
                "it starts to how far it may rise"
            )
        if not 0 <= self.positive_share <= 1:
            raise ValueError(f"positive_share {self.positive_share}; expected a number from 0 to 1")
        if self.objective.ratio == "hybrid" or self.objective.dual_clip is not None:
            raise ValueError(
                f"ratio {self.objective.ratio}, dual_clip {self.objective.dual_clip}; expected one "
                "clip per token to balance: the ratio of token, turn or sequence, and no dual_clip"
            )


def credit(episodes: Sequence[Episode], config: Config) -> list[np.ndarray]:
    """One array per episode: its group-relative advantage at each of its turns."""
    returns_E = [episode.total_reward for episode in episodes]
    groups_E = [str(episode.group) for episode in episodes]
    advantages_E = group_relative(returns_E, groups_E, config.scale)
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


def balanced(
    minibatch: Part, objective: Objective, config: Config
) -> tuple[Objective, dict[str, float]]:
    """The objective with the bounds that this minibatch needs, and what they are."""
    assert objective.ratio != "hybrid"  # refused by Config
    ratio = losses.importance_ratio(
        minibatch.logprobs - minibatch.old_logprobs,
        minibatch.mask,
        objective.ratio,
        minibatch.tokens.turn_index,
    )
    clip_low, clip_high, share = losses.balanced_clip(
        ratio.log(),
        minibatch.advantages,
        minibatch.mask,
        low=config.low,
        high=config.high,
        positive_share=config.positive_share,
    )
    found = {"clip_low": clip_low, "clip_high": clip_high, "positive_share": share}
    return replace(objective, clip_low=clip_low, clip_high=clip_high), found


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
        "bapo",
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
            measured = update(
                session.learner,
                experience,
                advantages,
                config,
                generator,
                adapt=lambda minibatch, objective: balanced(minibatch, objective, config),
            )
        session.log(iteration, experience, advantages_ET, measured)
    return session.path
