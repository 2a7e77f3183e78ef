"""REINFORCE for data that an older policy sampled, without importance ratios (torch).

Yao et al., Group-Relative REINFORCE Is Secretly an Off-Policy Algorithm (2025), read both as the
group-relative policy gradient with a regulariser that keeps the policy near the one that sampled.
"""

import torch

from .masked import (
    LossOutput,
    Mask,
    Reduction,
    Turns,
    Values,
    detached,
    masked_mean,
    only_kept,
)
from .ratio import unit_sum


def opmd(
    logprobs: Values,
    old_logprobs: Values,
    advantages: Values,
    mask: Mask,
    *,
    tau: float,
    total: float | int | None = None,
    reduction: Reduction = "token",
    turn_index: Turns | None = None,
) -> LossOutput:
    """Online policy mirror descent: L = mean(-A log pi + tau / 2 (log pi - log pi_old)^2).

    With advantages A = r - group mean it is, up to a constant, (r - mean - tau x)^2 / (2 tau): how
    far pi is from the policy that tau-regularised improvement of pi_old asks for, with the group's
    mean reward for the log-partition. Where pi = pi_old the gradient is that of `policy_gradient`,
    whatever sampled.

    x is the sum of log pi - log pi_old over the row's kept tokens, as the paper's probability is
    that of the whole response. The square is shared among its tokens so that its gradient is exact
    for a sum over tokens, which `reduction` "token" takes. Sources: Kimi Team, Kimi k1.5 (2025),
    section 2.3.2; Yao et al. (2025). A deviation: divided by tokens or what `total` says rather
    than by responses. Metric: log_ratio_square, the mean of x^2 over tokens.
    """
    if not tau >= 0.0:
        raise ValueError(f"tau is {tau}; expected 0 or more, larger for smaller steps")
    advantage = detached("advantages", advantages, mask)
    kept = only_kept(logprobs, mask)
    own = kept - detached("old_logprobs", old_logprobs, mask)
    x = unit_sum(own.detach(), mask, "sequence")
    # sums over the row to x^2 / 2, with the gradient x grad log pi at each token
    square = 0.5 * x * own.detach() + x * (own - own.detach())
    loss = masked_mean(-advantage * kept + tau * square, mask, reduction, total, turn_index)
    return LossOutput(loss, {"log_ratio_square": float(masked_mean(x**2, mask))})


def lowered_baseline(advantages: Values, mask: Mask, delta: float = -0.1) -> Values:
    """AsymRE: R - V - delta per kept token, a baseline that is lowered by delta <= 0; 0 elsewhere.

    In `policy_gradient` it is REINFORCE with R - V plus -delta times the negative log-likelihood of
    what was sampled: successes weigh more than failures, which off policy no longer tell where to
    go. V is the group mean of the sampler. Sources: Arnal et al., Asymmetric REINFORCE for
    off-Policy Reinforcement Learning (2025); Yao et al. (2025).

    >>> one, mask = torch.tensor([[0.5, -0.5, 3.0]]), torch.tensor([[True, True, False]])
    >>> lowered_baseline(one, mask, delta=-0.25).tolist()
    [[0.75, -0.25, 0.0]]
    """
    if not delta <= 0.0:
        raise ValueError(f"delta is {delta}; expected 0 or less: above the mean training collapses")
    return torch.where(mask != 0, detached("advantages", advantages, mask) - delta, 0.0)
