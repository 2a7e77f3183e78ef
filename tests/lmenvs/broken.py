"""Hallways that each break one clause of the contract, and what check_env must say of them."""

import itertools
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from lmenvs import NoExactModel, Outcome, Snapshot, TextEnv
from tests.lmenvs.small import Hallway

_RESETS = itertools.count()


class Undocumented(Hallway):
    """A hallway."""


class Restless(Hallway):
    __doc__ = Hallway.__doc__

    def step(self, action: str):
        if self._over:
            return "Too late.", 0.0, True, False, {}
        return super().step(action)


class Brittle(Hallway):
    __doc__ = Hallway.__doc__

    def _play(self, action: str) -> Outcome:
        if "\x00" in action:
            raise RuntimeError("the engine died")
        return super()._play(action)


class Silent(Hallway):
    __doc__ = Hallway.__doc__

    def _play(self, action: str) -> Outcome:
        outcome = super()._play(action)
        return outcome if outcome.valid else Outcome("?", valid=False)


class Costly(Hallway):
    __doc__ = Hallway.__doc__

    def _invalid(self, error: str, observation: str, *, penalty: float, **more: Any) -> Outcome:
        return Outcome(observation, penalty, self.on_invalid == "terminate", False, False, error)


class Lenient(Hallway):
    __doc__ = Hallway.__doc__

    def _invalid(self, error: str, observation: str, *, penalty: float, **more: Any) -> Outcome:
        reward = 0.0 if self.on_invalid == "noop" else penalty
        return Outcome(observation, reward, False, False, False, error)


class Truncating(Hallway):
    __doc__ = Hallway.__doc__

    def step(self, action: str):
        text, reward, terminated, _, info = super().step(action)
        return text, reward, terminated, action == "" and self.turn >= 8, info


class Endless(Hallway):
    __doc__ = Hallway.__doc__

    def _at_limit(self, outcome: Outcome) -> Outcome:
        return outcome


class Chatty(Hallway):
    __doc__ = Hallway.__doc__

    def _info(self, outcome: Outcome) -> dict[str, Any]:
        return super()._info(outcome) | {"door": self._door}


class Recycling(Hallway):
    __doc__ = Hallway.__doc__
    _kept: dict[str, Any] | None = None

    def _info(self, outcome: Outcome) -> dict[str, Any]:
        self._kept = self._kept if self._kept is not None else {}
        self._kept.clear()
        self._kept.update(super()._info(outcome))
        return self._kept


class Moody(Hallway):
    __doc__ = Hallway.__doc__

    def _play(self, action: str) -> Outcome:
        self.instructions = f"Turn {self.turn}: left or right."
        return super()._play(action)


class Unseeded(Hallway):
    __doc__ = Hallway.__doc__

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        first = super()._begin(task, options)
        self._door = 5 if next(_RESETS) % 2 else -1  # neighbouring resets differ, whatever the seed
        return first


class Global(Hallway):
    __doc__ = Hallway.__doc__

    def _play(self, action: str) -> Outcome:
        random.random()
        return super()._play(action)


class Writing(Hallway):
    __doc__ = Hallway.__doc__

    def _play(self, action: str) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "log.txt").write_text(repr(action))
        return super()._play(action)


class Forgetful(Hallway):
    __doc__ = Hallway.__doc__

    def _save(self) -> dict[str, int]:
        return {"door": self._door}

    def _load(self, state: Any) -> None:
        self._door = state["door"]
        self._cell = 2


class Shared(Hallway):
    __doc__ = Hallway.__doc__
    visits = 0

    def _play(self, action: str) -> Outcome:
        outcome = super()._play(action)
        type(self).visits += 1
        return Outcome(f"{outcome.observation} Visit {self.visits}.", outcome.reward)


class Noisy(Hallway):
    __doc__ = Hallway.__doc__

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        return super()._begin(self.np_random, options)


class Blurred(Hallway):
    __doc__ = Hallway.__doc__

    def state_key(self) -> str:
        return f"cell {self._cell}"


class Mixed(Hallway):
    __doc__ = Hallway.__doc__

    def __init__(self, split: str = "all", **more: Any):
        super().__init__(**more)
        self.split = split


class Leaking(Hallway):
    __doc__ = Hallway.__doc__

    def _play(self, action: str) -> Outcome:
        outcome = super()._play(action)
        if outcome.valid:
            return outcome
        return self._invalid("malformed", f"Not {action!r}; go {self.answer()}.", penalty=-2.0)


class Wishful(Hallway):
    __doc__ = Hallway.__doc__

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        return [
            (p, after, reward + 1.0, over) for p, after, reward, over in super().outcomes(action)
        ]


class Doubtful(Hallway):
    __doc__ = Hallway.__doc__

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        return [(0.5 * p, *rest) for p, *rest in super().outcomes(action)]  # type: ignore[misc]


class Drifting(Hallway):
    __doc__ = Hallway.__doc__

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        _, reward, over, _, _ = self.step(action)
        return [(1.0, self.snapshot(), reward, over)]


class Rambling(Hallway):
    __doc__ = Hallway.__doc__

    def start_states(self) -> list[tuple[float, Snapshot]]:
        raise NoExactModel("too many doors\nand too many cells")


class Promising(Hallway):
    __doc__ = Hallway.__doc__

    def admissible_actions(self) -> list[str]:
        return ["left", "right", "jump"]


class Stammering(Hallway):
    __doc__ = Hallway.__doc__

    def admissible_actions(self) -> list[str]:
        return ["left", "right", "left"]


class Clumsy(Hallway):
    __doc__ = Hallway.__doc__

    def expert_action(self) -> str:
        return "go through the door"


class Gambling(Hallway):
    __doc__ = Hallway.__doc__

    def expert_action(self) -> str:
        return "left" if self.np_random.random() < 0.5 else "right"


class Modest(Hallway):
    __doc__ = Hallway.__doc__

    def progress(self) -> float:
        return 0.5 * super().progress()


class Boastful(Hallway):
    __doc__ = Hallway.__doc__

    def progress(self) -> float:
        return 2.0 - super().progress()


class Cramped(Hallway):
    __doc__ = Hallway.__doc__

    def __init__(self, **more: Any):
        super().__init__(**more)
        self.observation_space = gymnasium.spaces.Text(3)  # type: ignore[assignment]


BROKEN: dict[type[TextEnv], str] = {
    Undocumented: r"lacks the headings \['Description'",
    Restless: "before reset.* must raise gymnasium.error.ResetNeeded",
    Brittle: "Every text is answered.* RuntimeError: the engine died",
    Silent: "valid=False with error None; expected None or one of",
    Costly: "on_invalid='noop'.* it costs -2.0; noop is free",
    Lenient: "on_invalid='terminate'.* the episode goes on",
    Truncating: "truncated at turn 8",
    Endless: "goes on after turn_limit=8",
    Chatty: r"undocumented info keys \['door'\]",
    Recycling: "info dict is reused",
    Moody: "instructions change within an episode",
    Unseeded: "differs between two copies",
    Global: "uses a global random generator",
    Writing: "a step touches the outside",
    Forgetful: r"restored to|loses part|future after restore\(\) differs",
    Shared: "answered differently",
    Noisy: "hidden task depends on the noise",
    Blurred: "equal state keys 'cell .' at turn ., different futures",
    Mixed: "a task is in both splits",
    Leaking: "tells the hidden states .* apart",
    Wishful: "lacks what happened",
    Doubtful: "sums to 0.5",
    Drifting: "moves the environment",
    Rambling: "says no in more than one line",
    Promising: "admissible action 'jump' is answered as invalid",
    Stammering: "empty or repeats itself",
    Clumsy: "expert's 'go through the door' is invalid",
    Gambling: "moves the environment",
    Modest: r"progress\(\) is 0.5 with success=True",
    Boastful: r"progress\(\) is 1.5",
    Cramped: "Gymnasium's `check_env`",
}
