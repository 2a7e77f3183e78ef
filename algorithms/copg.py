"""CoPG: a policy gradient from recorded returns of any policy, by contrast of two plays (torch).

Paper: Flet-Berliac et al., Contrastive Policy Gradient (2024): pairs of independent samples of one
prompt, their rewards, and a loss whose only stationary point is pi_ref * exp(R / beta) / Z, whoever
sampled them; no importance ratios. Rewards are used as they are, not only their order; IPO is the
case of equal differences. The reference is the model that the run began with.

Deviations: a sample is an episode of many turns, with its undiscounted return, and a prompt is a
task. In a world with chance the optimum is that of plays, not of policies: luck counts as merit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .losses import LossOutput
from .losses.preference import copg
from .metrics import update_metrics
from .preferences.offline import PairBatch, draw_pairs, pairs_of_file
from .preferences.pairs import PairSampler
from .preferences.update import step, turn_logprobs
from .reference import Reference
from .settings import refuse_impossible
from .trainer.offline import OfflineSession, open_offline


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn from the file; the run repeats to the same numbers
    iterations: int = 20  # each takes some steps and is logged
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # episodes per step, two a pair
    beta: float = 1.0  # in the unit of the returns: half their range is a good beginning
    across_tasks: bool = False  # also compare episodes of different tasks: where all begin alike
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
        if not self.beta > 0:
            raise ValueError(f"beta {self.beta}; expected a number above 0")


def loss_of(drawn: PairBatch, reference: Tensor, beta: float) -> Callable[[Tensor], LossOutput]:
    """The loss as a function of the policy's log-probabilities [episode, turn]."""
    gaps = torch.tensor(drawn.gaps, dtype=torch.float32, device=reference.device)

    def loss(table: Tensor) -> LossOutput:
        near, policy = drawn.compared.sums(reference), drawn.compared.sums(table)
        return copg(*policy, *near, gaps, torch.zeros_like(gaps), beta)

    return loss


def train_step(
    session: OfflineSession,
    reference: Reference,
    sampler: PairSampler,
    generator: np.random.Generator,
    config: Config,
) -> dict[str, float]:
    """One optimizer step on pairs of the file."""
    drawn = draw_pairs(session, sampler, generator)
    said = reference.logprobs(drawn.tokens, config.micro_tokens)
    loss = loss_of(drawn, drawn.layout.sums(drawn.tokens, said), config.beta)
    read = turn_logprobs(session.learner.model, drawn.layout, config)
    return step(session.learner, drawn.tokens, read, loss, config)


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
    session = open_offline("copg", env, data, model, out, config, resume=resume, device=device)
    reference = session.reference()
    sampler = pairs_of_file(session.data, None, config.across_tasks)
    for iteration, generator in session.iterations():
        with session.phase("update"):
            history = [
                train_step(session, reference, sampler, generator, config)
                for _ in range(config.steps)
            ]
        session.log(iteration, update_metrics(history))
    return session.path
