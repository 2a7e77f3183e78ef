"""A rollout's environments in worker processes, and what stands for them in this one."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

import numpy as np

from lmenvs.core import Outcome, Snapshot, TextEnv

from .playing import Opening, Reply
from .sources import EnvSource
from .starts import Limits
from .workers import KEPT, Seat, end
from .workers_process import MAKING, Command, Worker, portable


class RemoteGame(TextEnv):
    """What a policy may ask of an environment that lives in another process.

    Scripted policies find here what `TextEnv` documents: legal actions, the expert, the state key.
    It cannot be stepped, and attributes of one kind of environment alone are not here.
    """

    def __init__(self, ask: Callable[[str], Any]):
        super().__init__()
        self._ask = ask

    def opened(self, opening: Opening) -> None:
        """Take over what the environment says of itself."""
        self.instructions, self.tools = opening.instructions, opening.tools
        self.turn_limit = opening.turn_limit

    def admissible_actions(self) -> list[str] | None:
        """See `TextEnv`."""
        return self._ask("admissible_actions")

    def expert_action(self) -> str:
        """See `TextEnv`."""
        return self._ask("expert_action")

    def progress(self) -> float:
        """See `TextEnv`."""
        return self._ask("progress")

    def answer(self) -> str | None:
        """See `TextEnv`."""
        return self._ask("answer")

    def state_key(self) -> str:
        """See `TextEnv`."""
        return self._ask("state_key")

    def snapshot(self) -> Snapshot:
        """See `TextEnv`."""
        return self._ask("snapshot")

    @property
    def turn(self) -> int:
        """See `TextEnv`."""
        return self._ask("turn")

    @property
    def observation(self) -> str:
        """See `TextEnv`."""
        return self._ask("observation")

    def restore(self, snapshot: Snapshot, noise: int | None = None) -> None:
        """Refused."""
        self._refuse("restored")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Refused."""
        self._refuse("reset")

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Refused."""
        self._refuse("stepped")

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._refuse("reset")

    def _play(self, action: str) -> Outcome:
        self._refuse("stepped")

    def _save(self) -> Any:
        self._refuse("saved")

    def _load(self, state: Any) -> None:
        self._refuse("restored")

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(
            f"an environment in a worker process cannot be {what} by its policy; "
            "collect with env_workers=0 or worker='thread'"
        )


class RemoteSeat:
    """An environment in a worker process."""

    def __init__(self, worker: Worker, number: int, recipe: object, limits: Limits):
        self._worker, self.number, self._limit = worker, number, limits.step_timeout
        making = None if self._limit is None else max(MAKING, self._limit)
        self._opened = worker.tell(number, "open", recipe, limits.record, limit=making)
        self.game = RemoteGame(self._ask)
        self.worker = worker

    def begin(self, seed: int, noise: int, snapshot: Snapshot | None) -> Callable[[], Opening]:
        """See `Seat`."""
        return partial(self._begun, self._tell("begin", seed, noise, snapshot))

    def play(self, text: str) -> Callable[[], Reply]:
        """See `Seat`."""
        return partial(self._worker.wait, self._tell("step", text))

    def made(self) -> None:
        """Wait until the environment is made; raises what its making raised."""
        self._worker.wait(self._opened)

    def _begun(self, command: Command) -> Opening:
        self.made()
        opening: Opening = self._worker.wait(command)
        self.game.opened(opening)
        return opening

    def _tell(self, name: str, *arguments: Any) -> Command:
        return self._worker.tell(self.number, name, *arguments, limit=self._limit)

    def _ask(self, name: str) -> Any:
        return self._worker.wait(self._tell(name))


class ProcessEnvironments:
    """See `workers.Environments`: they live in up to `limits.env_workers` processes.

    Raises:
        ValueError: for an environment that another process cannot make.
    """

    parallel = True

    def __init__(self, source: EnvSource, limits: Limits):
        if sys.platform == "win32":
            raise ValueError(
                "worker='process' hands pipes over as Windows cannot; take worker='thread'"
            )
        self._recipe, self._limits = portable(source), limits
        for env in source.spare:  # it was made to learn its name
            env.close()
        source.spare.clear()
        self._workers: list[Worker] = []
        self._idle: list[RemoteSeat] = []
        self._numbers = 0

    def take(self) -> RemoteSeat:
        """See `Environments`."""
        if self._idle:
            return self._idle.pop()
        if len(self._workers) < self._limits.env_workers:
            self._workers.append(KEPT[-1].pop() if KEPT and KEPT[-1] else Worker())
        worker = min(self._workers, key=lambda one: one.seats)
        seat = RemoteSeat(worker, self._numbers, self._recipe, self._limits)
        if self._numbers == 0:  # wrong arguments are no crash of an episode
            seat.made()
        self._numbers += 1
        return seat

    def give_back(self, seat: Seat) -> None:
        """See `Environments`."""
        assert isinstance(seat, RemoteSeat)
        self._idle.append(seat)

    def drop(self, seat: Seat) -> None:
        """See `Environments`."""
        assert isinstance(seat, RemoteSeat)
        seat.worker.tell(seat.number, "drop", limit=self._limits.step_timeout)

    def close(self) -> None:
        """See `Environments`; with `keep_workers` the processes wait for the next rollout."""
        if KEPT:
            for seat in self._idle:
                self.drop(seat)
            KEPT[-1] += [worker for worker in self._workers if worker.seats == 0]
            self._workers = [worker for worker in self._workers if worker.seats]
        end(self._workers)
