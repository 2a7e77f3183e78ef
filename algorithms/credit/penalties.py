"""What is taken off the rewards before credit is given."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .returns import Numbers


def penalised_rewards(
    rewards_ET: Sequence[Numbers],
    log_ratios_ETL: Sequence[Sequence[Numbers]],
    coefficient: float,
) -> list[NDArray[np.float64]]:
    """A KL penalty in the reward: r'_t = r_t - coefficient * sum_l x_tl over the tokens of turn t.

    x = log pi - log reference of the tokens that pi sampled, its k1 estimate. The policy gradient
    of returns of r' with discount 1 is exact for E[return] - coefficient * KL(pi, reference) over
    episodes: x's own gradient has expectation 0. Source: Schulman, Approximating KL Divergence
    (2020), and Ouyang et al., Training Language Models to Follow Instructions (2022), equation 2.

    Args:
        rewards_ET: One number per turn, per episode.
        log_ratios_ETL: One number per token, per turn, per episode.
        coefficient: At least 0.

    >>> [penalised_T] = penalised_rewards([[0.0, 1.0]], [[[0.5, 0.5], [-0.5]]], coefficient=0.1)
    >>> penalised_T.tolist()
    [-0.1, 1.05]
    """
    if not 0.0 <= coefficient < np.inf:
        raise ValueError(f"coefficient is {coefficient}; expected a finite number of at least 0")
    if len(rewards_ET) != len(log_ratios_ETL):
        raise ValueError(
            f"{len(rewards_ET)} episodes of rewards for {len(log_ratios_ETL)} of log-ratios; "
            "give one list of turns per episode"
        )
    turns_E = [len(rewards_T) for rewards_T in rewards_ET]
    for episode, (turns, ratios_TL) in enumerate(zip(turns_E, log_ratios_ETL, strict=True)):
        if turns != len(ratios_TL):
            raise ValueError(
                f"episode {episode}: {turns} rewards for the log-ratios of {len(ratios_TL)} "
                "turns; give one list of tokens per turn"
            )
    flat_TL = [ratios_L for ratios_TL in log_ratios_ETL for ratios_L in ratios_TL]
    tokens_T = [len(ratios_L) for ratios_L in flat_TL]
    turn_of_token = np.repeat(np.arange(len(flat_TL)), tokens_T)
    x = np.concatenate([np.zeros(0), *flat_TL], dtype=np.float64)
    rewards = np.concatenate([np.zeros(0), *rewards_ET], dtype=np.float64)
    kl = np.bincount(turn_of_token, x, len(flat_TL))
    for name, per_turn in (("reward", rewards), ("log-ratio", kl)):
        if not np.isfinite(per_turn).all():
            turn = int(np.flatnonzero(~np.isfinite(per_turn))[0])
            episode = int(np.searchsorted(np.cumsum(turns_E), turn, side="right"))
            raise ValueError(
                f"episode {episode}: a {name} is not finite in turn "
                f"{turn - sum(turns_E[:episode])}; give finite numbers for every sampled token"
            )
    penalised: NDArray[np.float64] = rewards - coefficient * kl
    ends_E = np.cumsum(turns_E).tolist()
    return [penalised[end - turns : end] for end, turns in zip(ends_E, turns_E, strict=True)]
