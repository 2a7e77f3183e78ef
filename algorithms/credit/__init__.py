"""Credit assignment: which action earned how much. Pure functions on numpy arrays, no torch.

The time convention is in `returns`; group comparisons are in `groups`.
"""

from .anchors import group_in_group
from .beta import beta_decomposed, beta_normalised, beta_shape
from .groups import (
    equal_groups,
    greedy_baseline,
    group_relative,
    identical_credit,
    leave_one_out,
    spread,
)
from .penalties import penalised_rewards
from .returns import discounted_returns, explained_variance, gae, lambda_targets
from .turn_baselines import turn_index_normalised, turn_leave_one_out

__all__ = [
    "beta_decomposed",
    "beta_normalised",
    "beta_shape",
    "discounted_returns",
    "equal_groups",
    "explained_variance",
    "gae",
    "greedy_baseline",
    "group_in_group",
    "group_relative",
    "identical_credit",
    "lambda_targets",
    "leave_one_out",
    "penalised_rewards",
    "spread",
    "turn_index_normalised",
    "turn_leave_one_out",
]
