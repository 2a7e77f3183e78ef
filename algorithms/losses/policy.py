"""The losses that move a policy (torch): imitation, REINFORCE, and its clipped form."""

import torch
from jaxtyping import Float
from torch import Tensor

from .masked import LossOutput, Mask, Reduction, Turns, Values, detached, masked_mean, only_kept
from .ratio import LOG_RATIO_LIMIT, Ratio, Unit, importance_ratio


def negative_log_likelihood(
    logprobs: Values,
    mask: Mask,
    weights: Values | Float[Tensor, " row"] | None = None,
    total: float | int | None = None,
    *,
    reduction: Reduction = "token",
    turn_index: Turns | None = None,
) -> LossOutput:
    """Imitate: L = -mean(w * log pi); behaviour cloning, and with weights its filtered forms.

    The weights, per token or per row, do not change the count that is divided by.
    """
    losses = -only_kept(logprobs, mask)
    if weights is not None:
        per_token = weights if weights.dim() == 2 else weights[:, None].expand_as(losses)
        losses = losses * detached("weights", per_token, mask)
    loss = masked_mean(losses, mask, reduction, total, turn_index)
    likelihood = masked_mean(logprobs.detach(), mask)
    return LossOutput(loss, {"negative_log_likelihood": -float(likelihood)})


def policy_gradient(
    logprobs: Values,
    advantages: Values,
    mask: Mask,
    total: float | int | None = None,
    *,
    reduction: Reduction = "token",
    turn_index: Turns | None = None,
) -> LossOutput:
    """REINFORCE: L = -mean(A * log pi), whose gradient is -mean(A * grad log pi).

    Source: Williams, Simple Statistical Gradient-Following Algorithms (1992).
    """
    losses = -only_kept(logprobs, mask) * detached("advantages", advantages, mask)
    loss = masked_mean(losses, mask, reduction, total, turn_index)
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
    ratio: Ratio = "token",
    turn_index: Turns | None = None,
    total: float | int | None = None,
    reduction: Reduction = "token",
) -> LossOutput:
    """Clipped policy gradient: L = mean(max(-A rho, -A clip(rho, 1 - clip_low, 1 + clip_high))).

    rho = pi / pi_old. At rho = 1 the gradient is that of `policy_gradient` with the same total.
    Sources: Schulman et al., Proximal Policy Optimization Algorithms (2017), equation 7; dual clip:
    Ye et al., Mastering Complex Control in MOBA Games (2020), equation 5; clip_high > clip_low: Yu
    et al., DAPO (2025), section 3.1.

    `ratio` says whose rho it is: the token's, or that of its turn (needs `turn_index`, any number
    where masked) or row, which clips all its tokens together: see `importance_ratio`. A row's is
    a geometric mean and stays nearer to 1: GSPO clips at 3e-4 and 4e-4. "hybrid" is the mean of
    the token's and the row's loss, each with its own clip, so that a clip takes away its half of
    the gradient: the averaged mixing of Min et al., Orchestrating Tokens and Sequences (2026),
    here with the same bounds, and the max taken, in each branch.

    `old_logprobs` are the learner's own, recomputed before its first step. `dual_clip` (> 1) bounds
    the ratio where the advantage is negative. Metrics: ratio_max; clip_fraction, the share of
    tokens (of either branch) whose gradient a clip takes away; approx_kl, the mean k3 estimate of
    KL(old || new) per token. They weigh tokens alike.
    """
    _check_clips(clip_low, clip_high, dual_clip)
    advantage = detached("advantages", advantages, mask)
    log_ratio = only_kept(logprobs, mask) - detached("old_logprobs", old_logprobs, mask)
    units: tuple[Unit, ...] = ("token", "sequence") if ratio == "hybrid" else (ratio,)
    ratios = torch.stack([importance_ratio(log_ratio, mask, u, turn_index) for u in units])
    free = -advantage * ratios
    losses = torch.maximum(free, -advantage * ratios.clamp(1.0 - clip_low, 1.0 + clip_high))
    if dual_clip is not None:
        losses = torch.where(advantage < 0, losses.clamp(max=-dual_clip * advantage), losses)
    loss = masked_mean(losses.mean(dim=0), mask, reduction, total, turn_index)
    clipped = (losses != free).float().mean(dim=0)
    kept_ratios = (ratios * (mask != 0)).detach()
    small = log_ratio.detach().clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    metrics = {
        "ratio_max": float(kept_ratios.max()) if kept_ratios.numel() else 0.0,
        "clip_fraction": float(masked_mean(clipped, mask)),
        "approx_kl": float(masked_mean(small.exp() - 1.0 - small, mask)),
    }
    return LossOutput(loss, metrics)


def _check_clips(low: float, high: float, dual_clip: float | None) -> None:
    if not (0.0 <= low <= 1.0 and high >= 0.0):
        raise ValueError(f"clip_low {low}, clip_high {high}; expected 0 to 1, and at least 0")
    if dual_clip is not None and dual_clip <= 1.0:
        raise ValueError(f"dual_clip is {dual_clip}; expected a ratio above 1, such as 3, or None")
