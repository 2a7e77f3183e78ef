"""One environment being played: the only place outside `lmenvs` where an environment is stepped.

A `Game` is played in this process, in a thread of it, or in a worker process; what goes in and out
is plain data, so that where it is played changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lmenvs.core import Snapshot, TextEnv
from lmenvs.types import Episode

from .sources import AnyEnv, EnvSource


@dataclass(frozen=True, slots=True)
class Opening:
    """What an episode begins with, and what the environment says of itself."""

    observation: str
    instructions: str
    turn_limit: int | None
    tools: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What one action brought; `progress` and `state_key` are those of the moment before it."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    success: bool
    valid: bool
    error: str | None
    feedback: str | None
    tool_calls: tuple[dict[str, Any], ...]
    cost: float
    progress: float | None
    state_key: str | None


class CannotReplay(ValueError):
    """An episode that was played otherwise, or is asked for a turn that it has not."""


class Game:
    """An environment that is played.

    Args:
        env: The environment, wrappers included.
        record: Read the privileged `progress` and `state_key` before every action.
    """

    def __init__(self, env: AnyEnv, record: bool):
        self.env, self._record = env, record
        game = env.unwrapped
        assert isinstance(game, TextEnv)
        self.game = game

    def begin(self, seed: int, noise: int, snapshot: Snapshot | None) -> Opening:
        """Bring the environment to where an episode starts: a reset, or a snapshot."""
        if snapshot is None:
            observation, _ = self.env.reset(seed=seed, options={"noise": noise})
        else:
            self.game.restore(snapshot, noise=noise)
            observation = snapshot.observation
        game = self.game
        return Opening(observation, game.instructions, game.turn_limit, game.tools)

    def play(self, text: str) -> Reply:
        """Play one action."""
        progress = self.game.progress() if self._record else None
        state_key = self.game.state_key() if self._record else None
        observation, reward, terminated, truncated, info = self.env.step(text)
        return Reply(
            observation,
            float(reward),
            bool(terminated),
            bool(truncated),
            bool(info.get("success", False)),
            info.get("valid", True),
            info.get("error"),
            info.get("feedback"),
            tuple(info.get("tool_calls", ())),
            float(info.get("cost", 0.0)),
            progress,
            state_key,
        )


def replay(
    source: EnvSource, episode: Episode, turns: Iterable[int], forks: Mapping[int, int], noise: int
) -> dict[int, Snapshot]:
    """Play an episode's actions again and save the state before each of the chosen turns.

    Args:
        source: Where to take an environment from.
        episode: What was played.
        turns: Before which turns to save; `len(episode.turns)` is the state after the last.
        forks: turn -> noise, where the chance was drawn anew on the way.
        noise: The draw of chance at the reset.

    Raises:
        CannotReplay: where the environment answers otherwise than the episode says.
    """
    wanted = set(turns)
    env = source.make()
    game = env.unwrapped
    assert isinstance(game, TextEnv)
    saved: dict[int, Snapshot] = {}
    try:
        observation, _ = env.reset(seed=episode.seed, options={"noise": noise})
        for index in range(max(wanted, default=-1) + 1):
            if index in forks:
                game.restore(game.snapshot(), noise=forks[index])
            if index in wanted:
                saved[index] = game.snapshot()
            if index == len(episode.turns):
                _same(episode, index, (observation,), (episode.final_observation,))
                break
            turn = episode.turns[index]
            _same(episode, index, (observation,), (turn.observation,))
            observation, reward, *_ = env.step(turn.action.text)
            _same(episode, index, (float(reward),), (turn.reward,))
    finally:
        if not source.instance:
            env.close()
    return saved


def _same(
    episode: Episode, turn: int, got: tuple[object, ...], expected: tuple[object, ...]
) -> None:
    if got != expected:
        raise CannotReplay(
            f"episode {episode.id} does not replay: turn {turn} gives {got[0]!r}, but it says "
            f"{expected[0]!r}; use the environment and the version that it was played with"
        )
