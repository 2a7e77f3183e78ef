"""Whether a line of JSON is an episode: every field is checked by its name before one is built.

`check_episode` is stricter than building the dataclass, which takes any value, and faster.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

_TEXT, _WHOLE, _FLAG, _LIST = (str,), (int,), (bool,), (list,)
_NUMBER, _MAYBE_TEXT = (int, float), (str, type(None))
_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_EPISODE: dict[str, tuple[type, ...]] = {
    "id": _TEXT,
    "env": _TEXT,
    "seed": _WHOLE,
    "split": _TEXT,
    "instructions": _TEXT,
    "turns": _LIST,
    "final_observation": _TEXT,
    "terminated": _FLAG,
    "truncated": _FLAG,
    "success": _FLAG,
    "group": _MAYBE_TEXT,
    "parent": (list, type(None)),
    "attempt": _WHOLE,
    "noise": _WHOLE,
    "policy_version": _WHOLE,
}
_TURN: dict[str, tuple[type, ...]] = {
    "observation": _TEXT,
    "action": (dict,),
    "reward": _NUMBER,
    "valid": _FLAG,
    "error": _MAYBE_TEXT,
    "progress": (int, float, type(None)),
    "state_key": _MAYBE_TEXT,
    "feedback": _MAYBE_TEXT,
    "tool_calls": _LIST,
    "cost": _NUMBER,
}
_ACTION: dict[str, tuple[type, ...]] = {
    "text": _TEXT,
    "prompt_ids": _LIST,
    "token_ids": _LIST,
    "logprobs": _LIST,
    "finish": _TEXT,
    "fresh": _FLAG,
}
_EPISODE_NEEDS = list(_EPISODE)[:10]  # the rest have defaults
_TURN_NEEDS = list(_TURN)[:3]
_FINISHES = ("stop", "length", "context")


def loads(line: str) -> dict[str, Any]:
    """The JSON object on a line.

    Raises:
        ValueError: if there is none; it says what stands there.
    """
    try:
        raw = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"expected one JSON object on the line, got broken JSON: {error}"
        ) from None
    except RecursionError:
        raise ValueError("expected one JSON object on the line, got one nested too deep") from None
    if type(raw) is not dict:
        raise ValueError(f"expected one JSON object on the line, got {shown(raw)}")
    return raw


def shown(value: object) -> str:
    """A value in an error message, shortened.

    >>> shown("north"), shown(None), shown([1, 2])
    ("'north'", 'null', '[1, 2]')
    """
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def wrong(field: str, expected: str, got: object) -> ValueError:
    """The error that names a field, what belongs there and what stands there."""
    return ValueError(f"field {field}: expected {expected}, got {shown(got)}")


def kind(types: tuple[type, ...]) -> str:
    """What a field takes, in words.

    >>> kind((str, type(None)))
    'text or null'
    """
    names = [_NAMES[one] for one in types]
    if "a number" in names:
        names.remove("a whole number")
    return " or ".join(names)


def check_episode(raw: Mapping[str, Any]) -> None:
    """Check that an object has the fields of an Episode.

    Raises:
        ValueError: on the first field that is wrong, such as `field turns[2].reward: expected a
            number, got 'x'`.
    """
    _check_fields(raw, _EPISODE, _EPISODE_NEEDS, "")
    if raw["terminated"] and raw["truncated"]:
        raise ValueError("field truncated: expected false beside terminated true; it ends once")
    parent = raw.get("parent")
    if parent is not None and [type(part) for part in parent] != [str, int]:
        raise wrong("parent", "[episode id, turn]", parent)
    for index, turn in enumerate(raw["turns"]):
        if type(turn) is not dict:
            raise wrong(f"turns[{index}]", "an object", turn)
        _check_turn(turn, f"turns[{index}].")


def _check_turn(turn: Mapping[str, Any], place: str) -> None:
    _check_fields(turn, _TURN, _TURN_NEEDS, place)
    if not math.isfinite(turn["reward"]):
        raise wrong(place + "reward", "a finite number", turn["reward"])
    action = turn["action"]
    _check_fields(action, _ACTION, ("text",), place + "action.")
    if action.get("finish", "stop") not in _FINISHES:
        raise wrong(place + "action.finish", " or ".join(_FINISHES), action["finish"])
    for name in ("prompt_ids", "token_ids"):
        if not set(map(type, action.get(name, ()))) <= {int}:
            raise wrong(f"{place}action.{name}", "whole numbers", action[name])
    logprobs, token_ids = action.get("logprobs", ()), action.get("token_ids", ())
    if not set(map(type, logprobs)) <= {int, float}:
        raise wrong(place + "action.logprobs", "numbers", logprobs)
    if len(logprobs) not in (0, len(token_ids)):
        raise wrong(place + "action.logprobs", f"{len(token_ids)}, one a token", len(logprobs))


def _check_fields(
    raw: Mapping[str, Any],
    known: Mapping[str, tuple[type, ...]],
    needed: list[str] | tuple[str, ...],
    place: str,
) -> None:
    for name, value in raw.items():
        if name not in known:
            raise wrong(place + name, f"none of this name (known: {', '.join(known)})", value)
        if type(value) not in known[name]:
            raise wrong(place + name, kind(known[name]), value)
    for name in needed:
        if name not in raw:
            raise ValueError(
                f"field {place}{name}: expected {kind(known[name])}, got no such field"
            )
