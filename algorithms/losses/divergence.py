"""How far the policy is from a reference, per token, as a loss (torch)."""

from typing import Literal

from .masked import LossOutput, Mask, Reduction, Turns, Values, detached, masked_mean, only_kept
from .ratio import LOG_RATIO_LIMIT, importance_ratio

KLKind = Literal["k1", "k2", "k3"]


def kl_penalty(
    logprobs: Values,
    reference_logprobs: Values,
    mask: Mask,
    kind: KLKind = "k2",
    total: float | int | None = None,
    old_logprobs: Values | None = None,
    *,
    reduction: Reduction = "token",
    turn_index: Turns | None = None,
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
    log_ratio = only_kept(logprobs, mask) - detached("reference_logprobs", reference_logprobs, mask)
    k3 = (-log_ratio).clamp(max=LOG_RATIO_LIMIT).exp() - 1.0 + log_ratio
    estimates = {"k1": log_ratio, "k2": 0.5 * log_ratio**2, "k3": k3}[kind]
    if old_logprobs is not None:
        moved = only_kept(logprobs.detach(), mask) - detached("old_logprobs", old_logprobs, mask)
        estimates, k3 = (each * importance_ratio(moved, mask, "token") for each in (estimates, k3))
    loss = masked_mean(estimates, mask, reduction, total, turn_index)
    return LossOutput(loss, {"kl": float(masked_mean(k3.detach(), mask))})
