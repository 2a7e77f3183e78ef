"""Gymnasium-style environments for multi-turn language agents, with exact values and true credit.

>>> import gymnasium as gym, lmenvs
>>> env = gym.make("lmenvs/Maze-v0")
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from . import exact, scores, wrappers
from .core import ERRORS, NoExactModel, Outcome, Snapshot, TextEnv
from .registration import TABLE, find, format_env_string, make, parse_env_string, register_all
from .spaces import AnyText
from .types import Action, Episode, Message, Turn, from_json, read_episodes, to_json, write_episodes
from .version import __version__

if TYPE_CHECKING:
    from . import testing

__all__ = [
    "ERRORS",
    "TABLE",
    "Action",
    "AnyText",
    "Episode",
    "Message",
    "NoExactModel",
    "Outcome",
    "Snapshot",
    "TextEnv",
    "Turn",
    "__version__",
    "exact",
    "find",
    "format_env_string",
    "from_json",
    "make",
    "parse_env_string",
    "read_episodes",
    "register_all",
    "scores",
    "testing",
    "to_json",
    "wrappers",
    "write_episodes",
]


def __getattr__(name: str) -> ModuleType:
    # only tests need the checks and Gymnasium's own checker: the import stays quick without them
    if name == "testing":
        return importlib.import_module(".testing", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register_all()
