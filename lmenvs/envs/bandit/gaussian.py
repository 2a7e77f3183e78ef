"""GaussianBandit: arms whose rewards scatter around unknown means."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lmenvs.arguments import check_count, check_number
from lmenvs.core import OnInvalid

from .arms import check_means, gap_means
from .base import ArmedBandit, Context
from .scenarios import LARGEST

DECIMALS = 2
FARTHEST = 6.0  # in standard deviations
MOST_MEAN = 1000.0
MOST_DEVIATION = 100.0


class GaussianBandit(ArmedBandit):
    """Choose among arms that pay amounts around unknown means.

    Description:
        A pull pays the arm's mean plus normal noise of standard deviation `sigma`, never farther
        than six of them, rounded to two decimals. Which arm has which mean is shuffled at the
        start of an episode; with `spread` the means are drawn anew as well. The player has
        `horizon` pulls.

    Actions:
        An arm by its name (`red`), its number from 1 (`2`), or either beside the scenario's noun
        (`button 2`, `red button`). A number without an arm is `unknown`, everything else
        `malformed`; both use up a pull.

    Observations:
        At first the arms with their numbers. Then the arm that was pulled and its reward;
        `context="summary"` adds pulls and mean reward of every arm, and "guided" also what an
        upper-confidence player computes: to the mean (the value of exploiting) the bonus for
        exploring, sqrt(0.5 ln t / n) after t pulls, n of them of this arm, and the sum of the two.

    Rewards:
        The amount told, to the digit. An invalid action gets the lowest of the `means`, at most 0
        (-3 `spread` where that is given), and 0 under `on_invalid="noop"`; "terminate" also gives
        up the remaining pulls. `info["regret"]` is the best mean minus the mean of the arm pulled,
        the best mean minus the reward for an invalid action; `info["optimal_actions"]` names the
        best arms. Both are privileged.

    Episode end:
        Terminated after `horizon` turns. Success: the best arms together were pulled more often
        than any other arm, and all turns were played. Never truncated.

    Arguments:
        means: The means, shuffled by the seed; None builds them from `arms` and `gap`: one of
            0.5 + gap/2 and the others of 0.5 - gap/2.
        arms: How many arms, 2 to 20 (ignored when `means` is given).
        gap: Between the best and the others, in (0, 1] (ignored when `means` or `spread` is given).
        sigma: The standard deviation of the noise, above 0 and up to 100.
        spread: Draw the means of an episode from a normal distribution around 0 with this standard
            deviation, rounded to two decimals. EVOLvE has 5 and 20 arms, each with spread = sigma =
            1 for 300 pulls (easy) and spread = sigma = 3 for 1000 (hard).
        horizon: Pulls per episode.
        scenario: "buttons", "clothes", "ads", "videos" or "machines": the story, which changes no
            odds. Machines are called a, b, c, ...: names that say nothing.
        context: "raw", "summary" or "guided".

    Capability:
        Exploration against exploitation, with numbers that have to be averaged.

    Source:
        With `spread`, the Gaussian bandits of EVOLvE (Nie et al., 2024; package banditbench): their
        means, noise, horizons, contexts and index, whose alpha is 0.5 whatever the noise. The means
        of `gap` are those of its Bernoulli bandits; the default noise of 1/3, the rounding and the
        bound of six deviations are this project's. For the other differences see BernoulliBandit.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/GaussianBandit-v0
        GaussianBandit-v0
            min 5: the worst arm every time, by arithmetic
            average 7: uniform play, by arithmetic
            max 15: the best arm every time, by arithmetic
            expert 10.076 +- 0.06: the expert, seeds 0 to 999
        GaussianBandit-v0?horizon=300
            min 75: the worst arm every time, by arithmetic
            average 105: uniform play, by arithmetic
            max 225: the best arm every time, by arithmetic
            expert 207.81 +- 0.21: the expert, seeds 0 to 999
        GaussianBandit-v0?arms=20&gap=0.2&horizon=1000
            min 400: the worst arm every time, by arithmetic
            average 410: uniform play, by arithmetic
            max 600: the best arm every time, by arithmetic
            expert 456.9 +- 1.1: the expert, seeds 0 to 199
        GaussianBandit-v0?horizon=300&sigma=1&spread=1
            min -346.26 +- 6.3: worst policy, seeds 0 to 999
            average -0.83412 +- 4.4: uniform over legal actions, seeds 0 to 999
            max 351.89 +- 6.4: best policy, seeds 0 to 999
            expert 329.58 +- 6.5: the expert, seeds 0 to 999
        GaussianBandit-v0?arms=20&horizon=300&sigma=1&spread=1
            min -566.61 +- 5: worst policy, seeds 0 to 999
            average 0.65356 +- 2.2: uniform over legal actions, seeds 0 to 999
            max 551.51 +- 5.1: best policy, seeds 0 to 999
            expert 478.92 +- 5.2: the expert, seeds 0 to 999
        GaussianBandit-v0?horizon=1000&sigma=3&spread=3
            min -3623.4 +- 1.4e+02: worst policy, seeds 0 to 199
            average -63.072 +- 99: uniform over legal actions, seeds 0 to 199
            max 3499.6 +- 1.4e+02: best policy, seeds 0 to 199
            expert 3251.7 +- 1.4e+02: the expert, seeds 0 to 199
        GaussianBandit-v0?arms=20&horizon=1000&sigma=3&spread=3
            min -5650.5 +- 1e+02: worst policy, seeds 0 to 199
            average -38.722 +- 48: uniform over legal actions, seeds 0 to 199
            max 5333.1 +- 1.1e+02: best policy, seeds 0 to 199
            expert 4927.7 +- 1.2e+02: the expert, seeds 0 to 199

    Version history:
        v0: first version.
    """

    measured: ClassVar[bool] = True

    def __init__(
        self,
        means: Sequence[float] | None = None,
        arms: int = 5,
        gap: float = 0.5,
        sigma: float = 1 / 3,
        spread: float | None = None,
        horizon: int = 20,
        scenario: str = "buttons",
        context: Context = "raw",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        check_number("sigma", sigma, 0, MOST_DEVIATION, above=True)
        if spread is None:
            given = (
                gap_means(arms, gap) if means is None else check_means(means, -MOST_MEAN, MOST_MEAN)
            )
        elif means is not None:
            raise ValueError(f"means={means!r} and spread={spread!r}; expected one of the two")
        else:
            check_number("spread", spread, 0, MOST_DEVIATION, above=True)
            check_count("arms", arms, 2, LARGEST)
            given = (0.0,) * arms  # until the first episode draws its own
        super().__init__(
            given,
            horizon,
            scenario,
            context,
            invalid_reward=min(0.0, *given) if spread is None else -3.0 * spread,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )
        self._sigma = float(sigma)
        self._spread = spread

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        if self._spread is not None:
            drawn = np.round(self._spread * task.standard_normal(len(self._arms)), DECIMALS)
            self._arms = tuple(float(mean) + 0.0 for mean in drawn)
        return super()._begin(task, options)

    def _draw(self, arm: int) -> float:
        noise = min(max(self.np_random.standard_normal(), -FARTHEST), FARTHEST)
        # 0.0 is added so that no reward reads -0.00
        return round(self._means[arm] + self._sigma * noise, DECIMALS) + 0.0

    def _told(self, reward: float) -> str:
        return f"{reward:.2f}"
