"""The losses, on torch: pure functions of tensors to a `LossOutput`, which never differentiate.

Every `.loss` is to be minimised, so losses add up: `policy.loss + 0.1 * penalty.loss + 0.01 *
bonus.loss`. All arithmetic is in float32, whatever the model runs in. A mask says which entries
count: 1 for what the policy said (or for a turn that exists), 0 for everything else, whose contents
(even inf and nan) reach neither the loss nor the gradient. What is not trained (old
log-probabilities, advantages, targets) arrives detached. For critics "row token" is row and turn.

A loss is a sum over the mask divided by a count. `total` replaces the count: give every micro-batch
the count of the whole batch, and the accumulated gradient is that of the whole batch at once. What
is counted (tokens, turns or rows) is the `reduction`: see `masked_mean`.
"""

from .advantage_weighted import Importance, a_lol, direct_advantage, success_cross_entropy
from .balance import balanced_clip
from .critics import archer_critic, expectile, value_mse
from .divergence import KLKind, kl_penalty
from .entropy import controlled_coefficient, entropy, entropy_smoothing
from .masked import LossOutput, Mask, Reduction, Turns, Values, masked_mean
from .off_policy import lowered_baseline, opmd
from .policy import negative_log_likelihood, policy_gradient, ppo_clip
from .preference import copg, cpl, dpo, ipo, kto, kto_reference_point, tdpo
from .ratio import LOG_RATIO_LIMIT, Ratio, Unit, importance_ratio
from .token_weights import (
    covariance,
    covariance_mask,
    covariance_top,
    high_entropy_mask,
    sign_weighted,
)

__all__ = [
    "LOG_RATIO_LIMIT",
    "Importance",
    "KLKind",
    "LossOutput",
    "Mask",
    "Ratio",
    "Reduction",
    "Turns",
    "Unit",
    "Values",
    "a_lol",
    "archer_critic",
    "balanced_clip",
    "controlled_coefficient",
    "copg",
    "covariance",
    "covariance_mask",
    "covariance_top",
    "cpl",
    "direct_advantage",
    "dpo",
    "entropy",
    "entropy_smoothing",
    "expectile",
    "high_entropy_mask",
    "importance_ratio",
    "ipo",
    "kl_penalty",
    "kto",
    "kto_reference_point",
    "lowered_baseline",
    "masked_mean",
    "negative_log_likelihood",
    "opmd",
    "policy_gradient",
    "ppo_clip",
    "sign_weighted",
    "success_cross_entropy",
    "tdpo",
    "value_mse",
]
