"""REINFORCE with a leave-one-out baseline over groups of episodes of the same task (torch).

Williams (1992) with the baseline of Kool et al., Buy 4 REINFORCE Samples, Get a Baseline for Free!
(2019), also known as RLOO: A_i = R_i - mean of the other returns of the group; every turn of the
episode shares A_i. One unclipped step a minibatch on fresh episodes.

Deviation: `centre="turns"` subtracts the mean over all turns of the batch. Failures are longer than
successes, so A_i that sum to zero over episodes sum to less than zero over turns, and a step lowers
the probability of everything that was said: small models collapsed. "none" is the paper.
`reference_kl` adds KL(policy || start), with k2 in the loss, whose gradient is the KL's own;
`sampler_cap` weighs tokens by what the sampler said (see mismatch.py). Both are off by default.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.devices import find_device
from agents.making import open_engine
from agents.models import load_model, with_lora
from agents.rollout import Crash, collect
from agents.sampling import Sampling
from lmenvs.types import Episode

from . import losses, support
from .batch import TokenBatch, make_batch
from .credit import leave_one_out
from .forward import micro_batches, policy_logprobs, recompute_logprobs
from .metrics import credit_metrics, rollout_metrics, training_split, update_metrics
from .mismatch import importance_weights, mismatch, sampler_logprobs
from .reference import Reference
from .settings import refuse_impossible


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh groups and updates on them
    groups: int = 32  # tasks per iteration
    group_size: int = 8  # episodes per task; a larger group has a steadier baseline
    centre: Literal["turns", "none"] = "turns"  # centre advantages over turns; see above
    minibatches: int = 2  # optimizer steps per iteration; only the first is exactly on policy
    learning_rate: float = 3e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    reference_kl: float = 0.0  # pulls the policy towards where it began; above 0 costs a pass
    sampler_cap: float | None = None  # e.g. 2: corrects for an engine that samples otherwise
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
        if self.group_size < 2:
            raise ValueError(f"group_size {self.group_size}; leave-one-out needs at least 2")
        if self.reference_kl < 0 or (self.sampler_cap is not None and self.sampler_cap < 1):
            raise ValueError(
                f"reference_kl {self.reference_kl}, sampler_cap {self.sampler_cap}; expected at "
                "least 0, and a cap of at least 1 or None"
            )


def credit(episodes: Sequence[Episode], config: Config) -> list[np.ndarray]:
    """One array per episode: its leave-one-out advantage at each of its turns."""
    returns_E = [episode.total_reward for episode in episodes]
    advantages_E = leave_one_out(returns_E, [str(episode.group) for episode in episodes])
    spread_ET = [np.full(len(e.turns), a) for e, a in zip(episodes, advantages_E, strict=True)]
    if config.centre == "none":
        return spread_ET
    mean = np.concatenate(spread_ET).mean()
    return [advantages_T - mean for advantages_T in spread_ET]


def update(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: TokenBatch,
    advantages_ET: Sequence[np.ndarray],
    config: Config,
    generator: np.random.Generator,
    *,
    sampled: Tensor | None = None,
    weights: Tensor | None = None,
    reference: Tensor | None = None,
) -> dict[str, float]:
    """One pass of policy-gradient steps over an iteration's episodes.

    Args:
        model: The policy.
        optimizer: Of its weights.
        batch: The iteration's episodes.
        advantages_ET: One array per episode.
        config: How.
        generator: Deals the rows to minibatches.
        sampled: [B, L] log-probabilities by the sampler, to be compared before the first step.
        weights: [B, L] of each policy token's loss; None for 1.
        reference: [B, L] log-probabilities of the policy tokens by what the policy stays close to.
    """
    advantages = batch.spread(advantages_ET)
    if weights is not None:
        advantages = advantages * weights
    steps = min(config.minibatches, len(batch))
    # a count fixed for the iteration: dividing each step by its own tokens would be biased
    total = batch.policy_tokens / steps
    history: list[dict[str, float]] = []
    own = torch.full(batch.ids.shape, torch.nan, device=batch.ids.device)
    order = generator.permutation(len(batch))
    for moved, rows in enumerate(np.array_split(order, steps)):
        mini = batch.rows(rows)
        for inner in micro_batches(mini, config.micro_tokens):
            part, chosen = mini.rows(inner), torch.as_tensor(rows)[inner]
            length = part.ids.shape[1]
            logprobs, entropy = policy_logprobs(
                model, part, entropy="measured", checkpointing=config.gradient_checkpointing
            )
            actor = losses.policy_gradient(
                logprobs, advantages[chosen, :length], part.policy_mask, total=total
            )
            surprise = losses.entropy(entropy, part.policy_mask)
            if not moved:
                own[chosen, :length] = logprobs.detach()
            loss, numbers = actor.loss, {**actor.metrics, **surprise.metrics}
            if reference is not None:
                near = losses.kl_penalty(
                    logprobs, reference[chosen, :length], part.policy_mask, "k2", total
                )
                loss = loss + config.reference_kl * near.loss
                numbers["reference_kl"] = near.metrics["kl"]
            loss.backward()
            history.append(numbers)
        history[-1]["grad_norm"] = support.optimizer_step(
            optimizer, model.parameters(), config.max_norm
        )
    gap = {} if sampled is None else mismatch(sampled, own)
    return {**update_metrics(history), **gap}


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

    The policy is on `device`: "cpu", "cuda", "cuda:1".
    Environments are stepped as `agents.starts.Limits` says of `env_workers` and `step_timeout`;
    those that break are left out and counted.
    """
    where = find_device(device)
    given = {"algorithm": "reinforce", "env": env, "model": str(model), **asdict(config)}
    run = support.open_run(out, given, resume=resume)
    state = run.load_state()
    with torch.random.fork_rng():
        support.seed_all(config.seed)
        language_model, chat = load_model(run.path / "checkpoints" if state else model)
        if config.lora_rank:
            language_model = with_lora(language_model, config.lora_rank)
        language_model.to(where)  # type: ignore[arg-type]
    reference = Reference(language_model, model) if config.reference_kl else None
    trained = [p for p in language_model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=0.0)
    if state:
        optimizer.load_state_dict(state["optimizer"])
    sampling = Sampling(max_new_tokens=config.max_new_tokens)

    def save(complete: int) -> None:
        kept = {"iteration": complete, "optimizer": optimizer.state_dict()}
        run.save(lambda folder: chat.save(language_model, folder), kept)

    start = state["iteration"] if state else 0
    for iteration in support.iterations(
        run, "reinforce", config.iterations, start, config.save_every, save
    ):
        generator = np.random.default_rng((config.seed, iteration))
        engine = open_engine(config.engine, language_model, chat, sampling, iteration)
        with run.phase("collect"), engine as policy:
            crashes: list[Crash] = []
            episodes = collect(
                env,
                policy,
                generator.integers(2**31, size=config.groups).tolist(),
                group_size=config.group_size,
                width=config.width,
                max_turns=config.max_turns,
                split=training_split(env),
                policy_seed=config.seed,
                env_workers=env_workers,
                step_timeout=step_timeout,
                crashes=crashes,
            )
        with run.phase("credit"):
            advantages_ET = credit(episodes, config)
            batch = make_batch(episodes, chat).to(where)
            sampled = sampler_logprobs(batch, episodes)
            weights = None
            if config.sampler_cap is not None:
                own = recompute_logprobs(language_model, batch, config.micro_tokens)
                weights = importance_weights(sampled, own, config.sampler_cap)
            near = reference.logprobs(batch, config.micro_tokens) if reference else None
        with run.phase("update"):
            measured = update(
                language_model,
                optimizer,
                batch,
                advantages_ET,
                config,
                generator,
                sampled=sampled,
                weights=weights,
                reference=near,
            )
        run.log(
            iteration,
            {**rollout_metrics(episodes, crashes), **credit_metrics(advantages_ET), **measured},
        )
        run.episodes(episodes[:8])
        run.credit((e.id, a, None) for e, a in zip(episodes[:8], advantages_ET, strict=False))
    return run.path
