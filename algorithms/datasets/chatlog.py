"""Chat logs as episodes: JSON lines of messages, as fine-tuning files and ShareGPT write them.

A line is `{"messages": [{"role": ..., "content": ...}, ...]}` or `{"conversations": [{"from": ...,
"value": ...}, ...]}`. Each assistant message is the action of a turn; all messages between two of
them, tools' included, are joined to one observation. System messages before the first other
message are the instructions. Beside the messages a line may have:

| field | meaning | without it |
|---|---|---|
| `rewards` | a list, one number for each assistant message | 0 |
| `reward` | one number, for the last assistant message | 0 |
| `success` | true or false | false |
| `env`, `split` | the env string, "train", "test" or "all" | as given, "all" |
| `seed` | which task; a whole number >= 0 | the number of the line |
| `id`, `group` | of the episode, and of those that answer the same task | file and line, none |
| `terminated`, `truncated` | how it ended; not both | terminated, unless truncated |

Other fields are not read, a message's `weight` among them. A call of a tool becomes text in the
action: the message's content, then each call as a line of JSON.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lmenvs.registration import parse_env_string
from lmenvs.splits import SPLITS
from lmenvs.types import Action, Episode, Turn

from .fields import loads, wrong
from .importing import Found

_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("tool", "function", "observation", "function_response"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "function_call"), "assistant"),
}


def read_chat_log(path: Path, env: str | None = None) -> Iterator[Found]:
    """(file and line, the episode or what is wrong with it) of each line that is not blank.

    Args:
        path: A file of JSON lines.
        env: The env string of lines that name none.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                raw = loads(line.decode("utf-8"))
                yield place, episode_of(raw, env, f"{path.stem}:{number}", number)
            except ValueError as error:
                yield place, error


def episode_of(raw: Mapping[str, Any], env: str | None, name: str, seed: int) -> Episode:
    """The episode of one line.

    Args:
        raw: The line's object.
        env: Its env string where it names none.
        name: Its id where it names none.
        seed: Its seed where it names none.

    Raises:
        ValueError: on the first field that is wrong; it names the field.
    """
    instructions, turns, final = _turns(_messages(raw))
    rewards = _rewards(raw, len(turns))
    truncated = _flag(raw, "truncated", False)
    terminated = _flag(raw, "terminated", not truncated)
    if terminated and truncated:
        raise ValueError("field truncated: expected false beside terminated true; it ends once")
    seed = raw.get("seed", seed)
    if type(seed) is not int or seed < 0:
        raise wrong("seed", "a whole number >= 0", seed)
    return Episode(
        id=_text(raw, "id", name),
        env=_env(raw, env),
        seed=seed,
        split=_split(raw),
        instructions=instructions,
        turns=tuple(
            Turn(seen, Action(said), reward)
            for (seen, said), reward in zip(turns, rewards, strict=True)
        ),
        final_observation=final,
        terminated=terminated,
        truncated=truncated,
        success=_flag(raw, "success", False),
        group=_text(raw, "group", None),
    )


def _messages(raw: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(field, role, text) of each message, roles as `_ROLES` has them."""
    shapes = (("messages", "role", "content"), ("conversations", "from", "value"))
    given = [shape for shape in shapes if shape[0] in raw]
    if len(given) != 1:
        got = "both" if given else f"only {', '.join(raw) or 'nothing'}"
        raise ValueError(f"field messages: expected it or conversations, got {got}")
    name, role_name, text_name = given[0]
    if type(raw[name]) is not list:
        raise wrong(name, "a list", raw[name])
    found: list[tuple[str, str, str]] = []
    for index, message in enumerate(raw[name]):
        place = f"{name}[{index}]"
        if type(message) is not dict:
            raise wrong(place, "an object", message)
        role = message.get(role_name)
        if type(role) is not str or role not in _ROLES:
            raise wrong(f"{place}.{role_name}", f"one of {', '.join(_ROLES)}", role)
        text = _content(message, text_name, place, _ROLES[role] == "assistant")
        found.append((place, _ROLES[role], text))
    return found


def _content(message: Mapping[str, Any], name: str, place: str, speaks: bool) -> str:
    """The text of a message: its content, and the calls of tools that it makes."""
    calls = message.get("tool_calls") or [] if speaks else []
    if type(calls) is not list:
        raise wrong(f"{place}.tool_calls", "a list", calls)
    content = message.get(name)
    if type(content) is list:  # parts of a message; only text can be read
        parts: list[str] = []
        for index, part in enumerate(content):
            if type(part) is not dict or type(part.get("text")) is not str:
                raise wrong(f"{place}.{name}[{index}]", "an object with text", part)
            parts.append(part["text"])
        content = "\n".join(parts)
    if content is None and calls:
        content = ""
    if type(content) is not str:
        raise wrong(f"{place}.{name}", "text", content)
    lines = [json.dumps(call.get("function", call)) for call in calls if type(call) is dict]
    if len(lines) < len(calls):
        raise wrong(f"{place}.tool_calls", "a list of objects", calls)
    return "\n".join([*([content] if content else []), *lines])


def _turns(messages: list[tuple[str, str, str]]) -> tuple[str, list[tuple[str, str]], str]:
    """(instructions, (observation, action) of each turn, what was said after the last action)."""
    instructions: list[str] = []
    while messages and messages[0][1] == "system":
        instructions.append(messages[0][2])
        messages = messages[1:]
    turns: list[tuple[str, str]] = []
    seen: list[str] = []
    spoke = False
    for place, role, text in messages:
        if role != "assistant":
            seen.append(text)
        elif spoke:
            raise ValueError(
                f"field {place}: expected a message of the user or of a tool, got a second one of "
                "the assistant in a row"
            )
        else:
            turns.append(("\n\n".join(seen), text))
            seen = []
        spoke = role == "assistant"
    if not turns:
        raise ValueError("field messages: expected one of the assistant at least, got none")
    return "\n\n".join(instructions), turns, "\n\n".join(seen)


def _rewards(raw: Mapping[str, Any], turns: int) -> list[float]:
    several, last = raw.get("rewards"), raw.get("reward")
    if several is not None and last is not None:
        raise ValueError("field reward: expected none beside rewards, got both")
    if several is None:
        return [0.0] * (turns - 1) + [0.0 if last is None else _number(last, "reward")]
    if type(several) is not list or len(several) != turns:
        count = f"{len(several)} of them" if type(several) is list else several
        raise wrong("rewards", f"{turns} numbers, one for each assistant message", count)
    return [_number(one, f"rewards[{index}]") for index, one in enumerate(several)]


def _number(value: object, place: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise wrong(place, "a finite number", value)
    return float(value)  # type: ignore[arg-type]


def _flag(raw: Mapping[str, Any], name: str, default: bool) -> bool:
    value = raw.get(name)
    if value is None:
        return default
    if type(value) is not bool:
        raise wrong(name, "true or false", value)
    return value


def _text(raw: Mapping[str, Any], name: str, default: Any) -> Any:
    value = raw.get(name)
    if value is None:
        return default
    if type(value) is not str:
        raise wrong(name, "text", value)
    return value


def _env(raw: Mapping[str, Any], default: str | None) -> str:
    env = _text(raw, "env", default)
    if env is None:
        raise ValueError("field env: expected an env string here or by --env, got neither")
    try:
        parse_env_string(env)
    except ValueError as error:
        raise ValueError(f"field env: {error}") from None
    return env


def _split(raw: Mapping[str, Any]) -> str:
    split = _text(raw, "split", "all")
    if split not in SPLITS:
        raise wrong("split", " or ".join(SPLITS), split)
    return split
