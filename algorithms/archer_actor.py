"""ArCHer's actor: steps on actions sampled now at replayed observations (torch).

The deviations from the paper stand in archer.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from . import losses, support
from .archer_critic import advantages, encode
from .batch import TokenBatch, make_batch
from .forward import by_length
from .metrics import update_metrics
from .siblings import Grown, Siblings, draws, grow, sample_siblings, sibling_logprobs

if TYPE_CHECKING:
    from .archer import Config, Learner


@dataclass(frozen=True, slots=True)
class _Part:
    """A micro-batch with its sibling actions, as they were judged before the actor moved."""

    siblings: Siblings
    grown: Grown
    advantages: Tensor  # [B, N]
    old_logprobs: Tensor  # [B, N, K]


def update_actor(
    learner: "Learner", config: "Config", generator: np.random.Generator
) -> dict[str, float]:
    """Some steps of token-level policy gradient on actions sampled now at replayed observations."""
    episodes = learner.replay.sample(config.batch_size * config.actor_steps, generator)
    batch = make_batch(episodes, learner.chat).to(learner.model.device)
    everyones = draws(batch, config.siblings, learner.sampling, generator)
    minibatches: list[list[_Part]] = []
    for rows in np.array_split(generator.permutation(len(batch)), config.actor_steps):
        mini, chance = batch.rows(rows), everyones[rows]
        # branches make a row longer: each turn's siblings add to its tokens
        parts = by_length(mini.lengths * 2, config.micro_tokens)
        minibatches.append(
            [_imagine(learner, mini.rows(part), config, chance[part]) for part in parts]
        )
    everything = [part for parts in minibatches for part in parts]
    flat = torch.cat([part.advantages[part.siblings.branch_mask] for part in everything])
    centre, scale = (flat.mean(), flat.std() + 1e-8) if config.clip is not None else (0.0, 1.0)
    standard = [
        [replace(part, advantages=(part.advantages - centre) / scale) for part in parts]
        for parts in minibatches
    ]
    # a count fixed for all steps: dividing each by its own tokens would be biased
    total = float(sum(part.siblings.mask.sum() for part in everything)) / len(standard)
    history = [_actor_step(learner, config, parts, total) for parts in standard]
    spread = {
        "credit/advantage_mean": float(flat.mean()),
        "credit/advantage_std": float(flat.std()),
    }
    return {**update_metrics(history), **spread}


@torch.no_grad()
def _imagine(learner: "Learner", part: TokenBatch, config: "Config", chance: Tensor) -> _Part:
    """Sample what the policy would say now at every turn, and judge it."""
    siblings = sample_siblings(
        learner.model, part, config.siblings, learner.chat.stop_id, learner.sampling, chance
    )
    grown = grow(part, siblings)
    judged = advantages(learner.critic, part, grown, config)
    old_logprobs, _ = sibling_logprobs(learner.model, grown, siblings)
    return _Part(siblings, grown, judged, old_logprobs)


def _actor_step(
    learner: "Learner", config: "Config", parts: Sequence[_Part], total: float
) -> dict[str, float]:
    """One optimizer step on the policy (and on the token baseline, if there is one)."""
    history: list[dict[str, float]] = []
    for part in parts:
        logprobs, entropy = sibling_logprobs(
            learner.model,
            part.grown,
            part.siblings,
            checkpointing=config.gradient_checkpointing,
        )
        shape = (len(logprobs), -1)
        mask = part.siblings.mask.reshape(shape)
        spread = part.advantages[..., None].expand(part.siblings.mask.shape).reshape(shape)
        metrics: dict[str, float] = {}
        if config.token_baseline:
            eta = _token_baseline(learner, part, shape)
            fitted = losses.value_mse(eta, spread, mask, total=total)
            fitted.loss.backward()
            metrics["token_baseline_error"] = fitted.metrics["value_error"]
            spread = spread - eta.detach()
        if config.clip is None:
            actor = losses.policy_gradient(logprobs.reshape(shape), spread, mask, total=total)
        else:
            actor = losses.ppo_clip(
                logprobs.reshape(shape),
                part.old_logprobs.reshape(shape),
                spread,
                mask,
                clip_low=config.clip,
                clip_high=config.clip,
                total=total,
            )
        actor.loss.backward()
        surprise = losses.entropy(entropy.reshape(shape), mask)
        history.append({**metrics, **actor.metrics, **surprise.metrics})
    trained = [p for p in learner.model.parameters() if p.requires_grad]
    history[-1]["grad_norm"] = support.optimizer_step(learner.optimizer, trained, config.max_norm)
    if config.token_baseline:
        support.optimizer_step(
            learner.critic_optimizer, learner.critic.parameters(), config.max_norm
        )
    return {name.removeprefix("loss/"): value for name, value in update_metrics(history).items()}


def _token_baseline(learner: "Learner", part: _Part, shape: tuple[int, int]) -> Tensor:
    """eta: the advantage as foreseen before each token (paper, section 3.4), [B, N * K]."""
    with (
        torch.no_grad()
    ):  # the critic's decoder serves the values; only the head learns the baseline
        hidden = encode(learner.critic, part.grown)
    return learner.critic.token_values(hidden, part.grown.predictor.reshape(shape))[..., 0]
