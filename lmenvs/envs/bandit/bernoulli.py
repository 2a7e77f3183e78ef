"""BernoulliBandit: pull arms with unknown odds, and earn while finding them out."""

from collections.abc import Sequence

from lmenvs.core import NoExactModel, OnInvalid, Outcome, Snapshot

from .arms import check_means, count_orders, gap_means, orders_of, parse_arm
from .base import ArmedBandit, Context

INVALID_REWARD = 0.0
MOST_START_STATES = 5040


class BernoulliBandit(ArmedBandit):
    """Choose among arms that pay 1 with unknown chances.

    Description:
        Every arm has a fixed chance to pay 1, otherwise it pays 0. Which arm has which chance is
        shuffled at the start of an episode. The player has `horizon` pulls.

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
        The 0 or 1 drawn. An invalid action gets 0 (under every `on_invalid`; "terminate" also gives
        up the remaining pulls). `info["regret"]` is the best chance minus the chance of the arm
        pulled, the best chance itself for an invalid action; `info["optimal_actions"]` names the
        best arms. Both are privileged.

    Episode end:
        Terminated after `horizon` turns. Success: the best arms together were pulled more often
        than any other arm, and all turns were played. Never truncated.

    Arguments:
        means: The chances, shuffled by the seed; None builds them from `arms` and `gap`: one of
            0.5 + gap/2 and the others of 0.5 - gap/2.
        arms: How many arms, 2 to 20 (ignored when `means` is given).
        gap: Between the best and the others, in (0, 1] (ignored when `means` is given).
        horizon: Pulls per episode. The default 20 suits training. EVOLvE has 5 and 20 arms, each
            with gap 0.5 for 300 pulls (easy) and gap 0.2 for 1000 (hard).
        scenario: "buttons", "clothes", "ads", "videos" or "machines": the story, which changes no
            odds. Machines are called a, b, c, ...: names that say nothing.
        context: "raw", "summary" or "guided".

    Capability:
        Exploration against exploitation.

    Source:
        The Bernoulli bandits of EVOLvE (Nie et al., 2024; package banditbench): arms, gaps,
        horizons, four of the scenarios, contexts, and the index with alpha 0.5 under the root, as
        in the package. Other than there: texts and names are this project's (there adverts and
        videos are letters, as `machines` are here, and clothes have fancy names), without a
        paragraph of advice on exploring; every seed shuffles the arms (there all trials share an
        order); an answer that names no arm is invalid (there it pulls a random one); a summary
        follows the newest reward and the conversation goes on (there it replaces the history; for
        that see `agents.distillation.Recent`); guidance gives the sum too, not only its two parts.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/BernoulliBandit-v0
        BernoulliBandit-v0
            min 5: the worst arm every time, by arithmetic
            average 7: uniform play, by arithmetic
            max 15: the best arm every time, by arithmetic
            expert 9.714 +- 0.081: the expert, seeds 0 to 999
            optimum 15 +- 0: exact, with everything seen
        BernoulliBandit-v0?horizon=300
            min 75: the worst arm every time, by arithmetic
            average 105: uniform play, by arithmetic
            max 225: the best arm every time, by arithmetic
            expert 208.04 +- 0.28: the expert, seeds 0 to 999
        BernoulliBandit-v0?arms=20&horizon=300
            min 75: the worst arm every time, by arithmetic
            average 82.5: uniform play, by arithmetic
            max 225: the best arm every time, by arithmetic
            expert 151.94 +- 0.39: the expert, seeds 0 to 999
        BernoulliBandit-v0?gap=0.2&horizon=1000
            min 400: the worst arm every time, by arithmetic
            average 440: uniform play, by arithmetic
            max 600: the best arm every time, by arithmetic
            expert 559.14 +- 1.5: the expert, seeds 0 to 199
        BernoulliBandit-v0?arms=20&gap=0.2&horizon=1000
            min 400: the worst arm every time, by arithmetic
            average 410: uniform play, by arithmetic
            max 600: the best arm every time, by arithmetic
            expert 455.03 +- 1.9: the expert, seeds 0 to 199
        BernoulliBandit-v0?arms=2&horizon=10
            min 2.5: the worst arm every time, by arithmetic
            average 5 +- 0: exact, uniform over legal actions
            max 6.6452 +- 0: exact, of what a player can know
            belief 6.6452 +- 0: exact, of what a player can know
            optimum 7.5 +- 0: exact, with everything seen
            expert 6.449 +- 0.052: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        means: Sequence[float] | None = None,
        arms: int = 5,
        gap: float = 0.5,
        horizon: int = 20,
        scenario: str = "buttons",
        context: Context = "raw",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            check_means(means, 0, 1) if means is not None else gap_means(arms, gap),
            horizon,
            scenario,
            context,
            invalid_reward=INVALID_REWARD,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )
        self._forced: int | None = None
        self._answers: dict[int, Outcome] = {}

    def _hide(self, means: tuple[float, ...]) -> None:
        super()._hide(means)
        self._answers = {}

    def _draw(self, arm: int) -> int:
        # drawn even where the outcome is forced, so that chance moves on as in play
        paid = int(self.np_random.random() < self._means[arm])
        return paid if self._forced is None else self._forced

    def _told(self, reward: float) -> str:
        return "1" if reward else "0"

    def _paid(self, arm: int, reward: float) -> Outcome:
        if self.context != "raw":
            return super()._paid(arm, reward)
        # two answers an arm are all there are: making them anew would be half the time of a step
        which = 2 * arm + int(reward)
        answer = self._answers.get(which)
        if answer is None:
            answer = self._answers[which] = super()._paid(arm, reward)
        return answer

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """Every order of the chances, equally likely; for up to 5040 distinct orders."""
        orders = count_orders(self._arms)
        if orders > MOST_START_STATES:
            raise NoExactModel(
                f"{orders} orders of the means are too many to list (at most {MOST_START_STATES}); "
                "use fewer arms or fewer different means"
            )
        zeros = (0,) * len(self._arms)
        return [
            (
                1 / orders,
                self._start_snapshot(
                    {"means": means, "pulls": zeros, "rewards": zeros}, self._opening()
                ),
            )
            for means in orders_of(self._arms)
        ]

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        """Two outcomes for a pull, with and without a reward (one if the chance is 0 or 1)."""
        arm = parse_arm(action, self._names, self._scenario.noun)
        if isinstance(arm, str):
            return super().outcomes(action)
        chance = self._means[arm]
        listed: list[tuple[float, Snapshot, float, bool]] = []
        for reward, probability in ((1, chance), (0, 1 - chance)):
            if probability > 0:
                self._forced = reward
                try:
                    ((_, after, paid, terminated),) = super().outcomes(action)
                finally:
                    self._forced = None
                listed.append((probability, after, paid, terminated))
        return listed
