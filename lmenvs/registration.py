"""The one table of environments: id, class, limits, reference scores with their provenance, tags.

Everything that lists, makes, scores or documents environments reads this table.
"""

import json
from typing import Any
from urllib.parse import parse_qsl, quote

import gymnasium

from .core import TextEnv
from .spec import EnvSpec
from .table import ROWS


def parse_env_string(name: str) -> tuple[str, dict[str, Any]]:
    """Split `lmenvs/Maze-v0?layout=u&observability=partial` into the id and the keyword arguments.

    Values are read as JSON where they are JSON (numbers, true, null, lists) and as text otherwise.

    >>> parse_env_string("lmenvs/Maze-v0?layout=u&limit=3")
    ('lmenvs/Maze-v0', {'layout': 'u', 'limit': 3})
    """
    env_id, _, query = name.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ValueError(
            f"environment {name!r}: expected ID?key=value&key=value, got {query!r} behind the id"
        ) from error
    given = {key: _value(text) for key, text in pairs}
    if len(given) < len(pairs):
        twice = next(key for key in given if [name for name, _ in pairs].count(key) > 1)
        raise ValueError(f"environment {name!r}: expected each argument once, got {twice!r} twice")
    return env_id, given


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def format_env_string(env_id: str, kwargs: dict[str, Any]) -> str:
    """The inverse of `parse_env_string`, with the arguments in sorted order.

    >>> format_env_string("lmenvs/Maze-v0", {"layout": "u"})
    'lmenvs/Maze-v0?layout=u'
    """
    parts: list[str] = []
    for key in sorted(kwargs):
        value = kwargs[key]
        plain = isinstance(value, str) and isinstance(_value(value), str)
        parts.append(f"{quote(key)}={quote(value if plain else json.dumps(value))}")
    return env_id + ("?" + "&".join(parts) if parts else "")


def find(env_id: str) -> EnvSpec:
    """The table's row for an id or an env string.

    Raises:
        ValueError: for an id that is not in the table; the line names the nearest one.
    """
    import difflib

    bare = env_id.partition("?")[0]
    if bare in TABLE:
        return TABLE[bare]
    near = difflib.get_close_matches(bare, TABLE, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "`lmenvs list` shows the ids"
    raise ValueError(f"no environment {bare!r}; {hint}")


def make(name: str, **kwargs: Any) -> TextEnv:
    """Make an environment from its env string; keyword arguments go over those in the string.

    Raises:
        ValueError: for an unknown id, an unknown argument or a bad value, in one line.
    """
    env_id, given = parse_env_string(name)
    spec = find(env_id)
    try:
        env = gymnasium.make(spec.id, **{**spec.kwargs, **given, **kwargs})
    except TypeError as error:
        raise ValueError(
            f"environment {name!r}: {error}; see help of {spec.entry_point}"
        ) from error
    assert isinstance(env.unwrapped, TextEnv)
    return env.unwrapped


def register_all() -> None:
    """Make the table known to gymnasium; importing `lmenvs` does it."""
    for spec in TABLE.values():
        if spec.id not in gymnasium.registry:
            gymnasium.register(
                id=spec.id,
                entry_point=spec.entry_point,
                # TextEnv refuses a step before reset by itself, in one line, and check_env proves
                # the rest once; the two wrappers would only slow down every step.
                order_enforce=False,
                disable_env_checker=True,
            )


TABLE: dict[str, EnvSpec] = {spec.id: spec for spec in ROWS}
