"""The foil of `tokens`: a whole conversation taken for one answer, observations included."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .returns import Numbers, check_rate
from .tokens import Floats, flat_episode, per_turn, token_recursion, turn_ends


def flattened_gae(
    rewards_T: Numbers,
    values_TL: Sequence[Numbers],
    environment_tokens_T: Sequence[int] | NDArray[np.integer],
    discount: float,
    lam: float,
    bootstrap: float = 0.0,
) -> list[Floats]:
    """A foil: GAE over all tokens of the conversation, the environment's too.

    environment_tokens_T[k] tokens stand before turn k. They take part in the recursion of
    `token_gae` as if the policy had written them, each with the value of the next policy token, and
    their own advantages are thrown away. This is what becomes of a GAE for single answers when a
    whole conversation is laid out as one answer and only the loss is masked.

    Do not train with it; it is here to be measured against. A reward behind an observation of n
    tokens arrives weighted by (discount * lam)^(n + 1): a talkative environment hides its rewards,
    and an action is blamed for the length of the reply to it. Biased, but for discount = 1 with
    either lam = 1 or exact values.

    Measured bias on a chain of words, behind 7, 2 and 5 observed ones, as (cosine to the true
    gradient, relative error): discount 0.9 (0.9526, 0.305); lambda 0.95 with values of 0 (0.9845,
    0.177).

    >>> [a.tolist() for a in flattened_gae([0.0, 1.0], [[0.0], [0.0]], [9, 2], 0.5, 1.0)]
    [[0.125], [1.0]]
    """
    check_rate("discount", discount)
    check_rate("lam", lam)
    rewards, values, lengths = flat_episode(rewards_T, values_TL)
    between_K = _environment_tokens_after(environment_tokens_T, lengths)
    ends, rewards_K, discounts_K = turn_ends(rewards, lengths, discount)
    decay = discount * lam
    decays_K = lam * discounts_K * decay**between_K
    # n tokens with the same value V add (discount - 1) * V * (1 + c + ... + c^(n-1)), c = decay
    repeats_K = between_K if decay == 1.0 else (1.0 - decay**between_K) / (1.0 - decay)
    discounts_K = discounts_K * (1.0 + lam * (discount - 1.0) * repeats_K)
    flat = token_recursion(
        values, (discount, lam), ends, (rewards_K, discounts_K, decays_K), bootstrap
    )
    return per_turn(flat, lengths)


def _environment_tokens_after(
    environment_tokens_T: Sequence[int] | NDArray[np.integer], lengths: list[int]
) -> NDArray[np.int64]:
    counts = np.asarray(environment_tokens_T, dtype=np.int64)
    if counts.shape != (len(lengths),):
        raise ValueError(
            f"environment_tokens_T has shape {counts.shape} for {len(lengths)} turns; give the "
            "number of environment tokens that stand before each turn"
        )
    if counts.min(initial=0) < 0:
        turn = int(np.argmin(counts))
        raise ValueError(f"environment_tokens_T[{turn}] is {counts[turn]}; expected 0 or more")
    behind, between = 0, list[int]()
    for count, length in zip(reversed(counts.tolist()), reversed(lengths), strict=True):
        if length:
            between.append(behind)
            behind = 0
        behind += count
    return np.array(between[::-1], dtype=np.int64)
