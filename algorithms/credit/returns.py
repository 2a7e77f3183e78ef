"""Returns and generalised advantages over the turns of one episode.

The time convention of every function in `algorithms.credit`: rewards_T[t] follows action t,
values_T[t] precedes action t and has not seen it, and `bootstrap` follows the last action: the
value of the state in which a truncated episode was cut, and 0 after a terminated one.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = Sequence[float] | NDArray[np.floating]
"""One number per turn, episode or prediction: a list, a tuple or a one-dimensional array."""


def discounted_returns(
    rewards_T: Numbers, discount: float, bootstrap: float = 0.0
) -> NDArray[np.float64]:
    """The discounted reward still to come at each turn: D_t = r_t + discount * D_{t+1}.

    D_T = bootstrap. Source: Sutton and Barto, Reinforcement Learning (2018), equation 3.9.

    >>> discounted_returns([1.0, 0.0, 2.0], discount=0.5).tolist()
    [1.5, 1.0, 2.0]
    >>> discounted_returns([0.0, 0.0], discount=0.5, bootstrap=4.0).tolist()
    [1.0, 2.0]
    """
    rewards = numbers("rewards_T", rewards_T)
    _check_rate("discount", discount)
    returns_T = np.empty_like(rewards)
    following = _finite("bootstrap", bootstrap)
    for turn in reversed(range(len(rewards))):
        following = rewards[turn] + discount * following
        returns_T[turn] = following
    return returns_T


def gae(
    rewards_T: Numbers,
    values_T: Numbers,
    discount: float,
    lam: float,
    bootstrap: float = 0.0,
) -> NDArray[np.float64]:
    """How much better each action did than expected: A_t = d_t + discount * lam * A_{t+1}.

    d_t = r_t + discount * V_{t+1} - V_t, with V_T = bootstrap and A_T = 0. With lam = 1 it is the
    return minus the value, with lam = 0 the one-step temporal difference. Source: Schulman et al.,
    High-Dimensional Continuous Control Using Generalized Advantage Estimation (2016), equation 16.

    >>> gae([0.0, 1.0], [0.5, 0.5], discount=1.0, lam=1.0).tolist()
    [0.5, 0.5]
    >>> gae([0.0, 1.0], [0.5, 0.5], discount=1.0, lam=0.0).tolist()
    [0.0, 0.5]
    """
    rewards = numbers("rewards_T", rewards_T)
    values = numbers("values_T", values_T)
    if len(values) != len(rewards):
        raise ValueError(
            f"{len(values)} values for {len(rewards)} rewards; give one value per turn, read "
            "before its action, and the value after the last turn as `bootstrap`"
        )
    _check_rate("discount", discount)
    _check_rate("lam", lam)
    next_values_T = np.append(values[1:], _finite("bootstrap", bootstrap))[: len(values)]
    differences_T = rewards + discount * next_values_T - values
    return discounted_returns(differences_T, discount * lam)


def lambda_targets(
    rewards_T: Numbers,
    values_T: Numbers,
    discount: float,
    lam: float,
    bootstrap: float = 0.0,
) -> NDArray[np.float64]:
    """What a critic is fitted to: y_t = A_t + V_t, the lambda-return of each turn.

    With lam = 1 it is the (bootstrapped) return, with lam = 0 it is r_t + discount * V_{t+1}.
    Source: Sutton and Barto (2018), section 12.1.

    >>> lambda_targets([0.0, 1.0], [0.5, 0.25], discount=1.0, lam=0.0).tolist()
    [0.25, 1.0]
    """
    advantages_T = gae(rewards_T, values_T, discount, lam, bootstrap)
    return advantages_T + numbers("values_T", values_T)


def explained_variance(predicted: Numbers, target: Numbers) -> float:
    """The share of the targets' variance that a critic accounts for: 1 - Var(y - p) / Var(y).

    1 is perfect, 0 as good as a constant, below 0 worse than one. Targets that do not vary leave
    nothing to explain and give 0.

    >>> explained_variance([1.0, 2.0], [1.0, 3.0])
    0.75
    """
    predictions, targets = numbers("predicted", predicted), numbers("target", target)
    if len(predictions) != len(targets):
        raise ValueError(
            f"{len(predictions)} predictions for {len(targets)} targets; give one for each"
        )
    if len(targets) == 0 or targets.min() == targets.max():
        return 0.0
    return float(1.0 - np.var(targets - predictions) / np.var(targets))


def numbers(name: str, values: Numbers) -> NDArray[np.float64]:
    """The values as a one-dimensional float64 array.

    Raises:
        ValueError: if they are not one-dimensional or not finite.

    >>> numbers("rewards_T", [1, 2]).tolist()
    [1.0, 2.0]
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(
            f"{name} has shape {array.shape}; expected one number per entry, in one dimension"
        )
    if not np.isfinite(array).all():
        where = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name}[{where}] is {array[where]}; expected finite numbers only")
    return array


def _finite(name: str, value: float) -> float:
    if not np.isfinite(value):
        raise ValueError(f"{name} is {value}; expected a finite number, and 0 after termination")
    return float(value)


def _check_rate(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}; expected a number from 0 to 1")
