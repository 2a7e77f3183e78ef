"""BAPO's adaptive clip: bounds that let enough of what worked through (torch, no gradient).

Source: Xi et al., BAPO: Stabilizing Off-Policy Reinforcement Learning for LLMs via Balanced Policy
Optimization with Adaptive Clipping (2025), Algorithm 1. A deviation: the paper's inequality counts
each token by the size of its clipped loss, a held one at its bound. A held negative token then
counts more as the lower bound rises, although it has no gradient any more, so that raising the
bound only moves the share away from its target. Here a token counts by the gradient that the clip
leaves it, |A| rho, and a held one not at all. The published code raises the lower bound first; this
is the paper's order.
"""

from .masked import Mask, Values, detached
from .ratio import LOG_RATIO_LIMIT


def balanced_clip(
    log_ratios: Values,
    advantages: Values,
    mask: Mask,
    *,
    low: tuple[float, float] = (0.6, 0.9),
    high: tuple[float, float] = (1.2, 3.0),
    steps: tuple[float, float] = (0.02, 0.05),
    positive_share: float = 0.5,
) -> tuple[float, float, float]:
    """Widen upwards, then tighten below, until sum_{A>0} |A| rho >= positive_share sum |A| rho.

    The sums are over kept tokens whose gradient lives: rho <= c_high where A > 0, rho >= c_low
    where A < 0. From (low[0], high[0]) c_high rises by steps[1] up to high[1], then c_low by
    steps[0] up to low[1]; the first bounds that reach the share are it, else the last ones.

    Args:
        log_ratios: log pi - log pi_old per token, detached.
        advantages: Per token.
        mask: The tokens that count; all of the batch that the bounds are for.
        low: Where c_low, the smallest ratio, starts and how far it may rise; at most 1.
        high: Where c_high, the largest ratio, starts and how far it may rise; at least 1.
        steps: How much c_low and c_high rise at a time.
        positive_share: The share of positive tokens to reach: rho_0 of the paper.

    Returns:
        clip_low = 1 - c_low and clip_high = c_high - 1, as `ppo_clip` takes them, and the share of
        positive tokens under them; 1 where nothing has a gradient, as nothing is out of balance.
    """
    if not (0 <= low[0] <= low[1] <= 1 <= high[0] <= high[1] and min(steps) > 0):
        raise ValueError(
            f"low {low}, high {high}, steps {steps}; expected 0 <= low <= 1 <= high, each from "
            "where it starts to where it ends, and steps above 0"
        )
    if not 0.0 <= positive_share <= 1.0:
        raise ValueError(f"positive_share is {positive_share}; expected a number from 0 to 1")
    advantage = detached("advantages", advantages, mask)
    moved = detached("log_ratios", log_ratios, mask).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    ratio = moved.exp()
    pull = advantage.abs() * ratio
    better, worse = advantage > 0, advantage < 0
    raised, lowered = _ladder(*high, steps[1]), _ladder(*low, steps[0])
    bottom, top, share = low[0], high[0], 0.0
    bounds = [(lowered[0], top) for top in raised] + [(b, raised[-1]) for b in lowered[1:]]
    for bottom, top in bounds:
        positive = float(pull[better & (ratio <= top)].sum())
        negative = float(pull[worse & (ratio >= bottom)].sum())
        share = positive / (positive + negative) if positive + negative > 0 else 1.0
        if share >= positive_share:
            break
    return 1.0 - bottom, top - 1.0, share


def _ladder(start: float, end: float, step: float) -> list[float]:
    """From start to end in steps, the last one cut short."""
    rungs = int((end - start) / step + 1e-9) + 1
    climbed = [start + step * rung for rung in range(rungs)]
    return climbed if end - climbed[-1] < 1e-9 else [*climbed, end]
