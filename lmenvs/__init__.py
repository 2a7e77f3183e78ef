"""Gymnasium-style environments for multi-turn language agents, with exact values and true credit.

>>> import gymnasium as gym, lmenvs
>>> env = gym.make("lmenvs/Maze-v0")
"""

from .core import ERRORS, Outcome, Snapshot, TextEnv
from .registration import TABLE, find, format_env_string, make, parse_env_string, register_all
from .spaces import AnyText
from .types import Action, Episode, Message, Turn, from_json, read_episodes, to_json, write_episodes
from .version import __version__

__all__ = [
    "ERRORS",
    "TABLE",
    "Action",
    "AnyText",
    "Episode",
    "Message",
    "Outcome",
    "Snapshot",
    "TextEnv",
    "Turn",
    "__version__",
    "find",
    "format_env_string",
    "from_json",
    "make",
    "parse_env_string",
    "read_episodes",
    "register_all",
    "to_json",
    "write_episodes",
]

register_all()
