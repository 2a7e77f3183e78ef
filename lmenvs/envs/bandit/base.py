"""What the bandits without a context have in common: arms in a hidden order, counts, the texts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from lmenvs.arguments import check_choice, check_count
from lmenvs.core import OnInvalid, Outcome, TextEnv

from .arms import exploration_bonus, parse_arm, upper_confidence_index
from .scenarios import SCENARIOS

Context = Literal["raw", "summary", "guided"]
CONTEXTS: tuple[Context, ...] = ("raw", "summary", "guided")


class ArmedBandit(TextEnv):
    """Arms with hidden means, pulled by name; a subclass says how rewards are drawn and told.

    Args:
        means: The means of the arms; `_begin` shuffles them.
        horizon: Pulls per episode.
        scenario: A key of `SCENARIOS`.
        context: "raw", "summary" or "guided".
        invalid_reward: What an action costs that names no arm.
        on_invalid: See `TextEnv`; so are the rest.
        admissible_info: See `TextEnv`.
        render_mode: See `TextEnv`.

    Attributes:
        measured: Rewards are any numbers, not 0 or 1.
    """

    measured: ClassVar[bool] = False

    def __init__(
        self,
        means: tuple[float, ...],
        horizon: int,
        scenario: str,
        context: Context,
        *,
        invalid_reward: float,
        on_invalid: OnInvalid,
        admissible_info: bool,
        render_mode: str | None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_choice("scenario", scenario, tuple(SCENARIOS))
        check_choice("context", context, CONTEXTS)
        check_count("horizon", horizon, 1)
        self.context: Context = context
        self.turn_limit = horizon
        self._invalid_reward = invalid_reward
        self._scenario = SCENARIOS[scenario]
        self._names = self._scenario.arms()[: len(means)]
        self._index = {name: index for index, name in enumerate(self._names)}
        self._pulled = tuple(
            f"{self._scenario.pulled.format(arm=name)} Reward: " for name in self._names
        )
        self.instructions = self._write_instructions()
        self._arms = means
        self._means = means
        self._best = max(means)
        self._optimal: tuple[str, ...] = ()
        self._pulls = [0] * len(means)
        self._rewards: list[Any] = [0] * len(means)
        self._rows: list[str] = []

    # ---- what a subclass writes -------------------------------------------------------------

    def _draw(self, arm: int) -> float:
        """A reward of this arm."""
        raise NotImplementedError(f"{type(self).__name__} must define _draw")

    def _told(self, reward: float) -> str:
        """The reward as the player reads it, exactly what is paid."""
        raise NotImplementedError(f"{type(self).__name__} must define _told")

    # ---- an episode -------------------------------------------------------------------------

    def _write_instructions(self) -> str:
        noun, hint = self._scenario.noun, ""
        if self.context == "guided":
            hint = f" A good rule is to choose the {noun} with the largest sum of mean and bonus."
        return (
            f"{self._scenario.measured if self.measured else self._scenario.task} "
            f"You have {self.turn_limit} turns; collect as much reward as "
            f"you can.{hint}\nAnswer with the name or the number of one {noun} and nothing else. "
            "Any other answer wastes the turn."
        )

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        order = task.permutation(len(self._arms))
        self._hide(tuple(self._arms[index] for index in order))
        self._count([0] * len(self._arms), [0] * len(self._arms))
        return self._opening()

    def _hide(self, means: tuple[float, ...]) -> None:
        self._means = means
        self._best = max(means)
        self._optimal = tuple(
            name for name, mean in zip(self._names, means, strict=True) if mean == self._best
        )

    def _count(self, pulls: list[int], rewards: list[Any]) -> None:
        self._pulls, self._rewards = pulls, rewards
        if self.context != "raw":
            self._rows = [self._row(arm) for arm in range(len(pulls))]

    def _opening(self) -> str:
        listed = ", ".join(f"{number} {name}" for number, name in enumerate(self._names, start=1))
        return f"Choose one {self._scenario.noun}: {listed}."

    def _play(self, action: str) -> Outcome:
        arm = self._index.get(action)
        if arm is None:
            parsed = parse_arm(action, self._names, self._scenario.noun)
            if isinstance(parsed, str):
                return self._wasted(parsed)
            arm = parsed
        reward = self._draw(arm)
        self._pulls[arm] += 1
        self._rewards[arm] += reward
        return self._paid(arm, reward)

    def _paid(self, arm: int, reward: float) -> Outcome:
        text = f"{self._pulled[arm]}{self._told(reward)}."
        return Outcome(
            text if self.context == "raw" else f"{text}\n{self._table(arm)}",
            reward=reward,
            regret=self._best - self._means[arm],
            optimal_actions=self._optimal,
        )

    def _wasted(self, error: str) -> Outcome:
        noun = self._scenario.noun
        text = f"That is not one {noun}; name one or say its number, 1 to {len(self._names)}."
        outcome = self._invalid(error, text, penalty=self._invalid_reward)
        if outcome.terminated and self._turn == self.turn_limit:
            outcome = self._at_limit(outcome)
        return replace(outcome, regret=self._best - outcome.reward, optimal_actions=self._optimal)

    def _at_limit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, terminated=True, success=self._lead() >= 1.0)

    def _table(self, arm: int) -> str:
        self._rows[arm] = self._row(arm)
        if self.context == "summary":
            return "\n".join(self._rows)
        lines: list[str] = []
        total = sum(self._pulls)
        for row, pulls, rewards in zip(self._rows, self._pulls, self._rewards, strict=True):
            if pulls == 0:
                lines.append(f"{row}, bonus unlimited")
                continue
            # every bonus moves with the number of pulls, so nothing of this can be kept
            bonus = exploration_bonus(pulls, total)
            lines.append(f"{row}, bonus {bonus:.2f}, sum {rewards / pulls + bonus:z.2f}")
        return "\n".join(lines)

    def _row(self, arm: int) -> str:
        pulls = self._pulls[arm]
        if pulls == 0:
            return f"{self._names[arm]}: 0 pulls"
        many = "s" if pulls > 1 else ""
        return f"{self._names[arm]}: {pulls} pull{many}, mean {self._rewards[arm] / pulls:z.2f}"

    def _lead(self) -> float:
        """1.0 and more if the best arms were pulled more often than any other arm."""
        pairs = list(zip(self._pulls, self._means, strict=True))
        best = sum(pulls for pulls, mean in pairs if mean == self._best)
        rival = max((pulls for pulls, mean in pairs if mean != self._best), default=0)
        return best / (rival + 1)

    def _save(self) -> dict[str, Any]:
        return {
            "means": self._means,
            "pulls": tuple(self._pulls),
            "rewards": tuple(self._rewards),
        }

    def _load(self, state: Any) -> None:
        self._hide(tuple(float(mean) for mean in state["means"]))
        self._count(list(state["pulls"]), list(state["rewards"]))

    # ---- for scripts and measurements -------------------------------------------------------

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

    def expected_rewards(self) -> dict[str, float]:
        """What each arm pays on average, by its name; privileged."""
        return dict(zip(self._names, self._means, strict=True))

    def progress(self) -> float:
        """The share of turns played, held back while the best arms do not lead the others."""
        assert self.turn_limit is not None
        return min(self._turn / self.turn_limit, self._lead(), 1.0)

    def answer(self) -> str:
        """The name of the best arm (the first one among equals)."""
        return self._optimal[0]

    def state_key(self) -> str:
        """The hidden means; with a summary in the observations also the counts it shows.

        What is earned from here on depends on nothing else; only `success` looks back at the pulls.
        """
        key = ",".join(repr(mean) for mean in self._means)
        if self.context != "raw":
            counts = zip(self._pulls, self._rewards, strict=True)
            key += "|" + ",".join(f"{rewards}/{pulls}" for pulls, rewards in counts)
        return key
