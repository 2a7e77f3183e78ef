"""Some epochs of policy steps, and steps of the critic beside them (torch).

The policy rests for the rest of an iteration once it moved by more than `target_kl`; where one step
already moves it so far, the next iterations take smaller ones (`Learner.keep_pace`).
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from .. import losses, support
from ..batch import TokenBatch
from ..forward import micro_batches, policy_logprobs, recompute
from ..metrics import update_metrics
from ..mismatch import mismatch
from .config import Config
from .experience import Experience
from .learner import Learner
from .objective import Objective, Part, clipped, count, weighted
from .values import ValueTargets, fit_critic

PolicyLoss = Callable[[Part, Objective], losses.LossOutput]
Adapt = Callable[[Part, Objective], tuple[Objective, dict[str, float]]]
CONTROL_RATE = 0.1  # how much an iteration that misses the target entropy moves the bonus
SMALLEST_BONUS, LARGEST_BONUS = 1e-4, 1.0  # where a bonus that has a target begins and ends


def update(
    learner: Learner,
    experience: Experience,
    advantages: Tensor,
    config: Config,
    generator: np.random.Generator,
    *,
    value_targets: ValueTargets | None = None,
    policy_loss: PolicyLoss = clipped,
    trains_entropy: bool = False,
    adapt: Adapt | None = None,
) -> dict[str, float]:
    """Train on one iteration's episodes; returns the numbers of `loss/` and `kl/`.

    Args:
        learner: Policy, critic and optimizers, which move.
        experience: The episodes, read before the first step.
        advantages: [B, L] of the policy tokens.
        config: How.
        generator: Deals the rows to minibatches.
        value_targets: What the critic is fitted to, if there is one.
        policy_loss: The loss of a part of a minibatch; the objective's other terms are added to it.
        trains_entropy: Whether `policy_loss` wants a gradient of the entropies.
        adapt: What the objective is for a minibatch, and numbers about that, from all of the
            minibatch as the policy sees it before the step; costs a pass without a gradient.
    """
    objective, tokens = config.objective, experience.tokens
    advantages, held = weighted(
        advantages,
        experience.mask,
        experience.old_logprobs,
        experience.entropies,
        experience.sampled,
        objective,
        generator,
    )
    steps = min(config.minibatches, len(tokens))
    # counts fixed for the iteration: dividing each step by its own tokens would be biased
    total = count(tokens, experience.mask, objective) / steps
    values_total = 1.0 if value_targets is None else float(value_targets.mask.sum()) / steps
    history: list[dict[str, float]] = []
    moving = True
    for _ in range(config.epochs):
        order = generator.permutation(len(tokens))
        for rows in np.array_split(order, steps):
            mini, numbers = tokens.rows(rows), {}
            if moving:
                known, now = _Rows(experience, advantages, held, rows), objective
                if adapt is not None:
                    now, numbers = adapt(_whole(learner, mini, known, total, config), objective)
                numbers |= _policy_gradient(
                    learner, mini, known, total, config, now, policy_loss, trains_entropy
                )
                moving = _policy_step(learner, numbers, config)
            if value_targets is not None:
                targets = ValueTargets(value_targets.grid[rows], value_targets.mask[rows])
                numbers |= fit_critic(learner, mini, targets, values_total, config)
            history.append({**numbers, "resting": float(not moving)})
    measured = {**update_metrics(history), "loss/pace": learner.pace, **experience.divergence}
    learner.keep_pace(measured["loss/resting"])
    _steer(learner, measured, objective)
    return {**measured, **mismatch(experience.sampled, experience.old_logprobs)}


def _policy_step(learner: Learner, numbers: dict[str, float], config: Config) -> bool:
    """Step along the gradient, unless the policy has moved too far: then drop it and say so.

    The clip stops a token's push, not the drift that other tokens' pushes give it.
    """
    # nan is not too far: the step that would destroy the model is left out and counted
    if config.target_kl is not None and numbers["approx_kl"] > config.target_kl:
        learner.optimizer.zero_grad(set_to_none=True)
        return False
    norm = support.optimizer_step(learner.optimizer, learner.trained, config.max_norm)
    numbers["grad_norm"] = norm
    return True


class _Rows:
    """A minibatch's rows of what is known of the whole batch."""

    def __init__(
        self, whole: Experience, advantages: Tensor, held: Tensor | None, rows: np.ndarray
    ):
        self.mask, self.old_logprobs = whole.mask[rows], whole.old_logprobs[rows]
        self.advantages = advantages[rows]
        self.reference = None if whole.reference is None else whole.reference[rows]
        self.held = None if held is None else held[rows]

    def part(
        self, tokens: TokenBatch, inner: Tensor, logprobs: Tensor, entropies: Tensor, total: float
    ) -> Part:
        """Some of these rows, with what the policy says of them now."""
        cut = inner, slice(tokens.ids.shape[1])
        return Part(
            tokens,
            self.mask[cut],
            logprobs,
            entropies,
            self.old_logprobs[cut],
            self.advantages[cut],
            None if self.reference is None else self.reference[cut],
            None if self.held is None else self.held[cut],
            total,
        )


def _whole(learner: Learner, mini: TokenBatch, rows: _Rows, total: float, config: Config) -> Part:
    """All of a minibatch, without a gradient."""
    logprobs, entropies = recompute(learner.model, mini, config.micro_tokens)
    return rows.part(mini, torch.arange(len(mini)), logprobs, entropies, total)


def _policy_gradient(
    learner: Learner,
    mini: TokenBatch,
    rows: _Rows,
    total: float,
    config: Config,
    objective: Objective,
    policy_loss: PolicyLoss,
    trains_entropy: bool,
) -> dict[str, float]:
    """Accumulate the gradient of the objective over a minibatch, in micro-batches."""
    history: list[dict[str, float]] = []
    weights: list[int] = []
    for inner in micro_batches(mini, config.micro_tokens):
        part = mini.rows(inner)
        logprobs, entropies = policy_logprobs(
            learner.model,
            part,
            entropy="trained" if learner.entropy_bonus or trains_entropy else "measured",
            checkpointing=config.gradient_checkpointing,
        )
        given = rows.part(part, inner, logprobs, entropies, total)
        loss, numbers = _loss(given, objective, learner.entropy_bonus, policy_loss)
        loss.backward()
        history.append(numbers)
        weights.append(int(given.mask.sum()))
    return _averaged(history, weights)


def _loss(
    part: Part, objective: Objective, entropy_bonus: float, policy_loss: PolicyLoss
) -> tuple[Tensor, dict[str, float]]:
    policy = policy_loss(part, objective)
    surprise = losses.entropy(
        part.entropies,
        part.mask,
        part.total,
        reduction=objective.reduction,
        turn_index=part.tokens.turn_index,
    )
    loss = policy.loss + entropy_bonus * surprise.loss
    numbers = {
        **policy.metrics,
        **surprise.metrics,
        f"policy_per_{objective.reduction}": float(policy.loss.detach()),
    }
    if part.reference is not None:
        near = _divergence(part, part.reference, part.old_logprobs, objective)
        loss = loss + objective.reference_kl * near.loss
        numbers["reference_kl"] = near.metrics["kl"]
    if part.held is not None:
        # where it is not held a token is compared with itself: the mean counts it, and no more
        held_to = torch.where(part.held, part.old_logprobs, part.logprobs.detach())
        loss = loss + _divergence(part, held_to, None, objective).loss
    return loss, numbers


def _divergence(
    part: Part, of: Tensor, old_logprobs: Tensor | None, objective: Objective
) -> losses.LossOutput:
    return losses.kl_penalty(
        part.logprobs,
        of,
        part.mask,
        kind="k2",
        total=part.total,
        old_logprobs=old_logprobs,
        reduction=objective.reduction,
        turn_index=part.tokens.turn_index,
    )


def _averaged(history: list[dict[str, float]], weights: list[int]) -> dict[str, float]:
    """Means weighted by trained tokens, but sums of losses and the largest of the largest."""
    if not any(weights):  # a minibatch of rows that are trained nowhere: all its means are 0
        weights = [1] * len(weights)

    def one(name: str, values: list[float]) -> float:
        if name.startswith("policy_per_"):
            return float(np.sum(values))
        return max(values) if name.endswith("_max") else float(np.average(values, weights=weights))

    return {name: one(name, [row[name] for row in history]) for name in history[0]}


def _steer(learner: Learner, measured: Mapping[str, float], objective: Objective) -> None:
    """Move the entropy bonus towards what keeps the entropy at its target."""
    if objective.target_entropy is None or not np.isfinite(measured["loss/entropy"]):
        return  # steps that are not finite are left out and counted; they say nothing here
    learner.entropy_bonus = losses.controlled_coefficient(
        max(learner.entropy_bonus, SMALLEST_BONUS),
        measured["loss/entropy"],
        objective.target_entropy,
        CONTROL_RATE,
        SMALLEST_BONUS,
        LARGEST_BONUS,
    )
