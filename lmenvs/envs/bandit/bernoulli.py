"""BernoulliBandit: pull arms with unknown odds, and earn while finding them out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from lmenvs.core import OnInvalid, Outcome, Snapshot, TextEnv

from .arms import (
    check_means,
    count_orders,
    exploration_bonus,
    gap_means,
    orders_of,
    upper_confidence_index,
)
from .scenarios import SCENARIOS

INVALID_REWARD = 0.0
MOST_START_STATES = 5040

Context = Literal["raw", "summary", "guided"]
CONTEXTS: tuple[Context, ...] = ("raw", "summary", "guided")

_NUMBER = re.compile(r"\A([0-9]{1,3})\Z")
_LONGEST = 64


def parse_arm(text: str, names: Sequence[str], noun: str) -> int | str:
    """The index of the arm that a text means, or the category of the error.

    Read are a name, a number from 1, and either with the noun beside it, in any case.

    >>> [parse_arm(text, ["red", "blue"], "button") for text in ("Red", "2", "button 1", "3", "up")]
    [0, 1, 0, 'unknown', 'malformed']
    """
    if len(text) > _LONGEST:
        return "malformed"
    words = text.lower().strip(" \t\r\n.!\"'`").split()
    if len(words) == 2 and noun in words:
        words.remove(noun)
    if len(words) != 1:
        return "malformed"
    if words[0] in names:
        return names.index(words[0])
    number = _NUMBER.match(words[0])
    if number is None:
        return "malformed"
    index = int(number.group(1)) - 1
    return index if 0 <= index < len(names) else "unknown"


class BernoulliBandit(TextEnv):
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
        `context="summary"` adds pulls and mean reward of every arm, and "guided" the exploration
        bonus as well, whose sum with the mean an upper-confidence player would maximise.

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
        horizon: Pulls per episode. The default 20 suits training; EVOLvE's benchmarks use 300 with
            5 arms of gap 0.5 and 1000 with 20 arms of gap 0.2.
        scenario: "buttons", "clothes" or "ads".
        context: "raw", "summary" or "guided".

    Capability:
        Exploration against exploitation.

    Source:
        The Bernoulli bandits of EVOLvE (Nie et al., 2024): arms, gaps, contexts and the index with
        alpha 0.5; texts by this project.

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
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        if scenario not in SCENARIOS:
            raise ValueError(f"scenario={scenario!r}; expected one of {sorted(SCENARIOS)}")
        if context not in CONTEXTS:
            raise ValueError(f"context={context!r}; expected one of {list(CONTEXTS)}")
        if not isinstance(horizon, int) or horizon < 1:
            raise ValueError(f"horizon={horizon!r}; expected an integer >= 1")
        self._means = check_means(means) if means is not None else gap_means(arms, gap)
        self.turn_limit = horizon
        self.context: Context = context
        self._scenario = SCENARIOS[scenario]
        self._names = self._scenario.arms()[: len(self._means)]
        self.instructions = self._write_instructions()
        self._best = max(self._means)
        self._chances: tuple[float, ...] = self._means
        self._optimal: tuple[str, ...] = ()
        self._pulls = [0] * len(self._means)
        self._rewards = [0] * len(self._means)
        self._forced: int | None = None

    def _write_instructions(self) -> str:
        noun, hint = self._scenario.noun, ""
        if self.context == "guided":
            hint = f" A good rule is to choose the {noun} with the largest sum of mean and bonus."
        return (
            f"{self._scenario.task} You have {self.turn_limit} turns; collect as much reward as "
            f"you can.{hint}\nAnswer with the name or the number of one {noun} and nothing else. "
            "Any other answer wastes the turn."
        )

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        order = task.permutation(len(self._means))
        self._hide(tuple(self._means[index] for index in order))
        self._pulls = [0] * len(self._means)
        self._rewards = [0] * len(self._means)
        return self._opening()

    def _hide(self, chances: tuple[float, ...]) -> None:
        self._chances = chances
        self._optimal = tuple(
            name for name, chance in zip(self._names, chances, strict=True) if chance == self._best
        )

    def _opening(self) -> str:
        listed = ", ".join(f"{number} {name}" for number, name in enumerate(self._names, start=1))
        return f"Choose one {self._scenario.noun}: {listed}."

    def _play(self, action: str) -> Outcome:
        arm = parse_arm(action, self._names, self._scenario.noun)
        if isinstance(arm, str):
            return self._wasted(arm)
        reward = int(self.np_random.random() < self._chances[arm])
        if self._forced is not None:
            reward = self._forced
        self._pulls[arm] += 1
        self._rewards[arm] += reward
        text = f"{self._scenario.pulled.format(arm=self._names[arm])} Reward: {reward}."
        return Outcome(
            text if self.context == "raw" else text + self._table(),
            reward=reward,
            regret=self._best - self._chances[arm],
            optimal_actions=self._optimal,
        )

    def _wasted(self, error: str) -> Outcome:
        noun = self._scenario.noun
        text = f"That is not one {noun}; name one or say its number, 1 to {len(self._names)}."
        outcome = self._invalid(error, text, penalty=INVALID_REWARD)
        if outcome.terminated and self._turn == self.turn_limit:
            outcome = self._at_limit(outcome)
        return replace(outcome, regret=self._best, optimal_actions=self._optimal)

    def _at_limit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, terminated=True, success=self._lead() >= 1.0)

    def _table(self) -> str:
        total = sum(self._pulls)
        lines = [
            self._row(name, pulls, rewards, total)
            for name, pulls, rewards in zip(self._names, self._pulls, self._rewards, strict=True)
        ]
        return "\n" + "\n".join(lines)

    def _row(self, name: str, pulls: int, rewards: int, total: int) -> str:
        if pulls == 0:
            return f"{name}: 0 pulls" + (", bonus unlimited" if self.context == "guided" else "")
        row = f"{name}: {pulls} pull{'s' if pulls > 1 else ''}, mean {rewards / pulls:.2f}"
        if self.context == "guided":
            bonus = exploration_bonus(pulls, total)
            row += f", bonus {bonus:.2f}, sum {rewards / pulls + bonus:.2f}"
        return row

    def _lead(self) -> float:
        """1.0 and more if the best arms were pulled more often than any other arm."""
        pairs = list(zip(self._pulls, self._chances, strict=True))
        best = sum(pulls for pulls, chance in pairs if chance == self._best)
        rival = max((pulls for pulls, chance in pairs if chance != self._best), default=0)
        return best / (rival + 1)

    def _save(self) -> dict[str, Any]:
        return {
            "chances": self._chances,
            "pulls": tuple(self._pulls),
            "rewards": tuple(self._rewards),
        }

    def _load(self, state: Any) -> None:
        self._hide(tuple(float(chance) for chance in state["chances"]))
        self._pulls, self._rewards = list(state["pulls"]), list(state["rewards"])

    def admissible_actions(self) -> list[str]:
        """The names of the arms."""
        return list(self._names)

    def expert_action(self) -> str:
        """The arm with the largest upper-confidence index, the first among equals: fair."""
        total = sum(self._pulls)
        indices = [
            upper_confidence_index(pulls, rewards, total)
            for pulls, rewards in zip(self._pulls, self._rewards, strict=True)
        ]
        return self._names[indices.index(max(indices))]

    def progress(self) -> float:
        """The share of turns played, held back while the best arms do not lead the others."""
        assert self.turn_limit is not None
        return min(self._turn / self.turn_limit, self._lead(), 1.0)

    def answer(self) -> str:
        """The name of the best arm (the first one among equals)."""
        return self._optimal[0]

    def state_key(self) -> str:
        """The hidden chances; with a summary in the observations also the counts it shows."""
        key = ",".join(repr(chance) for chance in self._chances)
        if self.context != "raw":
            counts = zip(self._pulls, self._rewards, strict=True)
            key += "|" + ",".join(f"{rewards}/{pulls}" for pulls, rewards in counts)
        return key

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """Every order of the chances, equally likely; for up to 5040 distinct orders."""
        orders = count_orders(self._means)
        if orders > MOST_START_STATES:
            raise ValueError(
                f"{orders} orders of the means are too many to list (at most {MOST_START_STATES}); "
                "use fewer arms or fewer different means"
            )
        zeros = (0,) * len(self._means)
        return [
            (
                1 / orders,
                self._start_snapshot(
                    {"chances": chances, "pulls": zeros, "rewards": zeros}, self._opening()
                ),
            )
            for chances in orders_of(self._means)
        ]

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        """Two outcomes for a pull, with and without a reward (one if the chance is 0 or 1)."""
        arm = parse_arm(action, self._names, self._scenario.noun)
        if isinstance(arm, str):
            return super().outcomes(action)
        chance = self._chances[arm]
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
