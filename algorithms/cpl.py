"""CPL: preferences train the policy directly; its log-probabilities stand for advantages (torch).

Paper: Hejna et al., Contrastive Preference Learning (2024), section 3: people prefer what regrets
less, regret is the discounted sum of optimal advantages, and with maximum entropy these are
alpha * log pi. So a logistic loss on discounted sums of log-probabilities, equation 5, with a
`bias` below 1 that keeps the compared episodes likely equation 6. No reference model.

Deviations: a segment is a whole episode, and returns order them. From one start, where the world
has no chance, that is the order of regret for a discount of 1: an episode earned the start's
optimal value less its regret. Elsewhere luck counts as merit. A step is a turn, whose log pi is the
sum over its tokens.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from .losses import LossOutput
from .losses.preference import cpl
from .metrics import update_metrics
from .preferences.offline import draw_pairs, pairs_of_file
from .preferences.pairs import PairSampler
from .preferences.update import step, turn_logprobs
from .settings import refuse_impossible
from .trainer.offline import OfflineSession, open_offline


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds what is drawn from the file; the run repeats to the same numbers
    iterations: int = 20  # each takes some steps and is logged
    steps: int = 50  # optimizer steps per iteration
    batch_size: int = 32  # episodes per step, two a pair
    alpha: float = 0.1  # smaller makes the policy go further for a preference
    discount: float = 1.0  # per turn, of log-probabilities
    bias: float = (
        0.25  # of what was worse; below 1 keeps what was compared likely (paper: 0.5, 0.75)
    )
    margin: float = 0.0  # returns of a pair differ by more than this
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
        if not self.alpha > 0 or not 0 < self.bias <= 1:
            raise ValueError(
                f"alpha {self.alpha}, bias {self.bias}; expected an alpha above 0 and a bias in "
                "(0, 1]"
            )


def train_step(
    session: OfflineSession, sampler: PairSampler, generator: np.random.Generator, config: Config
) -> dict[str, float]:
    """One optimizer step on pairs of the file."""
    drawn = draw_pairs(session, sampler, generator)

    def loss(table: Tensor) -> LossOutput:
        turns = drawn.compared.turns(table)
        return cpl(*turns, config.alpha, discount=config.discount, bias=config.bias)

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
    session = open_offline("cpl", env, data, model, out, config, resume=resume, device=device)
    sampler = pairs_of_file(session.data, config.margin, config.across_tasks)
    for iteration, generator in session.iterations():
        with session.phase("update"):
            history = [train_step(session, sampler, generator, config) for _ in range(config.steps)]
        session.log(iteration, update_metrics(history))
    return session.path
