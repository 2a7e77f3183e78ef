"""What breaks in a rollout: crashes are recorded or raised; who hung is not played again."""

import contextlib
from collections.abc import Iterator

from lmenvs.types import Episode

from .evaluation import Crash
from .playing import CannotReplay
from .slots import Slot
from .starts import Start


class TooManyBroke(RuntimeError):
    """So many episodes broke that the rollout was given up; the cause is the last one's."""


class Faults:
    """What broke in one rollout.

    Args:
        label: How episodes of this rollout name their environment.
        crashes: The list to record them in; None raises the first one instead.
        allowed: So many may break before the rollout is given up.
    """

    def __init__(self, label: str, crashes: list[Crash] | None, allowed: int):
        self._label, self._crashes, self._allowed = label, crashes, allowed
        self._count = 0
        self._hung: dict[int, Exception] = {}

    @contextlib.contextmanager
    def watch(self, slot: Slot) -> Iterator[None]:
        """Record an environment's exception as a crash, or let it pass with a note of where it
        was.
        """
        try:
            yield
        except ImportError:  # the user's to mend, and the same for every seed
            raise
        except Exception as error:
            start, turn = slot.start, len(slot.turns)
            if self._crashes is None:
                where = f"seed {start.seed}, noise {start.noise}, turn {turn}"
                error.add_note(f"in {self._label}, {where}")
                raise
            slot.crashed = True  # its environment is not used again
            if isinstance(error, TimeoutError):
                self._hung[start.seed] = error
            self._record(start, turn, f"{type(error).__name__}: {error}", error)

    @contextlib.contextmanager
    def replaying(self, episode: Episode) -> Iterator[None]:
        """The same while an episode is played again, from which others are to begin."""
        try:
            yield
        except (ImportError, CannotReplay):  # the user's to mend
            raise
        except Exception as error:
            if self._crashes is None:
                error.add_note(f"while {episode.id} was played again")
                raise
            line = f"played again: {type(error).__name__}: {error}"
            self._record(episode, len(episode.turns), line, error)

    def quarantined(self, start: Start) -> bool:
        """Whether an episode of this seed hung before; it then counts as one more crash."""
        cause = self._hung.get(start.seed)
        if cause is not None:
            line = f"not played: an episode of seed {start.seed} hung before"
            self._record(start, 0, line, cause)
        return cause is not None

    def _record(self, start: Start | Episode, turn: int, line: str, cause: Exception) -> None:
        assert self._crashes is not None
        crash = Crash(self._label, start.seed, start.noise, turn, line, cause)
        self._crashes.append(crash)
        self._count += 1
        if self._count > self._allowed:
            raise TooManyBroke(
                f"{self._label}: {self._count} episodes broke, expected at most {self._allowed}; "
                f"mend the environment or leave these seeds out; the last was seed {start.seed}, "
                f"noise {start.noise}, turn {turn}: {line}"
            ) from cause
