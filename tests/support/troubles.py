"""Environments that hang, die and dawdle, and what a process holds open."""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmenvs import Outcome
from tests.support.games import Dice


class OddError(Exception):
    """An exception that packs but cannot be made again from what it packed."""

    def __init__(self, one: str, other: str):
        super().__init__(f"{one} and {other}")


class Troubled(Dice):
    """Dice that breaks when it is told to: `hang`, `die`, `odd`, `torch`, `sleep`.

    Args:
        hanging: Seeds whose reset never ends.
        delays: Sleep for a time that no seed decides, at every turn.
    """

    def __init__(self, hanging: tuple[int, ...] = (), delays: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.hanging, self.delays = hanging, delays

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        if self._seed in self.hanging:
            time.sleep(600)
        return super()._begin(task, options)

    def _play(self, action: str) -> Outcome:
        if self.delays:
            time.sleep(int.from_bytes(os.urandom(1), "big") / 100_000)
        if action == "hang":
            time.sleep(600)
        if action == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "odd":
            raise OddError("this", "that")
        if action == "torch":
            return Outcome(str("torch" in sys.modules), terminated=True)
        return super()._play(action)


class Unseeded(Dice):
    """Dice whose chance no seed decides."""

    def _play(self, action: str) -> Outcome:
        return Outcome(
            f"Total {int.from_bytes(os.urandom(6), 'big')}.", terminated=action != "roll"
        )


class Closing(Dice):
    """Dice that leaves a file `PID-NAME.made` behind, and `PID-NAME.closed` when it is closed."""

    def __init__(self, folder: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.file = Path(folder) / f"{os.getpid()}-{os.urandom(8).hex()}"
        self.file.with_suffix(".made").touch()

    def close(self) -> None:
        self.file.with_suffix(".closed").touch()


def children() -> set[int]:
    """The processes that this one has started and that are not gone; not multiprocessing's own."""
    found = set[int]()
    for task in Path("/proc/self/task").iterdir():
        found |= set(map(int, (task / "children").read_text().split()))
    helpers = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found}
    return {pid for pid, said in commands.items() if not any(one in said for one in helpers)}


def held() -> tuple[int, set[int], int]:
    """What this process holds: open files, children, threads."""
    return len(list(Path("/proc/self/fd").iterdir())), children(), threading.active_count()
