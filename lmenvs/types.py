"""Plain data that flows through the suite: Message, Action, Turn, Episode, and JSON lines of them.

One episode format serves demonstrations, replay, offline training and reports. Everything here is
frozen, compares by value, and survives a JSON round trip unchanged.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from .lines import append_lines, read_lines, write_lines

Finish = Literal["stop", "length", "context"]


@dataclass(frozen=True, slots=True)
class Action:
    """What a policy said in one turn, and what its sampler saw and chose.

    Attributes:
        text: What the environment receives; without the stop token.
        prompt_ids: The ids added to the prompt since the previous action (all of them if `fresh`).
        token_ids: The sampled ids, the stop token included where one was sampled.
        logprobs: Natural-log probabilities of `token_ids` under the distribution sampled from.
        finish: "stop", "length" (the token limit struck) or "context" (the model's window is full).
        fresh: The prompt was rebuilt from nothing instead of extended.
    """

    text: str
    prompt_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Finish = "stop"
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `action` holds the sampled ids of an assistant message."""

    role: str
    content: str
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange: the observation, the action that answered it, and what the environment said.

    `progress` and `state_key` describe the state in which the action was taken and are privileged:
    never shown to a policy.
    """

    observation: str
    action: Action
    reward: float
    valid: bool = True
    error: str | None = None
    progress: float | None = None
    state_key: str | None = None
    feedback: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Episode:
    """One play of a task, from reset to `terminated` or `truncated` (never both).

    Attributes:
        env: The string that names the environment, kwargs included (`lmenvs/Maze-v0?layout=u`).
        seed: The task's seed; equal seeds are the same hidden task.
        group: Episodes that answer the same task for comparison share this name.
        parent: (episode id, turn): where a branch or a retry left its sibling.
        attempt: 0 for a first try; counts retries of the same task.
        noise: Which draw of the chance within the task this episode saw.
        policy_version: How many updates the policy that acted had received.
    """

    id: str
    env: str
    seed: int
    split: str
    instructions: str
    turns: tuple[Turn, ...]
    final_observation: str
    terminated: bool
    truncated: bool
    success: bool
    group: str | None = None
    parent: tuple[str, int] | None = None
    attempt: int = 0
    noise: int = 0
    policy_version: int = 0

    @property
    def total_reward(self) -> float:
        """The undiscounted sum of the rewards of the turns."""
        return float(sum(turn.reward for turn in self.turns))


def to_json(episode: Episode) -> str:
    """One line of JSON, without a line break."""
    return json.dumps(dataclasses.asdict(episode), ensure_ascii=True)


def from_json(line: str) -> Episode:
    """The episode a line of JSON stands for.

    Raises:
        ValueError: if the line is not an episode; it says which part is wrong.
    """
    try:
        raw = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"expected one JSON object on the line, got a broken one: {error}"
        ) from error
    if not isinstance(raw, dict):
        raise ValueError(f"expected a JSON object, got {type(raw).__name__}")
    fields = dict(cast("dict[str, Any]", raw))
    try:
        turns = tuple(_turn(turn) for turn in fields.pop("turns"))
        parent = fields.pop("parent", None)
        parent = (str(parent[0]), int(parent[1])) if parent is not None else None
        episode = Episode(turns=turns, parent=parent, **fields)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(f"expected the fields of an Episode, got {_describe(error)}") from error
    _check(episode)
    return episode


def _turn(raw: dict[str, Any]) -> Turn:
    fields = dict(raw)
    action = dict(fields.pop("action"))
    for name in ("prompt_ids", "token_ids", "logprobs"):
        action[name] = tuple(action.get(name, ()))
    tool_calls = tuple(fields.pop("tool_calls", ()))
    return Turn(action=Action(**action), tool_calls=tool_calls, **fields)


def _describe(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no field {error}"
    return str(error).replace("__init__() ", "")


def _check(episode: Episode) -> None:
    if not isinstance(episode.id, str) or not isinstance(episode.env, str):
        raise ValueError("expected text in the fields 'id' and 'env' of an Episode")
    if episode.terminated and episode.truncated:
        raise ValueError(
            f"episode {episode.id}: both terminated and truncated; an episode ends once"
        )
    for index, turn in enumerate(episode.turns):
        if not isinstance(turn.reward, int | float) or not isinstance(turn.action.text, str):
            raise ValueError(
                f"episode {episode.id}: turn {index} lacks a number reward or a text action"
            )
        if len(turn.action.logprobs) not in (0, len(turn.action.token_ids)):
            raise ValueError(
                f"episode {episode.id}: turn {index} has {len(turn.action.token_ids)} token ids "
                f"and {len(turn.action.logprobs)} log-probabilities; expected one each"
            )


def read_episodes(path: str | os.PathLike[str]) -> Iterator[Episode]:
    """Read a file of JSON lines, one episode each, as it is asked for them; blank lines are passed
    over. A last line that was cut off while it was written is left out, with a warning.

    Raises:
        ValueError: on the first other line that is not an episode, with its file and number.
    """
    return read_lines(path, from_json)


def write_episodes(
    path: str | os.PathLike[str], episodes: Iterable[Episode], *, append: bool = False
) -> None:
    """Write episodes as JSON lines; with `append`, behind the whole lines that the file holds.

    Raises:
        OSError: where the file cannot be written, with what to do about it.
    """
    (append_lines if append else write_lines)(path, map(to_json, episodes))
