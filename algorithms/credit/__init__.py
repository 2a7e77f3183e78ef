"""Credit assignment: which action earned how much. Pure functions on numpy arrays, no torch.

The time convention is in `returns`; group comparisons are in `groups`.
"""

from .groups import group_relative, leave_one_out
from .returns import discounted_returns, explained_variance, gae, lambda_targets

__all__ = [
    "discounted_returns",
    "explained_variance",
    "gae",
    "group_relative",
    "lambda_targets",
    "leave_one_out",
]
