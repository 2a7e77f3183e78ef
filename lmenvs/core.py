# over 300 lines: the life of an episode is read in one place
"""TextEnv: what every environment of the suite is, and what a new one has to write.

A subclass writes four methods: `_begin` (draw the hidden task, say the first observation), `_play`
(answer one action), `_save` and `_load` (the state that changes within an episode, as plain data).
This class keeps the lifecycle: seeds, turns and their limit, info, snapshots.

Info keys (a new dict every turn):

| key | when | what |
|---|---|---|
| `valid` | always | whether the action was understood and allowed |
| `error` | always | None, or one of `ERRORS` |
| `feedback` | when there is any | what to tell the player apart from the observation |
| `success` | on the last turn | whether the task was solved |
| `tool_calls`, `cost` | tool environments | parsed calls; the price of the turn |
| `admissible_actions` | with `admissible_info=True` | what `admissible_actions()` returns |
| `regret`, `optimal_actions` | where they are known | privileged: never shown to a policy |
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from .arguments import check_flag
from .outcome import ERRORS, OnInvalid, Outcome, Snapshot
from .spaces import AnyText

__all__ = ["ERRORS", "NoExactModel", "OnInvalid", "Outcome", "Snapshot", "TextEnv"]


def _natural(value: object, name: str) -> int:
    if not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name} = {value!r}; expected an integer >= 0")
    return int(value)


class NoExactModel(ValueError):
    """`start_states` has none to list with these arguments; the line says what to do about it."""


class TextEnv(gymnasium.Env[str, str]):
    """A Gymnasium environment whose observations and actions are text.

    Args:
        on_invalid: What a malformed or forbidden action does. "penalise" costs what the class says,
            "noop" costs nothing (the turn still counts), "terminate" costs it and ends the episode.
        admissible_info: Put `admissible_actions` into every info.
        render_mode: None or "ansi" (the conversation's last observation).
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012  gymnasium
    reset_options: ClassVar[frozenset[str]] = frozenset()
    """The names that `reset(options=...)` takes besides `noise`."""

    instructions: str = ""
    tools: list[dict[str, Any]] | None = None
    turn_limit: int | None = None
    observes_state: bool = False
    """Whether the last observation tells all of `state_key()`: the past is not needed then."""

    def __init__(
        self,
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        if on_invalid not in ("penalise", "noop", "terminate"):
            raise ValueError(
                f"on_invalid={on_invalid!r}; expected 'penalise', 'noop' or 'terminate'"
            )
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode={render_mode!r}; expected None or 'ansi'")
        check_flag("admissible_info", admissible_info)
        self.on_invalid = on_invalid
        self.admissible_info = admissible_info
        self.render_mode = render_mode
        self.observation_space = AnyText()
        self.action_space = AnyText()
        self._seed: int | None = None
        self._resets = 0
        self._chance: tuple[int, ...] | None = None  # what the episode's generator is made from
        self._generator: np.random.Generator | None = None
        self._turn = 0
        self._over = True
        self._started = False
        self._observation = ""

    # ---- what a subclass writes -------------------------------------------------------------

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        """Draw a hidden task from `task`, forget the old one, return the first observation."""
        raise NotImplementedError(f"{type(self).__name__} must define _begin")

    def _play(self, action: str) -> Outcome:
        """Answer one action; chance comes from `self.np_random` only."""
        raise NotImplementedError(f"{type(self).__name__} must define _play")

    def _save(self) -> Any:
        """This episode's state as plain data (dicts, tuples, text), hidden task included."""
        raise NotImplementedError(f"{type(self).__name__} must define _save")

    def _load(self, state: Any) -> None:
        """Take on a state that `_save` returned, perhaps in another copy of the environment."""
        raise NotImplementedError(f"{type(self).__name__} must define _load")

    def _at_limit(self, outcome: Outcome) -> Outcome:
        """What the last allowed turn answers when the task goes on: a rule, so terminated."""
        return replace(outcome, terminated=True)

    def admissible_actions(self) -> list[str] | None:
        """The legal actions in this state, or None where they cannot be listed."""
        return None

    def expert_action(self) -> str:
        """What the scripted expert does, from what the player has seen."""
        raise NotImplementedError(f"{type(self).__name__} must define expert_action")

    def progress(self) -> float:
        """True task progress in [0, 1]; privileged; 1.0 exactly at success."""
        raise NotImplementedError(f"{type(self).__name__} must define progress")

    def answer(self) -> str | None:
        """The hidden ground truth where there is one; privileged."""
        return None

    def state_key(self) -> str:
        """All that matters to the future except the turn number; privileged."""
        raise NotImplementedError(f"{type(self).__name__} must define state_key")

    # ---- the Gymnasium interface ------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: The task is drawn from `default_rng((seed, 0))`; each later reset without a seed
                adds one to the last number. Equal seeds give the same hidden task.
            options: `noise` (int >= 0) keeps the hidden task and draws fresh chance within it;
                other names as the class documents.

        Raises:
            ValueError: for an option that the class does not have.
        """
        given = dict(options or {})
        noise = _natural(given.pop("noise", 0), "options['noise']")
        unknown = sorted(set(given) - self.reset_options)
        if unknown:
            known = sorted(self.reset_options | {"noise"})
            raise ValueError(
                f"reset options {unknown} unknown to {type(self).__name__}; it takes {known}"
            )
        if seed is not None:
            self._seed, self._resets = _natural(seed, "seed"), 0
        elif self._seed is None:
            self._seed, self._resets = int(np.random.SeedSequence().entropy) % 2**63, 0  # type: ignore[arg-type]
        else:
            self._resets += 1
        self._draw_chance(noise)
        self._turn = 0
        # should `_begin` refuse an option, no half-begun episode can be played
        self._over, self._started = True, False
        task = np.random.default_rng((self._seed, self._resets))
        self._observation = self._begin(task, given)
        self._over, self._started = False, True
        return self._observation, self._info(Outcome(self._observation))

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Answer one action: (observation, reward, terminated, truncated, info).

        `truncated` is always False here: the task's own turn limit is a rule. Limits of a caller
        (`max_episode_steps`, tokens) truncate outside.

        Raises:
            ResetNeeded: before the first reset and after the end of an episode.
            TypeError: if the action is not text.
        """
        if self._over:
            when = "the episode is over" if self._started else "no episode has begun"
            raise ResetNeeded(f"{type(self).__name__}.step: {when}; call reset() first")
        if not isinstance(action, str):
            raise TypeError(f"an action is text, got {type(action).__name__}; pass a str")
        self._turn += 1
        outcome = self._play(action)
        if not outcome.terminated and self.turn_limit is not None and self._turn >= self.turn_limit:
            outcome = self._at_limit(outcome)
        self._over = outcome.terminated
        self._observation = outcome.observation
        return (
            outcome.observation,
            float(outcome.reward),
            outcome.terminated,
            False,
            self._info(outcome),
        )

    def render(self) -> str | None:  # type: ignore[override]  # gymnasium types it for images
        """The last observation, in mode "ansi"."""
        return self._observation if self.render_mode == "ansi" else None

    def _info(self, outcome: Outcome) -> dict[str, Any]:
        info: dict[str, Any] = {"valid": outcome.valid, "error": outcome.error}
        if outcome.terminated:
            info["success"] = outcome.success
        for name in ("feedback", "regret", "optimal_actions", "tool_calls", "cost"):
            value = getattr(outcome, name)
            if value is not None:
                info[name] = list(value) if isinstance(value, tuple) else value
        if self.admissible_info:
            info["admissible_actions"] = None if self._over else self.admissible_actions()
        return info

    def _invalid(
        self, error: str, observation: str, *, penalty: float, feedback: str | None = None
    ) -> Outcome:
        """The outcome of an action that breaks the rules, as `on_invalid` says; the state stays."""
        assert error in ERRORS, error
        return Outcome(
            observation,
            reward=0.0 if self.on_invalid == "noop" else penalty,
            terminated=self.on_invalid == "terminate",
            valid=False,
            error=error,
            feedback=feedback,
        )

    # ---- state ------------------------------------------------------------------------------

    @property
    def turn(self) -> int:
        """Turns taken in this episode."""
        return self._turn

    @property
    def observation(self) -> str:
        """The last observation."""
        return self._observation

    def _draw_chance(self, noise: int) -> None:
        # numpy pads short seeds with zeros, so (s, n, 0) would repeat the task stream (s, n).
        self._chance = (self._seed or 0, self._resets, 1 + noise)
        self._generator, self._np_random_seed = None, self._seed

    @property
    def _np_random(self) -> np.random.Generator | None:
        # What Gymnasium's `np_random` reads. Made when it is first asked for: that takes longer
        # than the rest of many a game's reset.
        if self._generator is None and self._chance is not None:
            self._generator = np.random.default_rng(self._chance)
        return self._generator

    @_np_random.setter
    def _np_random(  # type: ignore[override]  # a plain attribute in Gymnasium
        self, value: np.random.Generator | None
    ) -> None:
        self._generator = value

    def snapshot(self) -> Snapshot:
        """This exact state; `restore` returns to it, also in another copy and after pickling."""
        if not self._started:
            raise ResetNeeded(
                f"{type(self).__name__}.snapshot: no episode has begun; call reset() first"
            )
        return Snapshot(
            state=copy.deepcopy(self._save()),
            observation=self._observation,
            turn=self._turn,
            over=self._over,
            seed=self._seed or 0,
            resets=self._resets,
            chance=self.np_random.bit_generator.state,
        )

    def restore(self, snapshot: Snapshot, noise: int | None = None) -> None:
        """Return to a snapshot; with `noise`, keep the hidden task and draw fresh chance."""
        self._seed, self._resets = snapshot.seed, snapshot.resets
        self._turn, self._over, self._started = snapshot.turn, snapshot.over, True
        self._observation = snapshot.observation
        if noise is None:
            generator = np.random.default_rng(0)
            generator.bit_generator.state = snapshot.chance
            self._generator, self._np_random_seed = generator, snapshot.seed
        else:
            # the turn keeps a branch's stream apart from the episode's own and from the branches
            # of other turns
            self._generator = np.random.default_rng(
                (snapshot.seed, snapshot.resets, 1 + _natural(noise, "noise"), 1 + snapshot.turn)
            )
            self._np_random_seed = snapshot.seed
        self._load(copy.deepcopy(snapshot.state))

    def _start_snapshot(self, state: Any, observation: str) -> Snapshot:
        """The snapshot of an episode that has just begun in `state`; for `start_states`."""
        seed = self._seed or 0
        chance = np.random.default_rng((seed, self._resets, 1)).bit_generator.state
        return Snapshot(state, observation, 0, False, seed, self._resets, chance)

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """The start distribution as (probability, snapshot).

        The tag `exact` says which environments have one with their default arguments.

        Raises:
            NoExactModel: where it cannot be listed.
        """
        raise NoExactModel(
            f"{type(self).__name__} has no exact model; `lmenvs list --tag exact` shows the "
            "environments that do"
        )

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        """The one-step model from here: (probability, snapshot after, reward, terminated).

        This default serves deterministic environments. The environment itself does not move.
        """
        before = self.snapshot()
        _, reward, terminated, _, _ = self.step(action)
        after = self.snapshot()
        self.restore(before)
        return [(1.0, after, reward, terminated)]
