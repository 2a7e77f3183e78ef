"""Beta-normalised advantages (BNPO): a group's success rate decides how much its returns count.

Xiao et al., BNPO: Beta Normalization Policy Optimization (2025). The success rates of the batch's
groups are described by a Beta distribution; the normaliser is the density of another one, made from
it, at the group's own rate.

Where this differs from the published code: a group of one gives 0 and is left out of the fit (there
its rate is taken to be 0). The paper does not say what to do where the fit fails; what happens here
is written in `beta_shape`. The bound on 1 / f is the code's and not the paper's. Left out: rewards
of several parts, each of which the paper normalises on its own before they are averaged.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np

from .groups import group_codes, varied
from .ragged import Floats, Indices
from .returns import Numbers, numbers

SMALLEST_VARIANCE = 1e-12  # rates that differ by less are taken to be equal


def beta_normalised(
    returns_E: Numbers,
    groups_E: Sequence[Hashable],
    shape: tuple[float, float] | None = None,
    largest_weight: float = 1e6,
) -> Floats:
    """Each return against its group, weighted by its rate: A_i = (R_i - p) / f(p; alpha, beta).

    p is the mean return of the group and f the density of the Beta distribution of shape (alpha,
    beta), from `beta_shape` if it is not given. Shape (1, 1) is REINFORCE with a baseline,
    `group_relative` with scale "none"; shape (3/2, 3/2) divides by 8 / pi * sqrt(p * (1 - p)),
    which is GRPO up to that constant. Equal returns and a group of one give 0.

    Class: biased. The weight 1 / f(p) has seen the action, and even with the true p it counts some
    tasks for more than others. Source: Xiao et al. (2025).

    Measured bias with shape (3/2, 3/2), in groups of 3, as (cosine to the true gradient,
    relative error): Microwave (1.0000, 0.722), StopOrContinue (0.9951, 0.397), DelayedKey
    (1.0000, 0.445), a chain of words (0.9999, 0.727).

    Args:
        returns_E: successes, 0 or 1, or anything between.
        groups_E: the task of each episode.
        shape: (alpha, beta) instead of the fitted one.
        largest_weight: 1 / f is held to this; a group whose rate the fit thinks impossible would
            outweigh all others. The published code has 1e6; steadier is 10.

    >>> beta_normalised([1.0, 0.0, 0.0, 0.0], "aaaa", shape=(1.0, 1.0)).tolist()
    [0.75, -0.25, -0.25, -0.25]
    """
    if not all(0.0 < number < math.inf for number in shape or ()) or not largest_weight > 0.0:
        raise ValueError(
            f"shape is {shape}, largest_weight {largest_weight}; expected numbers above 0, and a "
            "finite shape"
        )
    returns, groups, rates_G = _rates(returns_E, groups_E)
    alpha, beta = beta_shape(returns_E, groups_E) if shape is None else shape
    # inside (0, 1) wherever returns differ; elsewhere the advantage is 0 and any rate will do
    differ_G = varied(returns, groups)
    safe_G = np.where(differ_G, rates_G, 0.5)
    log_density_G = (
        math.lgamma(alpha + beta)
        - math.lgamma(alpha)
        - math.lgamma(beta)
        + (alpha - 1) * np.log(safe_G)
        + (beta - 1) * np.log1p(-safe_G)
    )
    weights_G = np.exp(np.minimum(-log_density_G, math.log(largest_weight)))
    centred = np.where(differ_G[groups], returns - rates_G[groups], 0.0)
    return centred * weights_G[groups]


def beta_shape(returns_E: Numbers, groups_E: Sequence[Hashable]) -> tuple[float, float]:
    """The normaliser's shape: alpha = 1 + a / 3 and beta = 1 + b / 3.

    Beta(a, b) has the mean m and the sample variance v of the groups' rates (method of moments):
    a = m * (m * (1 - m) / v - 1), b = (1 - m) * (m * (1 - m) / v - 1). Rates spread wider than any
    Beta distribution allows give a = b = 0, its limit. Fewer than two groups with two episodes
    each, or equal rates, say nothing of the spread, and give the shape (1, 1): no normalising.
    Source: Xiao et al. (2025).

    >>> beta_shape([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0], "aaaabbbb")  # rates 1/4 and 3/4
    (1.1666666666666667, 1.1666666666666667)
    """
    _, groups, rates_G = _rates(returns_E, groups_E)
    rates = rates_G[np.bincount(groups) > 1]
    if len(rates) < 2 or rates.var(ddof=1) < SMALLEST_VARIANCE:
        return 1.0, 1.0
    mean = float(rates.mean())
    concentration = max(0.0, mean * (1 - mean) / float(rates.var(ddof=1)) - 1)
    return 1 + mean * concentration / 3, 1 + (1 - mean) * concentration / 3


def _rates(returns_E: Numbers, groups_E: Sequence[Hashable]) -> tuple[Floats, Indices, Floats]:
    returns = numbers("returns_E", returns_E)
    outside = np.flatnonzero((returns < 0.0) | (returns > 1.0))
    if len(outside):
        raise ValueError(
            f"returns_E[{outside[0]}] is {returns[outside[0]]}; a success rate needs returns from "
            "0 to 1, rescale them first"
        )
    groups = group_codes(groups_E, len(returns))
    return returns, groups, np.bincount(groups, returns) / np.bincount(groups)
