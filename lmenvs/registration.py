"""The one table of environments: id, class, limits, reference scores with their provenance, tags.

Everything that lists, makes, scores or documents environments reads this table.
"""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote

import gymnasium

from .core import TextEnv


@dataclass(frozen=True, slots=True)
class Reference:
    """A number to compare with: its value, and where it comes from."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class EnvSpec:
    """One row of the table.

    Attributes:
        id: `lmenvs/<Name>-v<N>`.
        entry_point: `module:Class`, imported when the environment is made.
        summary: One line for listings.
        turn_limit: The task's own limit at default arguments, or None.
        return_range: The least and the greatest undiscounted return at default arguments.
        references: Scores by env string (the id alone for default arguments), then by name; the
            names "min", "average" and "max" are the bounds that `scores.normalise` uses.
        tags: `exact` (has a finite model), `text-game`, `textworld`, `bandit`, `navigation`, ...
        extra: The optional dependency group it needs, or None.
        kwargs: What a smoke test needs besides the defaults (a game file), or nothing.
    """

    id: str
    entry_point: str
    summary: str
    turn_limit: int | None
    return_range: tuple[float, float]
    tags: frozenset[str]
    references: dict[str, dict[str, Reference]] = field(default_factory=dict)
    extra: str | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)


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
    return env_id, {key: _value(text) for key, text in pairs}


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


_LMRL = "LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds"
_LMRL_WORDS = "sha256:433c429a3fc53ed07650f7c91c35eef8dd9c7cc62b24d4de1205819ed823ac8d"
_EXACT = "computed by lmenvs.exact"

_ROWS: tuple[EnvSpec, ...] = (
    EnvSpec(
        id="lmenvs/Maze-v0",
        entry_point="lmenvs.envs.navigation.maze:Maze",
        summary="Walk to the goal of a fixed maze, with the position told or hidden",
        turn_limit=101,
        return_range=(-401.0, 0.0),
        references={
            "lmenvs/Maze-v0": {
                "min": Reference(-101.0, _LMRL),
                "average": Reference(-83.0, _LMRL),
                "max": Reference(-6.84, _LMRL),
                "optimum": Reference(-6.84, _EXACT),
                "uniform": Reference(-85.8927, _EXACT),
            },
            "lmenvs/Maze-v0?observability=partial": {
                "min": Reference(-101.0, _LMRL),
                "average": Reference(-83.0, _LMRL),
                "max": Reference(-25.75, f"{_LMRL}; not the optimum"),
                "optimum": Reference(-7.24, f"{_EXACT}, on beliefs"),
                "uniform": Reference(-85.8927, _EXACT),
            },
            "lmenvs/Maze-v0?layout=u": {
                "min": Reference(-101.0, "no legal play does worse"),
                "average": Reference(-46.2190, f"uniform play; {_EXACT}"),
                "max": Reference(-2.5, _EXACT),
            },
            "lmenvs/Maze-v0?layout=u&observability=partial": {
                "min": Reference(-101.0, "no legal play does worse"),
                "average": Reference(-46.2190, f"uniform play; {_EXACT}"),
                "max": Reference(-17 / 6, f"{_EXACT}, on beliefs"),
            },
        },
        tags=frozenset({"exact", "navigation"}),
    ),
    EnvSpec(
        id="lmenvs/Microwave-v0",
        entry_point="lmenvs.envs.control.microwave:Microwave",
        summary="Open, put, close: three states and five turns",
        turn_limit=5,
        return_range=(-1.0, 1.0),
        references={
            "lmenvs/Microwave-v0": {
                "min": Reference(-1.0, "by the rules"),
                "average": Reference(0.375, f"uniform play; {_EXACT}"),
                "max": Reference(1.0, _EXACT),
            },
        },
        tags=frozenset({"exact", "control"}),
    ),
    EnvSpec(
        id="lmenvs/Wordle-v0",
        entry_point="lmenvs.envs.word.wordle:Wordle",
        summary="Find a five-letter word in six tries from the marks of the guesses",
        turn_limit=6,
        return_range=(-6.0, 0.0),
        references={
            "lmenvs/Wordle-v0": {
                "min": Reference(-6.0, "by the rules"),
                "average": Reference(-5.9969, "uniform play over the 6694 guesses, by arithmetic"),
                "max": Reference(-2.5875, "the expert, mean over all 2126 answers"),
            },
            "lmenvs/Wordle-v0?feedback=lmrl": {
                "min": Reference(-6.0, "by the rules"),
                "average": Reference(-5.9969, "uniform play over the 6694 guesses, by arithmetic"),
                "max": Reference(-2.6016, "the expert, mean over all 2126 answers"),
            },
            f"lmenvs/Wordle-v0?feedback=lmrl&words={_LMRL_WORDS}": {
                "min": Reference(-6.0, _LMRL),
                "average": Reference(-4.12, _LMRL),
                "max": Reference(-1.94, _LMRL),
                "expert": Reference(-1.9838, "the expert, mean over all 431 answers"),
            },
        },
        tags=frozenset({"word", "items"}),
    ),
    EnvSpec(
        id="lmenvs/BernoulliBandit-v0",
        entry_point="lmenvs.envs.bandit.bernoulli:BernoulliBandit",
        summary="Pull arms with unknown odds, and earn while finding them out",
        turn_limit=20,
        return_range=(0.0, 20.0),
        references={
            "lmenvs/BernoulliBandit-v0": {
                "min": Reference(5.0, "the worst arm every time, by arithmetic"),
                "average": Reference(7.0, "uniform play, by arithmetic"),
                "max": Reference(15.0, "the best arm every time, by arithmetic"),
                "expert": Reference(9.67, "the expert, mean of seeds 0 to 19999, +-0.02"),
            },
        },
        tags=frozenset({"exact", "bandit"}),
    ),
    EnvSpec(
        id="lmenvs/TextWorldCoinCollector-v0",
        entry_point="lmenvs.envs.textworld.coin_collector:TextWorldCoinCollector",
        summary="Explore the rooms of a house on TextWorld's interpreter and take the coin",
        turn_limit=15,
        return_range=(0.0, 1.0),
        tags=frozenset({"text-game", "textworld", "generated"}),
        extra="textworld",
    ),
    EnvSpec(
        id="lmenvs/TextWorldQuest-v0",
        entry_point="lmenvs.envs.textworld.quest:TextWorldQuest",
        summary="Solve a generated quest with rooms, objects and keys on TextWorld's interpreter",
        turn_limit=8,
        return_range=(0.0, 1.0),
        tags=frozenset({"text-game", "textworld", "generated"}),
        extra="textworld",
    ),
    EnvSpec(
        id="lmenvs/TextWorldFile-v0",
        entry_point="lmenvs.envs.textworld.file:TextWorldFile",
        summary="Play your own TextWorld game from its .z8 file",
        turn_limit=100,
        return_range=(0.0, 1.0),
        tags=frozenset({"text-game", "textworld"}),
        extra="textworld",
        kwargs={"path": "example"},
    ),
)

TABLE: dict[str, EnvSpec] = {spec.id: spec for spec in _ROWS}
