"""Credit for two levels: a planner whose decision lasts several turns, an actor within them.

A planner decision with the turns it lasted is an option, and the planner lives in a semi-Markov
decision process: what follows a decision of n turns is worth discount ** n. Source: Sutton, Precup
and Singh, Between MDPs and Semi-MDPs (1999). durations_J[j] is how many turns decision j lasted;
they add up to the turns of the episode. values_J[j] precedes decision j and has not seen it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .returns import Numbers, backward_sums, check_rate, following, gae, numbers

Floats = NDArray[np.float64]
Durations = Sequence[int] | NDArray[np.integer]


def option_rewards(rewards_T: Numbers, durations_J: Durations, discount: float) -> Floats:
    """What each decision earned while it lasted: R_j = sum over i of discount ** i * r_{t_j + i}.

    t_j is the first turn of decision j. With durations of 1 they are the rewards themselves.
    Source: Sutton, Precup and Singh (1999), section 3.1.

    >>> option_rewards([1.0, 1.0, 2.0], durations_J=[2, 1], discount=0.5).tolist()
    [1.5, 2.0]
    """
    check_rate("discount", discount)
    parts = _split("rewards_T", rewards_T, durations_J)
    return np.array([float(part @ discount ** np.arange(len(part))) for part in parts])


def option_returns(
    rewards_T: Numbers, durations_J: Durations, discount: float, bootstrap: float = 0.0
) -> Floats:
    """The discounted reward to come at each decision: G_j = R_j + discount ** n_j * G_{j+1}.

    They are the turns' `discounted_returns`, read where decisions are made. Class: exact for the
    planner at discount 1, or for the discounted value from each decision on.

    >>> option_returns([0.0, 0.0, 4.0], durations_J=[2, 1], discount=0.5).tolist()
    [1.0, 4.0]
    """
    rewards_J = option_rewards(rewards_T, durations_J, discount)
    discounts_J = discount ** np.asarray(durations_J)
    return backward_sums(rewards_J, discounts_J[::-1].tolist(), float(bootstrap))


def option_gae(
    rewards_T: Numbers,
    durations_J: Durations,
    values_J: Numbers,
    discount: float,
    lam: float,
    bootstrap: float = 0.0,
) -> Floats:
    """How much better each decision did than expected: A_j = d_j + discount ** n_j * lam * A_{j+1}.

    d_j = R_j + discount ** n_j * V_{j+1} - V_j, with R_j as in `option_rewards` and V_J the
    bootstrap. `lam` counts decisions, not turns. With durations of 1 it is `gae`; with lam = 1 it
    is G_j - V_j. Class: as `gae`, for the gradient of the planner. Source: Schulman et al. (2016),
    equation 16, with the discount of Sutton, Precup and Singh (1999), equation 8.

    >>> option_gae([0.0, 0.0, 4.0], [2, 1], [1.0, 2.0], discount=0.5, lam=0.0).tolist()
    [-0.5, 2.0]
    >>> option_gae([0.0, 0.0, 4.0], [2, 1], [1.0, 2.0], discount=0.5, lam=1.0).tolist()
    [0.0, 2.0]
    """
    check_rate("lam", lam)
    rewards_J = option_rewards(rewards_T, durations_J, discount)
    values = _of_decisions("values_J", values_J, durations_J)
    discounts_J = discount ** np.asarray(durations_J)
    differences_J = rewards_J + discounts_J * following(values, bootstrap) - values
    return backward_sums(differences_J, (lam * discounts_J)[::-1].tolist())


def within_options_gae(
    rewards_T: Numbers,
    durations_J: Durations,
    values_T: Numbers,
    discount: float,
    lam: float,
    ends_J: Numbers,
) -> Floats:
    """The actor's credit within each decision: `gae` over its turns, bootstrapped at its end.

    ends_J[j] is the worth of where decision j ended: the planner's value or lambda-return there,
    before it decides again; 0 where the episode terminated. Nothing else crosses from one decision
    to the next. Class: as `gae`, with lam = 1 too where ends_J are the returns to come or their
    exact means. With a critic's values it trusts them wholly: a planner's critic that knows nothing
    yet hides all rewards that come after the subgoal.

    >>> within_options_gae([0.0, 0.0, 4.0], [2, 1], [0.0, 0.0, 1.0], 0.5, 1.0, [2.0, 0.0]).tolist()
    [0.5, 1.0, 3.0]
    """
    ends = _of_decisions("ends_J", ends_J, durations_J)
    parts = zip(
        _split("rewards_T", rewards_T, durations_J),
        _split("values_T", values_T, durations_J),
        ends.tolist(),
        strict=True,
    )
    credit = [gae(rewards, values, discount, lam, end) for rewards, values, end in parts]
    return np.concatenate([np.zeros(0), *credit])


def option_ends(values_J: Numbers, bootstrap: float) -> Floats:
    """The worth of where each decision ended: that before the next one, the bootstrap after the
    last.

    >>> option_ends([1.0, 2.0], bootstrap=3.0).tolist()
    [2.0, 3.0]
    """
    return following(numbers("values_J", values_J), bootstrap)


def option_starts(durations_J: Durations) -> NDArray[np.intp]:
    """The first turn of each decision.

    >>> option_starts([2, 1, 3]).tolist()
    [0, 2, 3]
    """
    lengths = _checked(durations_J)
    return np.cumsum(lengths) - lengths


def _split(name: str, values_T: Numbers, durations_J: Durations) -> list[Floats]:
    values, lengths = numbers(name, values_T), _checked(durations_J)
    if lengths.sum() != len(values):
        raise ValueError(
            f"{name} has {len(values)} turns, durations_J add up to {lengths.sum()}; every turn "
            "belongs to one decision"
        )
    return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []


def _of_decisions(name: str, values_J: Numbers, durations_J: Durations) -> Floats:
    values = numbers(name, values_J)
    if len(values) != len(durations_J):
        raise ValueError(f"{name} has {len(values)} entries for {len(durations_J)} decisions")
    return values


def _checked(durations_J: Durations) -> NDArray[np.intp]:
    lengths = np.asarray(durations_J, dtype=np.intp)
    if lengths.ndim != 1 or (len(lengths) and lengths.min() < 1):
        raise ValueError(f"durations_J is {lengths.tolist()}; expected 1 or more turns each")
    return lengths
