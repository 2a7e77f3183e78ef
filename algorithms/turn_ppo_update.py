"""Turn PPO's update: clipped steps of the policy, and steps of the critic beside them (torch).

The deviations from the paper stand in turn_ppo.py.
"""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from . import losses, support
from .batch import TokenBatch
from .forward import micro_batches, policy_logprobs
from .metrics import normalised, update_metrics

if TYPE_CHECKING:
    from .turn_ppo import Config, Learner, TurnCredit


def update(
    learner: "Learner",
    batch: TokenBatch,
    old_logprobs: Tensor,
    turn_credit: "TurnCredit",
    config: "Config",
    generator: np.random.Generator,
    *,
    weights: Tensor | None = None,
    reference: Tensor | None = None,
) -> dict[str, float]:
    """Some epochs of clipped policy steps and critic steps on one iteration's episodes.

    Args:
        learner: Policy, critic and optimizers, which move.
        batch: The iteration's episodes.
        old_logprobs: [B, L] by the policy before its first step.
        turn_credit: What the critic learns, and the policy.
        config: How.
        generator: Deals the rows to minibatches.
        weights: [B, L] of each policy token's loss; None for 1.
        reference: [B, L] log-probabilities of the policy tokens by what the policy stays close to.
    """
    advantages = batch.spread(normalised(turn_credit.advantages_ET))
    if weights is not None:
        advantages = advantages * weights
    targets = batch.turn_grid(turn_credit.value_targets_ET)
    steps = min(config.minibatches, len(batch))
    # counts fixed for the iteration: dividing each step by its own tokens would be biased
    tokens = batch.policy_tokens / steps
    turns = float(batch.turn_mask.sum()) / steps
    history: list[dict[str, float]] = []
    moving = True
    for _ in range(config.epochs):
        order = generator.permutation(len(batch))
        for rows in np.array_split(order, steps):
            mini, numbers = batch.rows(rows), {}
            if moving:
                near = None if reference is None else reference[rows]
                numbers = policy_gradient(
                    learner.model, mini, old_logprobs[rows], advantages[rows], tokens, config, near
                )
                # The clip stops a token's push, not the drift that other tokens' pushes give it.
                # nan is not too far: the step that would destroy the model is left out and counted.
                too_far = config.target_kl is not None and numbers["approx_kl"] > config.target_kl
                moving = not too_far
                if moving:
                    trained = [p for p in learner.model.parameters() if p.requires_grad]
                    norm = support.optimizer_step(learner.optimizer, trained, config.max_norm)
                    numbers["grad_norm"] = norm
                else:
                    learner.optimizer.zero_grad(set_to_none=True)
            numbers |= fit_critic(learner, mini, targets[rows], turns, config)
            history.append({**numbers, "resting": float(not moving)})
    measured = {**update_metrics(history), "loss/pace": learner.pace}
    learner.keep_pace(measured["loss/resting"])
    return measured


def policy_gradient(
    model: PreTrainedModel,
    mini: TokenBatch,
    old_logprobs: Tensor,
    advantages: Tensor,
    total: float,
    config: "Config",
    reference: Tensor | None = None,
) -> dict[str, float]:
    """Accumulate the gradient of the clipped objective over a minibatch, in micro-batches."""
    history: list[dict[str, float]] = []
    weights: list[int] = []
    for inner in micro_batches(mini, config.micro_tokens):
        part = mini.rows(inner)
        length = part.ids.shape[1]
        logprobs, entropy = policy_logprobs(
            model,
            part,
            entropy="trained" if config.entropy_bonus else "measured",
            checkpointing=config.gradient_checkpointing,
        )
        policy = losses.ppo_clip(
            logprobs,
            old_logprobs[inner, :length],
            advantages[inner, :length],
            part.policy_mask,
            clip_low=config.clip,
            clip_high=config.clip,
            turn_index=part.turn_index if config.ratio == "turn" else None,
            total=total,
        )
        bonus = losses.entropy(entropy, part.policy_mask, total=total)
        loss, numbers = policy.loss + config.entropy_bonus * bonus.loss, policy.metrics
        if reference is not None:
            near = losses.kl_penalty(
                logprobs,
                reference[inner, :length],
                part.policy_mask,
                kind="k2",
                total=total,
                old_logprobs=old_logprobs[inner, :length],
            )
            loss = loss + config.reference_kl * near.loss
            numbers = {**numbers, "reference_kl": near.metrics["kl"]}
        loss.backward()
        history.append({**numbers, **bonus.metrics})
        weights.append(part.policy_tokens)
    means = {
        name: float(np.average([row[name] for row in history], weights=weights))
        for name in history[0]
    }
    return {**means, "ratio_max": max(row["ratio_max"] for row in history)}


def fit_critic(
    learner: "Learner", mini: TokenBatch, targets: Tensor, total: float, config: "Config"
) -> dict[str, float]:
    """One critic step on a minibatch."""
    history: list[dict[str, float]] = []
    for inner in micro_batches(mini, config.micro_tokens):
        part = mini.rows(inner)
        hidden = learner.critic.encode(
            part.ids, part.lengths, checkpointing=config.gradient_checkpointing
        )
        values = learner.critic.values(hidden, part.before_turn)[..., 0]
        width = part.turn_mask.shape[1]
        value = losses.value_mse(values, targets[inner, :width], part.turn_mask, total=total)
        value.loss.backward()
        history.append(value.metrics)
    norm = support.optimizer_step(
        learner.critic_optimizer, learner.critic.parameters(), config.max_norm
    )
    error = float(np.mean([row["value_error"] for row in history]))
    return {"value_error": error, "critic_grad_norm": norm}
