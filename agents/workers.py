"""Where a rollout's environments are stepped: in line, in threads, or in worker processes.

All three look alike: a `Seat` takes a command and returns a function that waits for its answer.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from lmenvs.core import Snapshot, TextEnv

from .playing import Game, Opening, Reply
from .sources import AnyEnv, EnvSource
from .starts import Limits

if TYPE_CHECKING:
    from .workers_process import Worker

KEPT: "list[list[Worker]]" = []
"""For every `keep_workers` under way, the processes that wait for work."""

T = TypeVar("T")
Launch = Callable[[Callable[[], T]], Callable[[], T]]


class Seat(Protocol):
    """One environment, wherever it lives; one command at a time."""

    @property
    def game(self) -> TextEnv:
        """The environment without its wrappers, or what stands for it here."""
        ...

    def begin(self, seed: int, noise: int, snapshot: Snapshot | None) -> Callable[[], Opening]:
        """Begin an episode; the function waits for it and raises what the environment raised."""
        ...

    def play(self, text: str) -> Callable[[], Reply]:
        """Play an action; the function waits for the answer and raises what was raised."""
        ...


class Environments(Protocol):
    """The environments of one rollout: made when needed, used again, closed at the end.

    Attributes:
        parallel: Whether they work while the caller goes on.
    """

    parallel: bool

    def take(self) -> Seat:
        """An environment that no episode is using."""
        ...

    def give_back(self, seat: Seat) -> None:
        """This one is free again."""
        ...

    def drop(self, seat: Seat) -> None:
        """This one broke and is not used again."""
        ...

    def close(self) -> None:
        """Close what was made here, whatever it is doing."""
        ...


def open_environments(source: EnvSource, limits: Limits) -> Environments:
    """The environments of a rollout within these limits.

    Raises:
        ValueError: where the environment cannot be sent to another process.
    """
    if not limits.env_workers or (source.instance and limits.worker == "thread"):
        return LocalEnvironments(source, limits.record)
    if limits.worker == "thread":
        return LocalEnvironments(source, limits.record, threads=limits.env_workers)
    from .workers_remote import ProcessEnvironments

    return ProcessEnvironments(source, limits)


@contextlib.contextmanager
def keep_workers() -> Iterator[None]:
    """Within the block worker processes outlive a rollout, and serve the next one at once."""
    kept: list[Worker] = []
    KEPT.append(kept)
    try:
        yield
    finally:
        KEPT[:] = [other for other in KEPT if other is not kept]
        end(kept)


def end(workers: "Sequence[Worker]") -> None:
    """Close these processes with their environments, side by side, by force where needed."""
    try:
        for worker in workers:
            worker.ask_to_close()
        for worker in workers:
            worker.close()
    finally:
        for worker in workers:
            worker.kill()


class LocalSeat:
    """An environment of this process."""

    def __init__(self, env: AnyEnv, record: bool, launch: Launch[Opening | Reply]):
        self._game = Game(env, record)
        self._launch = launch
        self.env = env

    @property
    def game(self) -> TextEnv:
        """The environment without its wrappers."""
        return self._game.game

    def begin(self, seed: int, noise: int, snapshot: Snapshot | None) -> Callable[[], Opening]:
        """See `Seat`."""
        return self._launch(lambda: self._game.begin(seed, noise, snapshot))  # type: ignore[return-value]

    def play(self, text: str) -> Callable[[], Reply]:
        """See `Seat`."""
        return self._launch(lambda: self._game.play(text))  # type: ignore[return-value]


class LocalEnvironments:
    """Environments of this process, stepped in line or in threads.

    Args:
        source: Where to take them from.
        record: Read the privileged names before every action.
        threads: How many step at once; 0 steps an environment when its answer is waited for.
    """

    def __init__(self, source: EnvSource, record: bool, threads: int = 0):
        self._source, self._record = source, record
        self._idle: list[LocalSeat] = []
        self._made: list[AnyEnv] = []
        self._pool = ThreadPoolExecutor(threads, "environment") if threads else None
        self.parallel = threads > 0

    def take(self) -> LocalSeat:
        """See `Environments`."""
        if self._idle:
            return self._idle.pop()
        env = self._source.make()
        if any(env is other for other in self._made):
            raise ValueError(
                "the function that makes environments returned the same one twice; "
                "expected a new one from each call, or pass the environment itself"
            )
        if not self._source.instance:
            self._made.append(env)
        return LocalSeat(env, self._record, self._launch)

    def _launch(self, call: Callable[[], Opening | Reply]) -> Callable[[], Opening | Reply]:
        return call if self._pool is None else self._pool.submit(call).result

    def give_back(self, seat: Seat) -> None:
        """See `Environments`."""
        assert isinstance(seat, LocalSeat)
        self._idle.append(seat)

    def drop(self, seat: Seat) -> None:
        """See `Environments`."""
        assert isinstance(seat, LocalSeat)
        if not self._source.instance:
            self._made = [other for other in self._made if other is not seat.env]
            with contextlib.suppress(Exception):  # what broke it has been recorded already
                seat.env.close()

    def close(self) -> None:
        """See `Environments`; threads finish the step they are in."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        for env in self._made:
            env.close()
