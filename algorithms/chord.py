"""CHORD and ReLIFT: reinforcement learning with expert episodes beside the policy's own (torch).

Papers: Zhang et al., On-Policy RL Meets Off-Policy Experts (2025): the loss is

    (1 - mu) L_RL + mu L_SFT,  L_SFT = -mean over the expert's tokens of phi * log p,

where p is the policy's probability of the token. mu rises from 0 to a peak, then falls along half a
cosine (CHORD-mu); phi = p (1 - p), without a gradient, leaves alone what the policy knows and what
it would never say (CHORD-phi, beside a small constant mu). phi = 1 is plain imitation, which a
policy needs that has never seen what the expert does. mu = 0 is RLOO, mu = 1 imitation.

Ma et al., Learning What Reinforcement Learning Can't (2025), `method="relift"`: the tasks are those
that were demonstrated; a task of which all episodes fail, now and before, brings its demonstration
into a buffer, and a full buffer is imitated in an optimizer step of its own, then emptied.

Deviations: L_RL is RLOO's, clipped. Expert episodes are dealt to the minibatches together with the
policy's own, each kind divided by its own count. What the objective adds (entropy, KL) is not
weighed by 1 - mu. mu moves once an iteration. ReLIFT asks nobody for solutions: they come from the
file or from the demonstrator; a task leaves the buffer when the policy has solved it since.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from lmenvs.types import Episode

from . import losses, support
from .batch import make_batch
from .credit import leave_one_out, spread
from .demonstrated import Demonstrations, open_demonstrations
from .forward import micro_batches, policy_logprobs
from .metrics import update_metrics
from .settings import refuse_impossible
from .trainer.experience import Experience, kept_groups
from .trainer.learner import Learner
from .trainer.objective import Objective, Part, clipped
from .trainer.session import open_session
from .trainer.update import PolicyLoss, update


@dataclass(frozen=True, slots=True)
class Mix:
    """How strongly the expert's tokens count, and which."""

    peak: float = 0.5  # the largest mu; the paper has 0.9, and 0.1 beside phi
    valley: float = 0.05  # mu in the end; the paper's
    warmup: int = 0  # iterations in which mu rises from 0
    decay: int = 30  # iterations after them in which it falls; 0 falls at once
    phi: bool = False  # weigh tokens by p (1 - p); else all alike

    def __post_init__(self) -> None:
        """Refuse what is no mixture."""
        for name, share in (("peak", self.peak), ("valley", self.valley)):
            if not 0 <= share <= 1:
                raise ValueError(f"mix.{name} {share}; expected a share from 0 to 1")
        for name, count in (("warmup", self.warmup), ("decay", self.decay)):
            if count < 0:
                raise ValueError(f"mix.{name} {count}; expected at least 0 iterations")


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh groups and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    groups: int = 16  # tasks per iteration
    group_size: int = 8  # episodes per task; a larger group has a steadier baseline
    method: Literal["chord", "relift"] = "chord"  # expert episodes in the loss, or for what fails
    mix: Mix = Mix()  # chord: mu and phi
    experts: int = 16  # chord: expert episodes per iteration; relift: the buffer's size
    demonstrator: str = "expert"  # any policy spec; plays where no file of data is given
    demonstrations: int = 64  # how many episodes it plays
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
        counts = (("experts", self.experts), ("demonstrations", self.demonstrations))
        for name, count in counts:
            if count < 1:
                raise ValueError(f"{name} {count}; expected at least 1")


def mu_at(iteration: int, mix: Mix) -> float:
    """The weight of imitation: up in a line, then down along half a cosine.

    >>> [round(mu_at(i, Mix(peak=0.9, valley=0.1, warmup=2, decay=4)), 2) for i in range(7)]
    [0.0, 0.45, 0.9, 0.78, 0.5, 0.22, 0.1]
    """
    if iteration < mix.warmup:
        return mix.peak * iteration / mix.warmup
    since = iteration - mix.warmup
    if since >= mix.decay:
        return mix.valley
    return mix.valley + (mix.peak - mix.valley) * 0.5 * (1 + math.cos(math.pi * since / mix.decay))


def phi(logprobs: Tensor) -> Tensor:
    """The weight p (1 - p) of each token, without a gradient: largest where it is undecided.

    >>> import torch
    >>> [round(weight, 2) for weight in phi(torch.tensor([0.5, 0.9, 1.0]).log()).tolist()]
    [0.25, 0.09, 0.0]
    """
    chances = logprobs.detach().exp()
    return chances * (1 - chances)


def mixed_loss(experience: Experience, own: int, mu: float, config: Config) -> PolicyLoss:
    """(1 - mu) times the clipped loss plus mu times imitation.

    Args:
        experience: The policy's own episodes, then those of the expert, of which no turn is
            trained by credit.
        own: How many are the policy's own.
        mu: The weight of imitation.
        config: The algorithm's settings.
    """
    tokens = experience.tokens
    steps = min(config.minibatches, len(tokens))
    total = max(1.0, float(tokens.policy_mask[tokens.episode >= own].sum())) / steps

    def loss(part: Part, objective: Objective) -> losses.LossOutput:
        rewarded = clipped(part, objective)
        experts = part.tokens.policy_mask & (part.tokens.episode >= own)[:, None]
        weights = phi(part.logprobs) if config.mix.phi else None
        imitated = losses.negative_log_likelihood(part.logprobs, experts, weights, total)
        numbers = {**rewarded.metrics, "policy_per_expert_token": float(imitated.loss.detach())}
        return losses.LossOutput((1 - mu) * rewarded.loss + mu * imitated.loss, numbers)

    return loss


def imitate(learner: Learner, episodes: Sequence[Episode], config: Config) -> dict[str, float]:
    """One optimizer step of imitation: all tokens of the episodes count alike."""
    batch = make_batch(episodes, learner.chat).to(learner.model.device)
    total, likelihood = float(batch.policy_mask.sum()), 0.0
    for rows in micro_batches(batch, config.micro_tokens):
        part = batch.rows(rows)
        logprobs, _ = policy_logprobs(
            learner.model, part, entropy="none", checkpointing=config.gradient_checkpointing
        )
        loss = losses.negative_log_likelihood(logprobs, part.policy_mask, total=total).loss
        loss.backward()
        likelihood += float(loss.detach())
    norm = support.optimizer_step(learner.optimizer, learner.trained, config.max_norm)
    return update_metrics(
        [{"expert_negative_log_likelihood": likelihood, "expert_grad_norm": norm}]
    )


@dataclass(frozen=True, slots=True)
class Hard:
    """Which tasks the policy has solved so far, and the demonstrations that wait: plain data.

    Attributes:
        solved: Seeds of tasks that were solved at least once.
        waiting: Seeds of tasks that were played and never solved, in the order they came.
    """

    solved: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()

    def after(self, played: Sequence[Episode]) -> "Hard":
        """What is hard once these episodes are known."""
        solved = {*self.solved, *(episode.seed for episode in played if episode.success)}
        met = dict.fromkeys([*self.waiting, *(episode.seed for episode in played)])
        return Hard(tuple(sorted(solved)), tuple(seed for seed in met if seed not in solved))


def fine_tune(
    learner: Learner,
    played: Sequence[Episode],
    shown: Demonstrations,
    tasks: Mapping[int, int],
    config: Config,
) -> dict[str, float]:
    """Note what is hard, and imitate once there is enough of it; `tasks`: see `Demonstrations`."""
    hard, measured = Hard(*learner.kept.get("hard", ())).after(played), {}
    if len(hard.waiting) >= config.experts:
        measured = imitate(learner, shown.read([tasks[seed] for seed in hard.waiting]), config)
        hard = Hard(hard.solved)
    learner.kept["hard"] = [list(hard.solved), list(hard.waiting)]
    unsolved = len(tasks) - len(hard.solved)
    return {**measured, "expert/unsolved": unsolved, "expert/waiting": len(hard.waiting)}


def credit(episodes: Sequence[Episode]) -> list[np.ndarray]:
    """One array per episode: its leave-one-out advantage at each of its turns."""
    groups_E = [str(episode.group) for episode in episodes]
    advantages_E = leave_one_out([episode.total_reward for episode in episodes], groups_E)
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


def train(
    env: str,
    model: str | Path,
    out: str | Path,
    config: Config = Config(),
    *,
    data: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    env_workers: int = 0,
    step_timeout: float | None = None,
) -> Path:
    """Train a model folder or hub id on an environment's training split; returns the run folder.

    `data` is a file of expert episodes; without one the demonstrator plays them. `device`,
    `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "chord",
        env,
        model,
        out,
        config,
        data=data,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    chord = config.method == "chord"
    shown = open_demonstrations(session, data, config.demonstrator, config.demonstrations)
    tasks = {} if chord else shown.tasks(env)
    for iteration, generator in session.iterations():
        mu = mu_at(iteration, config.mix) if chord else 0.0
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.groups)
            if not chord:
                seeds = np.array(sorted(tasks))[seeds % len(tasks)]
            played = session.collect(policy, seeds, config.group_size)
            experts = shown.read(generator.integers(len(shown), size=config.experts) if mu else ())
        with session.phase("credit"):
            kept = kept_groups(played, config.objective.equal_groups)
            own = len(kept)
            trained_ET = [
                np.full(len(episode.turns), number < own)
                for number, episode in enumerate(kept + experts)
            ]
            experience = session.read(kept + experts, trained_ET)
            advantages_ET = credit(experience.episodes[:own])
            advantages_ET += [np.zeros(len(episode.turns)) for episode in experts]
            advantages = experience.spread(advantages_ET, config.objective.normalise)
        with session.phase("update"):
            loss = mixed_loss(experience, own, mu, config) if experts else clipped
            measured = update(
                session.learner, experience, advantages, config, generator, policy_loss=loss
            )
            if not chord:
                measured |= fine_tune(session.learner, played, shown, tasks, config)
        session.log(iteration, experience, advantages_ET, {**measured, "expert/mu": mu})
    return session.path
