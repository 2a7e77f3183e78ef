"""Wrappers: the whole conversation as the observation, and a record of what was played.

Both delegate everything else; attributes of the environment are at `env.unwrapped`, as always.
"""

import os
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from .core import TextEnv
from .registration import format_env_string
from .types import Action, Episode, Turn, write_episodes


class TranscriptObservation(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Observe the conversation so far instead of only what is new.

    The instructions, then every observation and, behind `> `, every action, a line break between
    them. Snapshots belong to the environment: after `unwrapped.restore` the transcript goes on from
    where it was.

    Args:
        env: The environment to wrap.
        turns: How many of the last turns to show; None shows all. The instructions and the first
            observation, which may hold the task, always stay.
    """

    def __init__(self, env: gymnasium.Env[str, str], turns: int | None = None):
        RecordConstructorArgs.__init__(self, turns=turns)
        gymnasium.Wrapper.__init__(self, env)
        if turns is not None and turns < 1:
            raise ValueError(f"turns={turns!r}; expected a number of turns >= 1, or None for all")
        self._turns = turns
        self._first = ""
        self._told: list[str] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode and its transcript."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._first, self._told = observation, []
        return self._transcript(), info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play, and show everything said so far."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._told.append(f"> {action}\n{observation}")
        return self._transcript(), float(reward), terminated, truncated, info

    def _transcript(self) -> str:
        instructions = _text_env(self.env).instructions
        shown = self._told if self._turns is None else self._told[-self._turns :]
        return "\n".join([instructions, self._first, *shown])


class RecordEpisodes(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """Append every episode to a file of JSON lines, readable with `read_episodes`.

    An episode is written when it ends; one that is left by `reset` or `close` after its first turn
    is written as truncated.

    Args:
        env: The environment to wrap.
        path: The file; what it holds already stays.
    """

    def __init__(self, env: gymnasium.Env[str, str], path: str | os.PathLike[str]):
        RecordConstructorArgs.__init__(self, path=os.fspath(path))
        gymnasium.Wrapper.__init__(self, env)
        self._path = Path(path)
        self._turns: list[Turn] = []
        self._observation = ""
        self._noise = 0
        self._count = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode; one that was left unfinished is written first."""
        self._write(terminated=False, success=False)
        observation, info = self.env.reset(seed=seed, options=options)
        self._observation, self._noise = observation, int((options or {}).get("noise", 0))
        return observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play and note the turn; the last one writes the episode."""
        inner = _text_env(self.env)
        progress, state_key = inner.progress(), inner.state_key()
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._turns.append(
            Turn(
                observation=self._observation,
                action=Action(action),
                reward=float(reward),
                valid=info["valid"],
                error=info["error"],
                progress=progress,
                state_key=state_key,
                feedback=info.get("feedback"),
                tool_calls=tuple(info.get("tool_calls", ())),
                cost=info.get("cost", 0.0),
            )
        )
        self._observation = observation
        if terminated or truncated:
            self._write(terminated=terminated, success=info.get("success", False))
        return observation, float(reward), terminated, truncated, info

    def close(self) -> None:
        """Write what was left unfinished, and close."""
        self._write(terminated=False, success=False)
        super().close()

    def _write(self, terminated: bool, success: bool) -> None:
        if not self._turns:
            return
        inner = _text_env(self.env)
        spec = inner.spec
        name = format_env_string(spec.id, spec.kwargs) if spec else type(inner).__name__
        snapshot = inner.snapshot()
        episode = Episode(
            id=f"{name}#{snapshot.seed}.{snapshot.resets}.{self._noise}:{self._count}",
            env=name,
            seed=snapshot.seed,
            split=str(spec.kwargs.get("split", "all")) if spec else "all",
            instructions=inner.instructions,
            turns=tuple(self._turns),
            final_observation=self._observation,
            terminated=terminated,
            truncated=not terminated,
            success=success,
            noise=self._noise,
        )
        write_episodes(self._path, [episode], append=True)
        self._turns, self._count = [], self._count + 1


def _text_env(env: gymnasium.Env[str, str]) -> TextEnv:
    inner = env.unwrapped
    if not isinstance(inner, TextEnv):
        raise TypeError(f"expected a TextEnv inside, got {type(inner).__name__}")
    return inner
