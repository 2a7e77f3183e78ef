"""TDPO: preferences between episodes, with the divergence kept per token (torch).

Paper: Zeng et al., Token-level Direct Preference Optimization (2024), section 4: DPO whose
comparison also counts how far the policy has moved from the reference along either sequence, by
the sequential forward KL, KL(pi_ref || pi) at each token from both whole distributions. TDPO2
weighs that difference by `kl_weight` and does not train the chosen side of it; TDPO1 trains both,
at weight 1. With `form="tdpo2"` and a weight of 0 it is DPO on a file, as `eto` has it. The
reference is the model that the run began with.

Deviations: a sequence is an episode of many turns; the tokens of the policy count, what the
environment said does not. Pairs are episodes of one task in the file whose returns differ.
The term of RPO (`sft_weight`) is added: without it a tiny model that begins at 0.37 on the
microwave ended at 0.07, 0.53 and 0.19 (seeds 0, 1, 2), with it at 0.97, 0.92 and 0.94.
A batch that needs several passes has its divergences computed twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from .losses import LossOutput
from .losses.preference import tdpo
from .metrics import update_metrics
from .preferences.divergence import logprobs_and_divergences
from .preferences.offline import draw_pairs, pairs_of_file
from .preferences.pairs import PairSampler
from .preferences.update import Compared, step
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
    beta: float = 0.1  # smaller lets the policy go further from the reference for a preference
    form: Literal["tdpo1", "tdpo2"] = "tdpo2"  # whether the chosen side's divergence is not trained
    kl_weight: float = 0.5  # of the divergences, in tdpo2 (the paper's alpha); 0 is DPO
    label_noise: float = 0.0  # the share of pairs that is ordered wrongly, by chance: robust DPO
    sft_weight: float = 0.3  # holds the likelihood of what was chosen up (RPO); 0 is the paper
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
        if not 0 <= self.label_noise < 0.5 or not self.sft_weight >= 0:
            raise ValueError(
                f"label_noise {self.label_noise}, sft_weight {self.sft_weight}; expected a share "
                "below 0.5 and a weight of at least 0"
            )
        if not self.beta > 0 or self.form not in ("tdpo1", "tdpo2"):
            raise ValueError(
                f"beta {self.beta}, form {self.form!r}; expected a beta above 0, and 'tdpo1' or "
                "'tdpo2'"
            )


def loss_of(compared: Compared, config: Config) -> Callable[[Tensor], LossOutput]:
    """The loss as a function of log pi, log pi_ref and their divergence: [3, episode, turn]."""

    def loss(table: Tensor) -> LossOutput:
        policy, reference, divergence = table
        return tdpo(
            *compared.sums(policy),
            *compared.sums(reference.detach()),
            *compared.sums(divergence),
            config.beta,
            form=config.form,
            kl_weight=config.kl_weight,
            label_noise=config.label_noise,
            sft_weight=config.sft_weight,
        )

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
    model = session.learner.model
    read = logprobs_and_divergences(model, reference, drawn.layout, config)
    loss = loss_of(drawn.compared, config)
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
    session = open_offline("tdpo", env, data, model, out, config, resume=resume, device=device)
    reference = session.reference()
    sampler = pairs_of_file(session.data, config.margin, config.across_tasks)
    for iteration, generator in session.iterations():
        with session.phase("update"):
            history = [
                train_step(session, reference, sampler, generator, config)
                for _ in range(config.steps)
            ]
        session.log(iteration, update_metrics(history))
    return session.path
