"""An environment that says back what it hears: any text, of any size. For tests of vector mode."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from lmenvs import Outcome, TextEnv

ID = "lmenvs-test/Echo-v0"
SCRIPTS = ("plain", "żółć", "日本語", "🎲🙂👩‍👩‍👧‍👦", "שלום", "\ud800", "\x00", "", "e\u0301")


class Echo(TextEnv):
    """Say back the action, times the number in front of a colon if there is one."""

    turn_limit = 50
    instructions = "Say something."

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        picks = task.integers(len(SCRIPTS), size=4)
        return "".join(SCRIPTS[int(pick)] for pick in picks)

    def _play(self, action: str) -> Outcome:
        count, colon, text = action.partition(":")
        if colon and count.isascii() and count.isdigit():
            return Outcome(text * int(count), float(len(text)))
        return Outcome(action, float(len(action)), terminated=action == "stop")

    def _save(self) -> tuple[()]:
        return ()

    def _load(self, state: Any) -> None:
        return None

    def expert_action(self) -> str:
        return "stop"

    def progress(self) -> float:
        return 0.0

    def state_key(self) -> str:
        return ""


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point="tests.contract.echo:Echo", disable_env_checker=True)
