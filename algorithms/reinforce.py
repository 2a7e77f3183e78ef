"""REINFORCE with a leave-one-out baseline over groups of episodes of the same task (torch).

Williams (1992) with the baseline of Kool et al., Buy 4 REINFORCE Samples, Get a Baseline for Free!
(2019), also known as RLOO: A_i = R_i - mean of the other returns of the group; every turn of the
episode shares A_i. Steps are not clipped: rloo.py is the clipped form.

Two forms bear data that an older policy sampled without importance ratios (Yao et al.,
Group-Relative REINFORCE Is Secretly an Off-Policy Algorithm, 2025): `form="opmd"` holds each
episode's log-probability near the sampler's by a square (Kimi Team, Kimi k1.5, 2025, section
2.3.2); `form="asymmetric"` lowers the baseline by -delta, so that failures push less than successes
pull (Arnal et al., Asymmetric REINFORCE for off-Policy Reinforcement Learning, 2025). With
`sync_every` above 1 the data are that old: one sampler plays for so many updates.

Deviations: `objective.normalise="centre"` subtracts the mean over all turns of an update. Failures
are longer than successes, so A_i that sum to zero over episodes sum to less than zero over turns,
and a step lowers the probability of everything that was said: small models collapsed. "none" is
the paper. The baseline leaves the episode itself out; both off-policy papers take the group's mean.
Of `objective` the ratio and the clips have no effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lmenvs.types import Episode

from . import losses
from .credit import leave_one_out, spread
from .metrics import merged
from .settings import refuse_impossible
from .trainer.experience import Experience, kept_groups
from .trainer.objective import Objective, Part
from .trainer.session import open_session
from .trainer.update import PolicyLoss, update


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh groups and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    groups: int = 32  # tasks per update
    group_size: int = 8  # episodes per task; a larger group has a steadier baseline
    form: Literal["plain", "opmd", "asymmetric"] = "plain"  # the last two bear older data
    tau: float = 1.0  # opmd: how strongly episodes are held near their old probability
    delta: float = -0.1  # asymmetric: the baseline moves by this, at most 0
    sync_every: int = 1  # updates per iteration, each on groups of its own that one sampler played
    objective: Objective = Objective(normalise="centre")  # of the policy: KL, entropy, masks
    target_kl: float | None = None  # the policy rests for the update once it moved so far (nats)
    epochs: int = 1  # passes over an update's episodes
    minibatches: int = 2  # optimizer steps per pass; only the first is exactly on policy
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
        if self.tau < 0 or self.delta > 0:
            raise ValueError(
                f"tau {self.tau}, delta {self.delta}; expected at least 0 and at most 0"
            )


def credit(episodes: Sequence[Episode]) -> list[np.ndarray]:
    """One array per episode: its leave-one-out advantage at each of its turns."""
    returns_E = [episode.total_reward for episode in episodes]
    advantages_E = leave_one_out(returns_E, [str(episode.group) for episode in episodes])
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


def laid_out(experience: Experience, advantages_ET: Sequence[np.ndarray], config: Config) -> Tensor:
    """The advantages of the tokens [B, L]; with the asymmetric form against a lowered baseline.

    Lowered here, behind the centring that would undo it and before what weighs tokens or leaves
    them out.
    """
    advantages = experience.spread(advantages_ET, config.objective.normalise)
    if config.form != "asymmetric":
        return advantages
    return losses.lowered_baseline(advantages, experience.mask, config.delta)


def policy_loss(config: Config) -> PolicyLoss:
    """What the form makes of a part of a minibatch."""
    return partial(_opmd, config.tau) if config.form == "opmd" else _plain


def _plain(part: Part, objective: Objective) -> losses.LossOutput:
    """The policy gradient, unclipped."""
    loss = losses.policy_gradient(
        part.logprobs,
        part.advantages,
        part.mask,
        part.total,
        reduction=objective.reduction,
        turn_index=part.tokens.turn_index,
    )
    return losses.LossOutput(loss.loss, {**loss.metrics, **_drift(part)})


def _opmd(tau: float, part: Part, objective: Objective) -> losses.LossOutput:
    """The policy gradient, and a square that holds episodes where the sampler had them."""
    loss = losses.opmd(
        part.logprobs,
        part.old_logprobs,
        part.advantages,
        part.mask,
        tau=tau,
        total=part.total,
        reduction=objective.reduction,
        turn_index=part.tokens.turn_index,
    )
    return losses.LossOutput(loss.loss, {**loss.metrics, **_drift(part)})


def _drift(part: Part) -> dict[str, float]:
    """How far the policy is from the one that sampled, under the names of `losses.ppo_clip`."""
    now = part.logprobs.detach()
    moved = torch.where(part.mask, now - part.old_logprobs, -torch.inf)
    return {
        "ratio_max": float(moved.max().clamp(max=losses.LOG_RATIO_LIMIT).exp()),
        "approx_kl": losses.kl_penalty(part.old_logprobs, now, part.mask).metrics["kl"],
    }


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
        "reinforce",
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
            played = [
                session.collect(policy, seeds, config.group_size)
                for seeds in generator.integers(2**31, size=(config.sync_every, config.groups))
            ]
        with session.phase("credit"):
            # all are read before the first step, so that old log-probabilities are the sampler's
            read = [session.read(kept_groups(p, config.objective.equal_groups)) for p in played]
            credited = [credit(experience.episodes) for experience in read]
            advantages = [laid_out(e, a, config) for e, a in zip(read, credited, strict=True)]
        with session.phase("update"):
            measured = merged(
                [
                    update(
                        session.learner, e, a, config, generator, policy_loss=policy_loss(config)
                    )
                    for e, a in zip(read, advantages, strict=True)
                ]
            )
        # of several updates' credit the first one's stands for all
        session.log(iteration, read[0], credited[0], measured)
    return session.path
