"""How much the policy hesitates, as a loss: kept up, or kept near what it was (torch)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .masked import (
    LossOutput,
    Mask,
    Reduction,
    Turns,
    Values,
    detached,
    masked_mean,
    only_kept,
    turns_of,
)
from .ratio import LOG_RATIO_LIMIT


def entropy(
    logits_or_entropies: Float[Tensor, "row token vocabulary"] | Values,
    mask: Mask,
    total: float | int | None = None,
    *,
    reduction: Reduction = "token",
    turn_index: Turns | None = None,
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
    loss = -masked_mean(entropies, mask, reduction, total, turn_index)
    return LossOutput(loss, {"entropy": float(masked_mean(entropies.detach(), mask))})


def entropy_smoothing(
    entropies: Values,
    mask: Mask,
    turn_index: Turns,
    history_T: Float[Tensor, " turn"],
    *,
    low: float = 0.8,
    high: float = 1.2,
    total: float | int | None = None,
    reduction: Reduction = "token",
) -> LossOutput:
    """Keep entropies near their history: L = mean(max(0, H - high h_k) + max(0, low h_k - H)).

    h_k is `history_T[k]`, the mean entropy per token that earlier iterations had at turn k; nan
    where nothing is known yet, which leaves turn k alone. A token within [low h_k, high h_k] has no
    loss and no gradient, one outside is pulled back at slope 1.

    Source: Xu et al., EPO: Entropy-regularized Policy Optimization (2025), the smoothing
    regulariser. A deviation: the published code charges a constant 0.1 outside the band, which has
    no gradient at all; this is the hinge around the same band. Metric: smoothed_fraction, the share
    of tokens outside.
    """
    if not 0.0 <= low <= 1.0 <= high:
        raise ValueError(f"low {low}, high {high}; expected a band around 1, such as 0.8 and 1.2")
    turns = turns_of(turn_index, mask, "entropy smoothing")
    if turns.numel() and int(turns.max()) >= len(history_T):
        raise ValueError(
            f"turn {int(turns.max())} has no history among {len(history_T)} turns; "
            "give one mean per turn, nan where nothing is known"
        )
    here = only_kept(entropies, mask)
    history = detached("history_T", history_T, torch.ones_like(history_T))
    usual = history[turns] if len(history) else torch.zeros_like(here)
    usual = torch.where(usual.isnan(), here.detach(), usual)
    outside = (here - high * usual).relu() + (low * usual - here).relu()
    loss = masked_mean(outside, mask, reduction, total, turn_index)
    return LossOutput(loss, {"smoothed_fraction": float(masked_mean((outside > 0).float(), mask))})


def controlled_coefficient(
    coefficient: float,
    entropy: float,
    target: float,
    rate: float,
    low: float = 0.0,
    high: float = 1.0,
) -> float:
    """The next coefficient of an entropy bonus: c' = clip(c exp(rate (target - H)), low, high).

    It grows while the entropy H is below its target and shrinks above it, by a factor, so that one
    rate fits coefficients of any size; a coefficient of 0 stays at `low`. Gradient ascent of log c
    on the multiplier of the constraint H >= target: Haarnoja et al., Soft Actor-Critic Algorithms
    and Applications (2018), section 5.

    >>> round(controlled_coefficient(0.01, entropy=0.5, target=1.5, rate=0.1), 4)
    0.0111
    >>> controlled_coefficient(0.01, entropy=1.5, target=1.5, rate=0.1)
    0.01
    """
    if not (0.0 <= low <= high and rate >= 0.0):
        raise ValueError(
            f"low {low}, high {high}, rate {rate}; expected 0 <= low <= high, rate >= 0"
        )
    if not math.isfinite(entropy):
        raise ValueError(f"entropy is {entropy}; expected the mean of a batch with policy tokens")
    # no sane step is larger, and exp must not overflow
    step = min(max(rate * (target - entropy), -LOG_RATIO_LIMIT), LOG_RATIO_LIMIT)
    return min(max(coefficient * math.exp(step), low), high)
