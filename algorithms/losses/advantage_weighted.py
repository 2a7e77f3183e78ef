"""Policy losses for turns that somebody else played, weighed by how well they went (torch).

A turn is one action: its probability is the product of its tokens'. Of reward-weighted imitation
only what its papers add stands here; the plain weighted form is `policy.negative_log_likelihood`.
"""

from typing import Literal

import torch
from torch import Tensor

from .masked import (
    LossOutput,
    Mask,
    Turns,
    Values,
    detached,
    masked_mean,
    only_kept,
    per_turn,
    turns_of,
)
from .ratio import importance_ratio

Importance = Literal["turn", "token", "none"]


def a_lol(
    logprobs: Values,
    reference_logprobs: Values,
    advantages: Values,
    mask: Mask,
    turn_index: Turns,
    *,
    importance: Importance = "turn",
    clip: float = 0.9,
    kl: float = 0.0,
    total: float | int | None = None,
) -> LossOutput:
    """Imitate what beat the reference: L = -mean(A * clip(rho, 1 - clip, 1 + clip) * log pi).

    The mean is over the tokens whose advantage is above 0; the others are left out, as leftovers
    of what was logged. rho = pi / pi_ref is a weight without a gradient:

    | importance | rho at a token | the paper's name |
    |---|---|---|
    | turn | that of its turn as one action | A-LoL |
    | token | its own | A-LoL seq. |
    | none | 1 | A-LoL ref. free |

    `kl` > 0 adds kl * mean(log pi - log pi_ref) over the same tokens (A-LoL KL, with importance
    "none"). On logged actions its gradient is that of advantages lowered by `kl`: it holds back
    what is hardly better than the reference. With advantages of 1 and pi = pi_ref the gradient is
    that of behaviour cloning. Source: Baheti et al., Leftover Lunch: Advantage-based Offline
    Reinforcement Learning for Language Models (2024), section 3. Metrics: importance, the mean
    weight; kept, the share of the mask's tokens that is trained.

    >>> said = torch.log(torch.tensor([[0.5, 0.25]]))
    >>> turn, mask = torch.tensor([[0, 1]]), torch.tensor([[True, True]])
    >>> loss = a_lol(said, said, torch.tensor([[2.0, -1.0]]), mask, turn)
    >>> round(float(loss.loss), 4), round(loss.metrics["kept"], 1)  # 2 log 2 of the one kept
    (1.3863, 0.5)
    """
    if not clip >= 0.0 or kl < 0.0:
        raise ValueError(f"clip {clip}, kl {kl}; expected both to be at least 0")
    advantage = detached("advantages", advantages, mask)
    kept = (mask != 0) & (advantage > 0)
    log_ratio = only_kept(logprobs, mask) - detached("reference_logprobs", reference_logprobs, mask)
    weight = torch.ones_like(log_ratio)
    if importance != "none":
        weight = importance_ratio(log_ratio.detach(), mask, importance, turn_index)
    weight = weight.clamp(1.0 - clip, 1.0 + clip)
    values = kl * log_ratio - advantage * weight * only_kept(logprobs, mask)
    loss = masked_mean(values, kept, total=total)
    shares = masked_mean(weight, kept), masked_mean(kept.float(), mask)
    return LossOutput(loss, {"importance": float(shares[0]), "kept": float(shares[1])})


def direct_advantage(
    logprobs: Values,
    reference_logprobs: Values,
    advantages: Values,
    mask: Mask,
    turn_index: Turns,
    *,
    beta: float,
    total: float | int | None = None,
) -> LossOutput:
    """Move each turn as far as its advantage says: L = mean((log(pi / pi_ref) - A / beta)^2) / 2.

    The mean is over turns, or sums are divided by `total` turns. log(pi / pi_ref) is the sum over
    the turn's tokens, A that of its tokens' mean. Bad turns are pushed away no further than good
    ones are pulled: to -|A| / beta. Where pi = pi_ref the gradient is that of the policy gradient
    with A / beta. Source: Liu et al., Improving Multi-Step Reasoning Abilities of Large Language
    Models with Direct Advantage Policy Optimization (2024). Metrics: log_ratio, advantage: means
    over turns; distance, the root of the mean square that is left.

    >>> old, now = torch.tensor([[-1.0, -1.0]]), torch.tensor([[-0.5, -0.5]])
    >>> turn, mask = torch.tensor([[0, 0]]), torch.tensor([[True, True]])
    >>> loss = direct_advantage(now, old, torch.tensor([[1.0, 1.0]]), mask, turn, beta=0.25)
    >>> float(loss.loss)  # the turn moved by 1, and was to move by 4
    4.5
    """
    if not beta > 0.0:
        raise ValueError(f"beta is {beta}; expected a number above 0, larger for smaller steps")
    turns = turns_of(turn_index, mask, "direct_advantage")
    log_ratio = only_kept(logprobs, mask) - detached("reference_logprobs", reference_logprobs, mask)
    moved = per_turn(log_ratio, turns)
    sizes = per_turn((mask != 0).float(), turns)
    there = sizes > 0
    advantage = per_turn(detached("advantages", advantages, mask), turns) / sizes.clamp(min=1.0)
    errors = (moved - advantage / beta) ** 2
    metrics = {
        "log_ratio": float(masked_mean(moved.detach(), there)),
        "advantage": float(masked_mean(advantage, there)),
        "distance": float(masked_mean(errors.detach(), there)) ** 0.5,
    }
    return LossOutput(0.5 * masked_mean(errors, there, total=total), metrics)


def success_cross_entropy(
    logits: Values,
    succeeded: Values,
    mask: Mask,
    total: float | int | None = None,
) -> LossOutput:
    """Fit the chance of success: L = -mean(y log p + (1 - y) log(1 - p)), p = sigmoid(logit).

    Row and token are row and turn where turns are judged. Source: Farebrother et al., Stop
    Regressing (2024), and Bai et al., DigiRL (2024), who judge outcomes so. Metrics: value_error,
    the mean squared error of p; accuracy, the share on the right side of one half.

    >>> one = torch.ones(1, 1)
    >>> round(float(success_cross_entropy(torch.zeros(1, 1), one, one).loss), 4)  # log 2
    0.6931
    """
    target = detached("succeeded", succeeded, mask)
    kept = only_kept(logits, mask)
    errors = torch.nn.functional.binary_cross_entropy_with_logits(kept, target, reduction="none")
    chances = torch.sigmoid(kept.detach())
    right: Tensor = ((chances > 0.5) == (target > 0.5)).float()
    metrics = {
        "value_error": float(masked_mean((chances - target) ** 2, mask)),
        "accuracy": float(masked_mean(right, mask)),
    }
    return LossOutput(masked_mean(errors, mask, total=total), metrics)
