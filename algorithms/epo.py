"""EPO: GRPO whose entropy is kept up, and near what it was at the same turn before (torch).

Paper: Xu et al., EPO: Entropy-regularized Policy Optimization for LLM Agents Reinforcement Learning
(2025): L = L_policy - bonus H + smoothing beta_k S. H is the mean entropy; S charges tokens outside
[low h_t, high h_t], with h_t the mean over earlier iterations of the mean entropy at turn t; beta_k
= 1 + exp(-decay k / k_mid) weighs S by the phase of the training.

Deviations: S is a hinge (`losses.entropy_smoothing`); the published code charges a constant 0.1
outside the band, whose gradient is zero. S has a coefficient of its own instead of a share of the
bonus, so that `target_entropy` does not move it, and holds at every turn (the published code begins
at turn 25). beta_k is the paper's as others report it, with k_mid (theirs is near 60 %) at half of
the run; the published code multiplies by 1 to 0.83 in the first half and by 0.8 to 0.04 in the
second. The base is GRPO only (the paper also has PPO).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from math import exp, nan
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lmenvs.types import Episode

from . import losses
from .credit import group_relative, spread
from .settings import refuse_impossible
from .trainer.experience import Experience, kept_groups
from .trainer.objective import Objective, Part, clipped
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
    smoothing: float = 0.01  # of the hinge beside the policy loss; 0 leaves the bonus alone
    low: float = 0.5  # the share of a turn's usual entropy that a token is pushed up to
    high: float = 1.5  # and that it is pulled down to; a wide band changes nothing
    decay: float = 1.0  # how soon the hinge goes from twice its weight towards once
    objective: Objective = Objective(entropy_bonus=0.001)  # of the policy: clip, KL, masks
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
        if not 0 <= self.low <= 1 <= self.high:
            raise ValueError(f"low {self.low}, high {self.high}; expected a band around 1")
        if self.smoothing < 0 or self.decay < 0:
            raise ValueError(
                f"smoothing {self.smoothing}, decay {self.decay}; expected numbers of at least 0"
            )


def credit(episodes: Sequence[Episode], config: Config) -> list[np.ndarray]:
    """One array per episode: its group-relative advantage at each of its turns."""
    returns_E = [episode.total_reward for episode in episodes]
    groups_E = [str(episode.group) for episode in episodes]
    advantages_E = group_relative(returns_E, groups_E, config.scale)
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


def phase_weight(done: float, decay: float) -> float:
    """The hinge's weight when a share of the run is done: beta = 1 + exp(-decay done / (1 / 2)).

    >>> [round(phase_weight(done, decay=1.0), 3) for done in (0.0, 0.5, 1.0)]
    [2.0, 1.368, 1.135]
    """
    return 1.0 + exp(-2.0 * decay * done)


def turn_entropies(experience: Experience) -> list[tuple[float, int]]:
    """The sum of the tokens' entropies at each turn index over all episodes, and their number."""
    entropies_ETL = experience.tokens.by_token(experience.entropies, len(experience.episodes))
    return [
        (float(sum(tokens_L.sum() for tokens_L in at_turn)), sum(map(len, at_turn)))
        for at_turn in zip_longest(*entropies_ETL, fillvalue=np.zeros(0))
    ]


def remembered(
    history: Sequence[tuple[float, int]], entropies: Sequence[tuple[float, int]]
) -> list[tuple[float, int]]:
    """For each turn index the sum of the iterations' mean entropies, and how many had the turn.

    >>> remembered([(2.0, 1)], [(3.0, 2), (4.0, 1)])
    [(3.5, 2), (4.0, 1)]
    """
    pairs = zip_longest(history, entropies, fillvalue=(0.0, 0))
    return [
        (total + said / count, times + 1) if count else (total, times)
        for (total, times), (said, count) in pairs
    ]


def usual(history: Sequence[tuple[float, int]], turns: int) -> Tensor:
    """The mean entropy at each turn index so far, nan where the turn was never reached."""
    known = [total / times if times else nan for total, times in history[:turns]]
    return torch.tensor(known + [nan] * (turns - len(known)))


def smoothed(
    part: Part, objective: Objective, history_T: Tensor, weight: float, config: Config
) -> losses.LossOutput:
    """The clipped loss plus the weighted hinge around the usual entropies."""
    policy = clipped(part, objective)
    hinge = losses.entropy_smoothing(
        part.entropies,
        part.mask,
        part.tokens.turn_index + part.tokens.first_turn[:, None],  # of the episode, not of the row
        history_T,
        low=config.low,
        high=config.high,
        total=part.total,
        reduction=objective.reduction,
    )
    return losses.LossOutput(policy.loss + weight * hinge.loss, {**policy.metrics, **hinge.metrics})


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
        "epo",
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
            history = session.learner.kept.get("entropies", [])
            history_T = usual(history, max(map(len, advantages_ET))).to(advantages.device)
            weight = config.smoothing * phase_weight(session.done(iteration), config.decay)
        with session.phase("update"):
            measured = update(
                session.learner,
                experience,
                advantages,
                config,
                generator,
                policy_loss=partial(smoothed, history_T=history_T, weight=weight, config=config),
                trains_entropy=weight > 0,
            )
        session.learner.kept["entropies"] = remembered(history, turn_entropies(experience))
        session.log(iteration, experience, advantages_ET, {**measured, "loss/smoothing": weight})
    return session.path
