"""A process with environments: started, asked, killed when it hangs, replaced when it dies.

It serves its commands in order and keeps several environments. Each environment's commands of
the episode under way are written down (its journal): when a worker dies, its innocent environments
are played again to where they were in its replacement, and what they answer is compared with what
they answered before. The environment whose command a worker died of is tried once more; one that
hangs, or kills two workers, is given up.
"""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from typing import Any

from .sources import AnyEnv, EnvSource
from .workers_child import CLOSE

MAKING = 120.0  # seconds to start Python, import an engine and make an environment, at least
CLOSING = 20.0  # seconds for the environments of a worker to close
WINDOW = 32_768  # bytes of commands on their way: a pipe holds more, so that sending never waits
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from agents.workers_child import main; main(int(sys.argv[1]))"
)


@dataclass(slots=True, eq=False)
class Command:
    """Something that an environment is told, and what it answers.

    Attributes:
        seat: Which environment.
        name: What it is told.
        packed: The command as bytes.
        limit: Seconds that it may take.
        answer: (True, the result) or (False, the exception), once it is there.
        expected: What it answered before, where it is repeated for a new process.
    """

    seat: int
    name: str
    packed: bytes
    limit: float | None
    answer: tuple[bool, Any] | None = None
    expected: tuple[bool, Any] | None = None

    @property
    def told(self) -> tuple[int, str, bytes, float | None]:
        """All but the answers."""
        return self.seat, self.name, self.packed, self.limit


@dataclass(slots=True)
class Journal:
    """How an environment came to where it is: its making, then the commands of the episode.

    Attributes:
        deaths: How many processes in a row died while it was being played.
    """

    opened: Command
    episode: list[Command] = field(default_factory=list)
    deaths: int = 0


class Worker:
    """A process with its environments; a new one takes its place when it has to be killed."""

    def __init__(self) -> None:
        self.seats = 0
        self._journals: dict[int, Journal] = {}
        self._lost: dict[int, Exception] = {}
        self._sent: deque[Command] = deque()
        self._waiting: deque[Command] = deque()
        self._start()

    def _start(self) -> None:
        ours, theirs = Pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno()), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # what an engine starts (Java) is killed with it
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._connection = ours
        self._clock = time.monotonic()

    def tell(self, seat: int, name: str, *arguments: Any, limit: float | None) -> Command:
        """Give an environment a command; `wait` has its answer."""
        command = Command(seat, name, pickle.dumps((seat, name, arguments)), limit)
        if seat in self._lost and name != "drop":
            command.answer = False, self._lost[seat]
            return command
        if name == "open":
            self.seats += 1
            self._journals[seat] = Journal(command)
        elif name == "begin":
            self._journals[seat].episode = [command]
        elif name == "step":
            self._journals[seat].episode.append(command)
        elif name == "drop":
            self.seats -= 1
            self._journals.pop(seat, None)
            self._lost.pop(seat, None)
        self._waiting.append(command)
        self._send()
        return command

    def _send(self) -> None:
        """Send what may be on its way; the rest when answers have been read."""
        on_the_way = sum(len(command.packed) for command in self._sent)
        while self._waiting:
            command = self._waiting[0]
            on_the_way += len(command.packed)
            if self._sent and on_the_way > WINDOW:
                return
            if not self._sent:
                self._clock = time.monotonic()
            self._sent.append(self._waiting.popleft())
            with contextlib.suppress(OSError):  # it has died, as reading its answer will show
                self._connection.send_bytes(command.packed)

    def wait(self, command: Command) -> Any:
        """What the environment answers; raises what it raised.

        Raises:
            TimeoutError: where it took longer than its limit.
            RuntimeError: where its process died of it twice.
        """
        while command.answer is None:
            self._read()
            self._send()
        worked, result = command.answer
        if worked:
            return result
        raise result

    def _read(self) -> None:
        """Read the answer to the oldest command that has none, or see that there will be none."""
        command = self._sent[0]
        try:
            left = None
            if command.limit is not None:
                left = max(0.0, self._clock + command.limit - time.monotonic())
            if not self._connection.poll(left):
                hung = f"the environment took longer than step_timeout={command.limit:g} seconds"
                self._give_up(command.seat, TimeoutError(f"{hung}; its process was killed"))
                self._replace()
                return
            packed = self._connection.recv_bytes()
        except (EOFError, OSError):
            self._died(command)
            return
        self._sent.popleft()
        self._clock = time.monotonic()
        answer: tuple[bool, Any] = pickle.loads(packed)
        if command.answer is None and command.expected is None:
            command.answer = answer
            if command.seat in self._journals:
                self._journals[command.seat].deaths = 0
        elif command.expected is not None and command.expected[0] and command.expected != answer:
            self._give_up(
                command.seat,
                RuntimeError(
                    "the environment was played again, since its process had died, and answered "
                    "otherwise than before; expected its seed to decide all of its chance"
                ),
            )

    def _died(self, command: Command) -> None:
        code = self.kill()
        journal = self._journals.get(command.seat)
        if journal is not None:
            journal.deaths += 1
            if journal.deaths > 1:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                line = f"the environment's process died ({how}), twice at the same place"
                self._give_up(command.seat, RuntimeError(line))
        else:  # it died of closing one that had been dropped
            command.answer = True, None
        self._replace()

    def _give_up(self, seat: int, error: Exception) -> None:
        """Everything that this environment is or will be asked raises the error."""
        self._journals.pop(seat, None)
        self._lost[seat] = error
        for command in (*self._sent, *self._waiting):
            if command.seat == seat and command.answer is None:
                command.answer = False, error

    def _replace(self) -> None:
        """Start a new process and play the environments again to where they were."""
        self.kill()
        asked = [one for one in (*self._sent, *self._waiting) if one.expected is None]
        asked = [one for one in asked if one.answer is None]
        self._sent.clear()
        self._waiting.clear()
        for journal in self._journals.values():
            for one in (journal.opened, *journal.episode):
                if one.answer is not None:
                    again = Command(*one.told, expected=one.answer)
                    self._waiting.append(again)
        self._waiting += asked
        self._start()
        self._send()

    @property
    def free(self) -> bool:
        """Whether nothing is asked of it but to close environments."""
        return all(one.name == "drop" for one in (*self._sent, *self._waiting))

    def ask_to_close(self) -> None:
        """Let the environments close, if the process is free to do it."""
        if self.free and not self._waiting:
            with contextlib.suppress(OSError):
                self._connection.send_bytes(CLOSE)

    def close(self) -> None:
        """End the process: by itself where it was asked to close, else by force."""
        try:
            if self.free and not self._waiting:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(CLOSING)
        finally:
            self.kill()

    def kill(self) -> int:
        """End the process and all that it started; its exit code, negative for a signal."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        self._connection.close()
        return code


def portable(source: EnvSource) -> Callable[[], AnyEnv]:
    """What makes the environment in another process.

    Raises:
        ValueError: for one that another process cannot make.
    """
    recipe = source.recipe
    if recipe is not None and getattr(recipe, "__module__", None) != "__main__":
        try:
            pickle.dumps(recipe)
        except (pickle.PicklingError, AttributeError, TypeError):
            pass
        else:
            return recipe
    got = "an instance" if recipe is None else repr(recipe)
    raise ValueError(
        f"a worker process cannot make {source.name} from {got}; expected an env string or a "
        "function of an importable module, or take worker='thread'"
    )
