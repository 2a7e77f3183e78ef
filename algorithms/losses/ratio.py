"""How far the policy has moved from the one that sampled, by token or larger unit (torch).

The unit decides what a clip holds together. Kept apart from the losses, because the correction of
algorithms/mismatch.py measures the gap between sampler and learner by the same ratio.
"""

from typing import Literal

from torch import Tensor

from .masked import per_turn, turns_of

Unit = Literal["token", "turn", "sequence"]
Ratio = Literal["token", "turn", "sequence", "hybrid"]
LOG_RATIO_LIMIT = 20.0  # exp beyond it overflows into nan gradients; no sane update gets near it


def importance_ratio(
    log_ratio: Tensor, mask: Tensor, unit: Unit, turn_index: Tensor | None = None
) -> Tensor:
    """Compare two policies, rho = pi / pi_old of the unit that each token belongs to: [row, token].

    | unit | its value at a token | source |
    |---|---|---|
    | token | exp(x) | Schulman et al. (2017) |
    | turn | exp(sum of x over the turn) | the turn as one action |
    | sequence | exp(mean of x over the row's kept tokens) | Zheng et al., GSPO (2025) |

    x is `log_ratio`, the token's log pi - log pi_old, 0 where masked. The gradient at a token is
    the unit's ratio times the token's own grad log pi (GSPO-token): over a turn they add up to the
    gradient of the turn's ratio, over a row to that of the row's ratio times its length, and tokens
    of one unit may differ in advantage.
    """
    value = unit_sum(log_ratio.detach(), mask, unit, turn_index)
    if unit == "sequence":
        value = value / (mask != 0).sum(dim=1, keepdim=True).clamp(min=1)
    moved = log_ratio if unit == "token" else value + (log_ratio - log_ratio.detach())
    return moved.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def unit_sum(values: Tensor, mask: Tensor, unit: Unit, turn_index: Tensor | None = None) -> Tensor:
    """The sum of the values, 0 where masked, over the unit that each token belongs to."""
    if unit == "token":
        return values
    if unit == "sequence":
        return values.sum(dim=1, keepdim=True).expand_as(values)
    if unit == "turn":
        turns = turns_of(turn_index, mask, 'the unit "turn"')
        return per_turn(values, turns).gather(1, turns)
    raise ValueError(f"unit is {unit!r}; expected 'token', 'turn' or 'sequence'")
