"""Generalised advantages for every policy token of one episode: where discount and lambda apply.

values_TL[k][j] is the value read before token j of turn k, having seen neither it nor what follows;
rewards_T[k] follows the last token of turn k; `bootstrap` follows the last turn. Only tokens the
policy sampled are passed. Observation tokens are nobody's choice and carry nothing, so their number
changes nothing; the foil in `flattened` is the one that counts them.

A turn without policy tokens (an empty array) is still a turn. Its reward joins the token before it,
discounted once by the discount between turns; what follows is discounted once more, too. Lambda
counts tokens and passes once. At the start of an episode there is no token for it to judge.

The functions differ in the two rates only, and in where the turn's advantage is read:

    function                   inside a turn                   from turn to turn
    token_gae                  discount, lam                   discount, lam
    action_decomposition_gae   1, lam                          discount, lam
    dual_discount_gae          token_discount, token_lam       turn_discount, turn_lam
    bilevel_gae                token_discount, lam, restarted  turn_discount, lam, last tokens only
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .returns import Numbers, backward_sums, check_rate, following, numbers, usable

Floats = NDArray[np.float64]
Rates = tuple[float, float]
"""A discount and a lambda."""
Scalar = TypeVar("Scalar", bound=np.generic)


def token_gae(
    rewards_T: Numbers,
    values_TL: Sequence[Numbers],
    discount: float,
    lam: float,
    bootstrap: float = 0.0,
) -> list[Floats]:
    """GAE over the policy tokens of the episode: A_i = d_i + discount * lam * A_{i+1}.

    d_i = r_i + discount * V_{i+1} - V_i. i runs through the tokens of all turns; r_i is the turn's
    reward on its last token and 0 elsewhere. This is NTPO, the naive token-level optimisation in
    Wen et al., Reinforcing Language Agents via Policy Optimization with Action Decomposition, 2024.

    Exact with discount = 1 and either lam = 1 or the policy's exact values. With discount < 1
    biased: every token discounts what follows, so a longer turn earns less (or loses less) by it.
    With lam < 1 biased for wrong values, as all of these are.

    Measured bias on a chain of words, as (cosine to the true gradient, relative error): discount
    0.9 (0.9931, 0.134); lambda 0.95 with values of 0 (0.9983, 0.068).

    >>> [a.tolist() for a in token_gae([0.0, 1.0], [[0.0, 0.0], [0.0]], discount=0.5, lam=1.0)]
    [[0.25, 0.5], [1.0]]
    """
    _check_rates(discount=discount, lam=lam)
    rewards, values, lengths = flat_episode(rewards_T, values_TL)
    rates = (discount, lam)
    return per_turn(two_rate_gae(rewards, values, lengths, rates, rates, bootstrap), lengths)


def action_decomposition_gae(
    rewards_T: Numbers,
    values_TL: Sequence[Numbers],
    discount: float,
    lam: float,
    bootstrap: float = 0.0,
) -> list[Floats]:
    """GAE by the Bellman backup with action decomposition: the discount acts between turns only.

    Inside a turn A_{k,j} = V_{k,j+1} - V_{k,j} + lam * A_{k,j+1}; at its last token
    A_{k,j} = r_k + discount * V_{k+1,0} - V_{k,j} + discount * lam * A_{k+1,0}. With lam = 1 the
    first token gets the turn's own advantage, however the turn is split into tokens. Source: Wen
    et al. (2024), see `token_gae`; BAD is the backup, POAD its use in PPO.

    Exact for the return discounted by turns, with either lam = 1 or the policy's exact values; the
    gradient of the discounted return also weighs turn k by discount^k, which is left to the caller.

    Measured bias on a chain of words, as (cosine to the true gradient, relative error): discount
    0.9 without its weight (0.9966, 0.082); lambda 0.95 with values of 0 (0.9983, 0.068).

    >>> credit = action_decomposition_gae([0.0, 1.0], [[0.0, 0.0], [0.0]], discount=0.5, lam=1.0)
    >>> [a.tolist() for a in credit]
    [[0.5, 0.5], [1.0]]
    """
    _check_rates(discount=discount, lam=lam)
    rewards, values, lengths = flat_episode(rewards_T, values_TL)
    inside, between = (1.0, lam), (discount, lam)
    return per_turn(two_rate_gae(rewards, values, lengths, inside, between, bootstrap), lengths)


def dual_discount_gae(
    rewards_T: Numbers,
    values_TL: Sequence[Numbers],
    turn_discount: float,
    turn_lam: float,
    token_discount: float,
    token_lam: float,
    bootstrap: float = 0.0,
) -> list[Floats]:
    """GAE with one discount and lambda inside turns and another from turn to turn.

    A_i = r_i + g * V_{i+1} - V_i + g * l * A_{i+1}, where (g, l) is (turn_discount, turn_lam) at a
    turn's last token and (token_discount, token_lam) elsewhere. Source: Chen et al., Verlog (2025),
    Dual Discounting GAE, which uses (0.99, 0.95) and (1, 1): then the first token of a turn gets
    the turn's own advantage for any turn_lam.

    Exact where `action_decomposition_gae` is, if token_discount = 1 and both lambdas are 1 or the
    values exact. With token_discount < 1 biased as `token_gae` is.

    Measured bias on a chain of words, as (cosine to the true gradient, relative error):
    token_discount 0.9 (0.9957, 0.109); turn_lam 0.95 with values of 0 (0.9991, 0.042).

    >>> credit = dual_discount_gae([0.0, 1.0], [[0.5, 0.5], [0.5]], 0.5, 0.5, 1.0, 1.0)
    >>> [a.tolist() for a in credit]
    [[-0.125, -0.125], [0.5]]
    """
    _check_rates(
        turn_discount=turn_discount,
        turn_lam=turn_lam,
        token_discount=token_discount,
        token_lam=token_lam,
    )
    rewards, values, lengths = flat_episode(rewards_T, values_TL)
    inside, between = (token_discount, token_lam), (turn_discount, turn_lam)
    return per_turn(two_rate_gae(rewards, values, lengths, inside, between, bootstrap), lengths)


def bilevel_gae(
    rewards_T: Numbers,
    values_TL: Sequence[Numbers],
    turn_discount: float,
    token_discount: float,
    lam: float,
    bootstrap: float = 0.0,
) -> list[Floats]:
    """GAE over turns, read at their last tokens, then GAE inside every turn towards that.

    Turns: A_k = r_k + turn_discount * W_{k+1} - W_k + turn_discount * lam * A_{k+1}, with W_k the
    value before turn k's last token, which gets A_k. The tokens before it in the turn:
    A_{k,j} = token_discount * V_{k,j+1} - V_{k,j} + token_discount * lam * A_{k,j+1}. Source: Wang
    et al., VAGEN (2025), Bi-Level GAE. Its code and RAGEN's find turn ends by a reward that is not
    0 and so drop every turn that earned nothing; here a turn is a turn.

    With token_discount = lam = 1 exact, and `action_decomposition_gae` itself. With lam < 1 biased,
    even for exact values, where tokens decide when a turn ends: W_k is chosen only after the token
    it precedes turns out to be the last. With token_discount < 1 biased as `token_gae` is.

    Measured bias on a chain of words, as (cosine to the true gradient, relative error):
    token_discount 0.9 (0.9930, 0.126); lambda 0.95 with true values (0.9999, 0.012) and with values
    of 0 (0.9989, 0.057).

    >>> credit = bilevel_gae([0.0, 1.0], [[0.0, 0.5], [0.5]], 1.0, 1.0, lam=0.5)
    >>> [a.tolist() for a in credit]
    [[0.625, 0.25], [0.5]]
    """
    _check_rates(turn_discount=turn_discount, token_discount=token_discount, lam=lam)
    rewards, values, lengths = flat_episode(rewards_T, values_TL)
    ends, rewards_K, discounts_K = turn_ends(rewards, lengths, turn_discount)
    last_values_K = values[ends]
    differences_K = rewards_K + discounts_K * following(last_values_K, bootstrap) - last_values_K
    differences = token_discount * following(values, bootstrap) - values
    differences[ends] = backward_sums(differences_K, (lam * discounts_K)[::-1].tolist())
    decays = np.full(len(values), token_discount * lam)
    decays[ends] = 0.0
    return per_turn(backward_sums(differences, decays[::-1].tolist()), lengths)


def two_rate_gae(
    rewards: Floats,
    values: Floats,
    lengths: list[int],
    inside: Rates,
    between: Rates,
    bootstrap: float,
) -> Floats:
    """Flat GAE with the rates `inside` turns of these lengths and `between` their ends."""
    ends, rewards_K, discounts_K = turn_ends(rewards, lengths, between[0])
    at_ends = (rewards_K, discounts_K, between[1] * discounts_K)
    return token_recursion(values, inside, ends, at_ends, bootstrap)


def flat_episode(
    rewards_T: Numbers, values_TL: Sequence[Numbers]
) -> tuple[Floats, Floats, list[int]]:
    """The checked rewards, all values one after another, and the number of tokens of each turn."""
    rewards = numbers("rewards_T", rewards_T)
    if len(values_TL) != len(rewards):
        raise ValueError(
            f"token values of {len(values_TL)} turns for {len(rewards)} rewards; give one array "
            "per turn, empty where the policy wrote nothing"
        )
    turns = [np.asarray(values_L, dtype=np.float64) for values_L in values_TL]
    for turn, values_L in enumerate(turns):
        if values_L.ndim != 1:
            raise ValueError(
                f"values_TL[{turn}] has shape {values_L.shape}; expected one number per token"
            )
    values = np.concatenate(turns) if turns else np.zeros(0)
    if not usable(values).all():
        for turn, values_L in enumerate(turns):
            numbers(f"values_TL[{turn}]", values_L)  # raises for the turn at fault
    return rewards, values, [len(values_L) for values_L in turns]


def turn_ends(
    rewards: Floats, lengths: list[int], discount: float
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """For turns with tokens: the last token's place, its reward and the discount of what follows.

    Turns without tokens are folded into the token before them.
    """
    folded_rewards, folded_discounts = list[float](), list[float]()
    reward_behind, discount_behind = 0.0, 1.0
    for reward, length in zip(reversed(rewards.tolist()), reversed(lengths), strict=True):
        reward_behind = reward + discount * reward_behind
        discount_behind *= discount
        if length:
            folded_rewards.append(reward_behind)
            folded_discounts.append(discount_behind)
            reward_behind, discount_behind = 0.0, 1.0
    lengths_T = np.array(lengths, dtype=np.intp)
    ends = np.cumsum(lengths_T)[lengths_T > 0] - 1
    return ends, np.array(folded_rewards[::-1]), np.array(folded_discounts[::-1])


def per_turn(flat: NDArray[Scalar], lengths: list[int]) -> list[NDArray[Scalar]]:
    """One array per turn, of these lengths, from one flat array."""
    start, turns = 0, list[NDArray[Scalar]]()
    for length in lengths:
        turns.append(flat[start : start + length])
        start += length
    return turns


def token_recursion(
    values: Floats,
    inside: Rates,
    ends: NDArray[np.intp],
    at_ends: tuple[Floats, Floats, Floats],
    bootstrap: float,
) -> Floats:
    """GAE with the rates `inside` turns, and these rewards, discounts and decays at their ends."""
    rewards_K, discounts_K, decays_K = at_ends
    discounts = np.full(len(values), inside[0])
    discounts[ends] = discounts_K
    decays = np.full(len(values), inside[0] * inside[1])
    decays[ends] = decays_K
    differences = discounts * following(values, bootstrap) - values
    differences[ends] += rewards_K
    return backward_sums(differences, decays[::-1].tolist())


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        check_rate(name, rate)
