"""Scores to compare with: published ones from the table, measured ones from data/references.json.

`python -m lmenvs.measuring` measures them, by the recipes in the table.
"""

import json
import shlex
from functools import lru_cache
from importlib import resources
from typing import TypedDict

from .registration import TABLE, find, format_env_string, parse_env_string
from .spec import Reference

STORE = "references.json"
BOUND = "bound:"  # begins a recipe that plays nothing


class Row(TypedDict):
    """A measured score as it is stored: its standard error, and the recipe that measures it."""

    value: float
    error: float
    recipe: str


def references(env: str) -> dict[str, Reference]:
    """All reference scores of an env string by name, whatever the order of its arguments."""
    wanted = canonical(env)
    found: dict[str, Reference] = {}
    for name, scores in find(env).references.items():
        if canonical(name) == wanted:
            found |= scores
    return found | _known().get(wanted, {})


def canonical(env: str) -> str:
    """An env string with its arguments in sorted order."""
    return format_env_string(*parse_env_string(env))


@lru_cache(maxsize=1)
def _known() -> dict[str, dict[str, Reference]]:
    return {
        canonical(env): {
            name: Reference(row["value"], source(row["recipe"]), row["error"], command(env))
            for name, row in scores.items()
        }
        for env, scores in stored().items()
    }


def stored() -> dict[str, dict[str, Row]]:
    """What was measured: env string -> score name -> row."""
    file = resources.files("lmenvs").joinpath("data", STORE)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def source(recipe: str) -> str:
    """What a recipe means, in words.

    >>> source("belief"), source("random:500")
    ('exact, of what a player can know', 'uniform over legal actions, seeds 0 to 499')
    """
    if recipe in _EXACT:
        return _EXACT[recipe]
    player, _, episodes = recipe.rpartition(":")
    if player.startswith(BOUND):
        return f"what the tasks are worth at most, by the rules, seeds 0 to {int(episodes) - 1}"
    who = _PLAYERS.get(player, player.rpartition(":")[2] + " policy")
    return f"{who}, seeds 0 to {int(episodes) - 1}"


_EXACT = {
    "optimum": "exact, with everything seen",
    "belief": "exact, of what a player can know",
    "uniform": "exact, uniform over legal actions",
}
_PLAYERS = {"expert": "the expert", "random": "uniform over legal actions"}


def command(env: str) -> str:
    """What measures the scores of an env string again and sets them beside the stored ones.

    >>> command("lmenvs/Maze-v0?layout=u")
    "python -m lmenvs.measuring 'lmenvs/Maze-v0?layout=u'"
    """
    return f"python -m lmenvs.measuring {shlex.quote(env)}"


def forget() -> None:
    """Read the file again at the next question: it was written."""
    _known.cache_clear()


def wanted() -> dict[str, dict[str, str]]:
    """Every recipe of the table: env string -> score name -> recipe."""
    return {env: rows for spec in TABLE.values() for env, rows in spec.measures.items()}
