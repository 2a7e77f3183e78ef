"""KTO: episodes that are good or bad, each by itself, without pairs (torch).

Paper: Ethayarajh et al., KTO: Model Alignment as Prospect Theoretic Optimization (2024), section 4.
An episode is desirable if its return is above a threshold. Where the task's outcome is all that is
known, and tasks are played once, there is nothing to pair; this needs no pair. The reference is the
model that the run began with.

Deviations: an episode of many turns is one example. The reference point z is the mean log-ratio of
the batch's own episodes, not below 0; the paper takes answers of other prompts, but an episode's
actions mean nothing behind another task's observations. It is one number per step, without a
gradient, as in the paper.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .losses import LossOutput
from .losses.preference import kto, kto_reference_point
from .metrics import update_metrics
from .preferences.update import Layout, step, turn_logprobs
from .reference import Reference
from .settings import refuse_impossible
from .trainer.offline import OfflineSession, open_offline


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn from the file; the run repeats to the same numbers
    iterations: int = 20  # each takes some steps and is logged
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # episodes per step
    beta: float = 0.1  # smaller lets the policy go further from the reference for an example
    threshold: float | None = None  # returns above it are desirable; None: the file's mean return
    desirable_weight: float = 1.0  # the paper: set the weights so that weight times number of
    undesirable_weight: float = 1.0  # either kind is about the same
    learning_rate: float = 3e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    anneal: float = 0.1  # over the last third, the learning rate falls to this share; 1 holds it
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints
    evaluations: int = 32  # training tasks that the model plays per iteration, for the log
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        if not self.beta > 0 or not min(self.desirable_weight, self.undesirable_weight) >= 0:
            raise ValueError(
                f"beta {self.beta}, desirable_weight {self.desirable_weight}, undesirable_weight "
                f"{self.undesirable_weight}; expected a beta above 0 and weights of at least 0"
            )


def threshold_of(returns_E: np.ndarray, config: Config) -> float:
    """The return above which an episode is desirable.

    Raises:
        ValueError: where all episodes are of one kind.
    """
    threshold = float(returns_E.mean()) if config.threshold is None else config.threshold
    share = float((returns_E > threshold).mean())
    if share in (0.0, 1.0):
        raise ValueError(
            f"threshold {threshold:g}: expected returns on both sides, got {returns_E.min():g} to "
            f"{returns_E.max():g}; set another threshold, or give episodes that differ"
        )
    return threshold


def loss_of(desirable: Tensor, reference: Tensor, config: Config) -> Callable[[Tensor], LossOutput]:
    """The loss as a function of the policy's log-probabilities [episode, turn]."""

    def loss(table: Tensor) -> LossOutput:
        policy, near = table.sum(1), reference.sum(1)
        return kto(
            policy,
            near,
            desirable,
            config.beta,
            reference_point=kto_reference_point(policy, near),
            desirable_weight=config.desirable_weight,
            undesirable_weight=config.undesirable_weight,
        )

    return loss


def train_step(
    session: OfflineSession,
    reference: Reference,
    threshold: float,
    generator: np.random.Generator,
    config: Config,
) -> dict[str, float]:
    """One optimizer step on episodes of the file."""
    episodes = session.draw(generator)
    tokens = session.batch(episodes)
    layout = Layout(tokens, len(episodes))
    near = layout.sums(tokens, reference.logprobs(tokens, config.micro_tokens))
    good = [episode.total_reward > threshold for episode in episodes]
    loss = loss_of(torch.tensor(good, device=near.device), near, config)
    read = turn_logprobs(session.learner.model, layout, config)
    return step(session.learner, tokens, read, loss, config)


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
    """Train a model folder or hub id on a file of episodes; returns the run folder.

    `data`, `model` None and `device`: see `trainer.offline.open_offline`.
    """
    session = open_offline("kto", env, data, model, out, config, resume=resume, device=device)
    reference = session.reference()
    threshold = threshold_of(session.data.returns_E, config)
    for iteration, generator in session.iterations():
        with session.phase("update"):
            history = [
                train_step(session, reference, threshold, generator, config)
                for _ in range(config.steps)
            ]
        session.log(iteration, update_metrics(history))
    return session.path
