"""The losses, on torch: pure functions of tensors to a `LossOutput`, which never differentiate.

Every `.loss` is to be minimised, so losses add up: `policy.loss + 0.1 * penalty.loss + 0.01 *
bonus.loss`. All arithmetic is in float32, whatever the model runs in. A mask says which entries
count: 1 for what the policy said (or for a turn that exists), 0 for everything else, whose contents
(even inf and nan) reach neither the loss nor the gradient. What is not trained (old
log-probabilities, advantages, targets) arrives detached. For critics "row token" is row and turn.

A loss is a sum over the mask divided by a count. `total` replaces the count: give every micro-batch
the count of the whole batch, and the accumulated gradient is that of the whole batch at once.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Mask = Bool[Tensor, "row token"] | Float[Tensor, "row token"]
Values = Float[Tensor, "row token"]
Reduction = Literal["token", "sequence"]
KLKind = Literal["k1", "k2", "k3"]
LOG_RATIO_LIMIT = 20.0  # exp beyond it overflows into nan gradients; no sane update gets near it


@dataclass(frozen=True, slots=True)
class LossOutput:
    """A loss to minimise, with its graph, and plain numbers about it."""

    loss: Tensor
    metrics: dict[str, float]


def masked_mean(
    values: Values, mask: Mask, reduction: Reduction = "token", total: float | int | None = None
) -> Float[Tensor, ""]:
    """The mean of the values that the mask keeps; 0 where it keeps none.

    "token": sum / number of kept entries, so that every token counts alike. "sequence": the mean
    over rows of each row's own mean, so that every row with a kept entry counts alike.
    `total` replaces the count: of kept entries for "token", of rows with any for "sequence".
    """
    if total is not None and not total > 0:
        raise ValueError(f"total is {total}; expected the positive count of the whole batch")
    kept = _kept(values, mask)
    counts = (mask != 0).sum(dim=1).float()
    if reduction == "token":
        return kept.sum() / (counts.sum().clamp(min=1.0) if total is None else total)
    if reduction == "sequence":
        row_means = kept.sum(dim=1) / counts.clamp(min=1.0)
        rows = (counts > 0).sum().clamp(min=1).float() if total is None else total
        return row_means.sum() / rows
    raise ValueError(f"reduction is {reduction!r}; expected 'token' or 'sequence'")


def negative_log_likelihood(
    logprobs: Values,
    mask: Mask,
    weights: Values | Float[Tensor, " row"] | None = None,
    total: float | int | None = None,
    *,
    reduction: Reduction = "token",
) -> LossOutput:
    """Imitate: L = -mean(w * log pi); behaviour cloning, and with weights its filtered forms.

    The weights, per token or per row, do not change the count that is divided by.
    """
    losses = -_kept(logprobs, mask)
    if weights is not None:
        per_token = weights if weights.dim() == 2 else weights[:, None].expand_as(losses)
        losses = losses * _target("weights", per_token, mask)
    loss = masked_mean(losses, mask, reduction, total)
    likelihood = masked_mean(logprobs.detach(), mask)
    return LossOutput(loss, {"negative_log_likelihood": -float(likelihood)})


def policy_gradient(
    logprobs: Values,
    advantages: Values,
    mask: Mask,
    total: float | int | None = None,
    *,
    reduction: Reduction = "token",
) -> LossOutput:
    """REINFORCE: L = -mean(A * log pi), whose gradient is -mean(A * grad log pi).

    Source: Williams, Simple Statistical Gradient-Following Algorithms (1992).
    """
    losses = -_kept(logprobs, mask) * _target("advantages", advantages, mask)
    loss = masked_mean(losses, mask, reduction, total)
    return LossOutput(loss, {"logprob": float(masked_mean(logprobs.detach(), mask))})


def ppo_clip(
    logprobs: Values,
    old_logprobs: Values,
    advantages: Values,
    mask: Mask,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    turn_index: Int[Tensor, "row token"] | None = None,
    total: float | int | None = None,
    reduction: Reduction = "token",
) -> LossOutput:
    """Clipped policy gradient: L = mean(max(-A rho, -A clip(rho, 1 - clip_low, 1 + clip_high))).

    rho = pi / pi_old. At rho = 1 the gradient is that of `policy_gradient` with the same total.
    Sources: Schulman et al., Proximal Policy Optimization Algorithms (2017), equation 7; dual clip:
    Ye et al., Mastering Complex Control in MOBA Games (2020), equation 5.

    `old_logprobs` are the learner's own, recomputed before its first step. `dual_clip` (> 1) bounds
    the ratio where the advantage is negative. With `turn_index` (any number where masked) the ratio
    is the whole turn's, exp of its summed log-ratios, and clips for all its tokens together;
    `total` counts tokens all the same. Metrics: ratio_max; clip_fraction, the share of tokens whose
    gradient a clip takes away; approx_kl, the mean k3 estimate of KL(old || new) per token.
    """
    _check_clips(clip_low, clip_high, dual_clip)
    advantage = _target("advantages", advantages, mask)
    log_ratio = _kept(logprobs, mask) - _target("old_logprobs", old_logprobs, mask)
    ratio = _ratio(log_ratio, turn_index, mask)
    free = -advantage * ratio
    losses = torch.maximum(free, -advantage * ratio.clamp(1.0 - clip_low, 1.0 + clip_high))
    if dual_clip is not None:
        losses = torch.where(advantage < 0, losses.clamp(max=-dual_clip * advantage), losses)
    loss = masked_mean(losses, mask, reduction, total)
    small = log_ratio.detach().clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    metrics = {
        "ratio_max": float((ratio.detach() * (mask != 0)).max()) if ratio.numel() else 0.0,
        "clip_fraction": float(masked_mean((losses != free).float(), mask)),
        "approx_kl": float(masked_mean(small.exp() - 1.0 - small, mask)),
    }
    return LossOutput(loss, metrics)


def _check_clips(clip_low: float, clip_high: float, dual_clip: float | None) -> None:
    if not (0.0 <= clip_low <= 1.0 and clip_high >= 0.0):
        raise ValueError(f"clip_low {clip_low}, clip_high {clip_high}; expected 0 to 1, >= 0")
    if dual_clip is not None and dual_clip <= 1.0:
        raise ValueError(f"dual_clip is {dual_clip}; expected a ratio above 1, such as 3, or None")


def _ratio(log_ratio: Tensor, turn_index: Tensor | None, mask: Tensor) -> Tensor:
    """Exp of each token's log-ratio; with turns, of the sum over its turn."""
    if turn_index is not None and turn_index.numel():
        index = torch.where(mask != 0, turn_index, 0).long()
        if int(index.min()) < 0:
            raise ValueError("turn_index is negative on a kept token; expected 0, 1, 2, ...")
        turns = log_ratio.new_zeros(log_ratio.shape[0], int(index.max()) + 1)
        turns = turns.scatter_add(1, index, log_ratio.detach())
        # The value is the turn's ratio and the gradient rho_turn * grad log pi(token): over a turn
        # they add up to the gradient of the turn's ratio, and tokens may differ in advantage.
        log_ratio = turns.gather(1, index) + (log_ratio - log_ratio.detach())
    return log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def value_mse(
    values: Values,
    targets: Values,
    mask: Mask,
    *,
    old_values: Values | None = None,
    clip: float | None = None,
    total: float | int | None = None,
) -> LossOutput:
    """Fit a critic: L = mean((V - y)^2) / 2; with `clip`, mean(max((V - y)^2, (V' - y)^2)) / 2.

    V' = V_old + clip(V - V_old, -clip, clip): the critic gains nothing by moving further than
    `clip` from what it said when the data was sampled. The clipped form is OpenAI baselines' PPO.
    """
    if (clip is None) != (old_values is None):
        raise ValueError("value_mse clips around old_values; give both clip and old_values or none")
    target = _target("targets", targets, mask)
    errors = (_kept(values, mask) - target) ** 2
    metrics = {"value_error": float(masked_mean(errors.detach(), mask))}
    if clip is not None and old_values is not None:
        old = _target("old_values", old_values, mask)
        near = old + (_kept(values, mask) - old).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - target) ** 2)
    return LossOutput(0.5 * masked_mean(errors, mask, total=total), metrics)


def expectile(
    predictions: Values,
    targets: Values,
    mask: Mask,
    tau: float,
    total: float | int | None = None,
) -> LossOutput:
    """Fit an expectile: L = mean(|tau - 1(u < 0)| u^2) with u = y - prediction.

    tau = 0.5 is half the squared error (the mean); tau near 1 approaches the largest target seen.
    Source: Kostrikov et al., Offline Reinforcement Learning with Implicit Q-Learning (2022),
    equation 4.
    """
    if not 0.0 < tau < 1.0:
        raise ValueError(f"tau is {tau}; expected a number between 0 and 1, 0.5 for the mean")
    excess = _target("targets", targets, mask) - _kept(predictions, mask)
    loss = masked_mean(torch.where(excess < 0, 1.0 - tau, tau) * excess**2, mask, total=total)
    return LossOutput(loss, {"value_error": float(masked_mean(excess.detach() ** 2, mask))})


def kl_penalty(
    logprobs: Values,
    reference_logprobs: Values,
    mask: Mask,
    kind: KLKind = "k2",
    total: float | int | None = None,
    old_logprobs: Values | None = None,
) -> LossOutput:
    """Estimate KL(pi || reference) per token, with x = log pi - log reference.

    | kind | estimate | its value | its gradient as a loss, in expectation |
    |---|---|---|---|
    | k1 | x | unbiased | zero: use it as a part of the reward, where it is unbiased |
    | k2 | x^2 / 2 | biased | exactly that of KL(pi, reference): the one for a loss |
    | k3 | exp(-x) - 1 + x | unbiased, low variance | that of KL(reference, pi): for reading only |

    Per token that pi sampled; if an older pi did, `old_logprobs` are its: pi / pi_old weighs them.
    The metric `kl` is k3 whatever the kind. Source: Schulman, Approximating KL Divergence (2020).
    """
    if kind not in ("k1", "k2", "k3"):
        raise ValueError(f"kind is {kind!r}; expected 'k1', 'k2' or 'k3'")
    log_ratio = _kept(logprobs, mask) - _target("reference_logprobs", reference_logprobs, mask)
    k3 = (-log_ratio).clamp(max=LOG_RATIO_LIMIT).exp() - 1.0 + log_ratio
    estimates = {"k1": log_ratio, "k2": 0.5 * log_ratio**2, "k3": k3}[kind]
    if old_logprobs is not None:
        moved = _kept(logprobs.detach(), mask) - _target("old_logprobs", old_logprobs, mask)
        estimates, k3 = (each * _ratio(moved, None, mask) for each in (estimates, k3))
    loss = masked_mean(estimates, mask, total=total)
    return LossOutput(loss, {"kl": float(masked_mean(k3.detach(), mask))})


def entropy(
    logits_or_entropies: Float[Tensor, "row token vocabulary"] | Values,
    mask: Mask,
    total: float | int | None = None,
) -> LossOutput:
    """Reward surprise: L = -mean(H), H = -sum_a pi(a) log pi(a) at each kept token.

    Minimising it raises the entropy. Takes logits, or entropies already computed per token.
    """
    entropies = logits_or_entropies
    if entropies.dim() == 3:
        # masked positions may hold anything, and an impossible token's 0 * log 0 is 0
        clean = torch.where((mask != 0)[..., None], entropies.float(), 0.0)
        log_probabilities = clean.log_softmax(dim=-1)
        finite = log_probabilities.clamp(min=torch.finfo(torch.float32).min)
        entropies = -(log_probabilities.exp() * finite).sum(dim=-1)
    loss = -masked_mean(entropies, mask, total=total)
    return LossOutput(loss, {"entropy": float(masked_mean(entropies.detach(), mask))})


def archer_critic(
    q1: Values,
    q2: Values,
    v1: Values,
    v2: Values,
    *,
    targets_for_q1: Values,
    targets_for_q2: Values,
    targets_for_v1: Values,
    targets_for_v2: Values,
    mask: Mask,
    total: float | int | None = None,
) -> LossOutput:
    """Fit ArCHer's double critic: L = sum_k mean((Q_k - y_Qk)^2) + sum_k mean((V_k - y_Vk)^2).

    Per turn, with observation o, utterance a, the next observation o' and barred target networks:
    targets_for_qk = r + discount * (1 - terminated) * Vbar_k(o'), and targets_for_vk =
    Qbar_k(o, a~) with a~ newly sampled from the policy. A truncated turn is not terminated. No
    minimum over the heads here: it belongs to the advantage. Source: Zhou et al., ArCHer: Training
    Language Model Agents via Hierarchical Multi-Turn RL (2024), section 3.
    """
    heads = {
        "q1": (q1, targets_for_q1),
        "q2": (q2, targets_for_q2),
        "v1": (v1, targets_for_v1),
        "v2": (v2, targets_for_v2),
    }
    parts: list[Tensor] = []
    metrics: dict[str, float] = {}
    for name, (values, targets) in heads.items():
        errors = _kept(values, mask) - _target(f"targets_for_{name}", targets, mask)
        parts.append(masked_mean(errors**2, mask, total=total))
        metrics[f"{name}_error"] = float(masked_mean(errors.detach() ** 2, mask))
    return LossOutput(torch.stack(parts).sum(), metrics)


def _kept(values: Tensor, mask: Tensor) -> Tensor:
    # where, not a product: 0 * inf would be nan, and so would its gradient
    return torch.where(mask != 0, values.float(), 0.0)


def _target(name: str, values: Tensor, mask: Tensor) -> Tensor:
    if values.requires_grad:
        raise ValueError(f"{name} carries a gradient; detach it where it is made")
    return _kept(values, mask)
