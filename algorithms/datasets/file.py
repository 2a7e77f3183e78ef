"""A file of episodes read by number: places, returns and lengths are held, episodes are not.

An episode costs 29 bytes of memory. Opening reads the file once from end to end and checks every
line, so that what is drawn later is sound.
"""

import copy
import logging
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lmenvs.registration import parse_env_string
from lmenvs.types import Episode, from_json

from .fields import check_episode, loads

log = logging.getLogger("lmenvs")
_MOST_NAMED = 5  # environments in an error message


class EpisodeFile:
    """Episodes of a JSON-lines file, read by number; episodes without a turn are left out.

    Attributes:
        path: The file.
        returns_E: Undiscounted returns, in the order of the file.
        turns_E: Turns of each episode.
        success_E: Whether it was a success.
        invalid_E: Its turns with an invalid action.
    """

    def __init__(self, path: str | os.PathLike[str], env: str | None = None):
        """Read through the file once.

        Args:
            path: JSON lines, one episode each.
            env: Take only episodes of this environment, whatever its arguments were.

        Raises:
            ValueError: on the first line that is not an episode, with its number and field; or
                where no episode is left.
        """
        self.path = Path(path)
        wanted = None if env is None else parse_env_string(env)[0]
        places, returns, turns = array("q"), array("d"), array("q")
        success, invalid = array("b"), array("i")
        others: set[str] = set()
        for place, raw in scan(self.path):
            if not raw["turns"]:
                continue
            if wanted is not None and raw["env"].partition("?")[0] != wanted:
                if len(others) <= _MOST_NAMED:
                    others.add(raw["env"])
                continue
            places.append(place)
            returns.append(sum(turn["reward"] for turn in raw["turns"]))
            turns.append(len(raw["turns"]))
            success.append(raw["success"])
            invalid.append(sum(not turn.get("valid", True) for turn in raw["turns"]))
        if not places:
            named = [*sorted(others)[:_MOST_NAMED], *(["..."] if len(others) > _MOST_NAMED else [])]
            raise ValueError(
                f"{self.path}: expected episodes of {wanted or 'an environment'}, got "
                f"{', '.join(named) or 'no episode with a turn'}; give a file of that "
                "environment's episodes"
            )
        self._places_E = np.array(places, dtype=np.int64)
        self.returns_E = np.array(returns, dtype=np.float64)
        self.turns_E = np.array(turns, dtype=np.int64)
        self.success_E = np.array(success, dtype=bool)
        self.invalid_E = np.array(invalid, dtype=np.int32)

    def __len__(self) -> int:
        return len(self._places_E)

    def __getitem__(self, index: int) -> Episode:
        return self.read([index])[0]

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"EpisodeFile({str(self.path)!r}, {len(self)} episodes)"

    def read(self, indices: Iterable[int] | np.ndarray) -> list[Episode]:
        """The episodes of these numbers, in this order.

        Raises:
            IndexError: for a number that the file does not have.
            ValueError: where the file was changed since it was opened.
        """
        places = [int(self._places_E[index]) for index in indices]
        with self.path.open("rb") as lines:
            return [self._read_at(lines, place) for place in places]

    def best(self, keep: float) -> np.ndarray:
        """Numbers of the share `keep` with the highest returns, at least one, in file order."""
        count = max(1, round(keep * len(self)))
        return np.sort(np.argsort(-self.returns_E, kind="stable")[:count])

    def only(self, indices: Sequence[int] | np.ndarray) -> "EpisodeFile":
        """The same file with these episodes alone, in this order; nothing is read again."""
        chosen, part = np.asarray(indices, dtype=np.int64), copy.copy(self)
        part._places_E = self._places_E[chosen]
        part.returns_E, part.turns_E = self.returns_E[chosen], self.turns_E[chosen]
        part.success_E, part.invalid_E = self.success_E[chosen], self.invalid_E[chosen]
        return part

    def _read_at(self, lines: BinaryIO, place: int) -> Episode:
        lines.seek(place)
        try:
            return from_json(lines.readline().decode("utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{self.path}: expected the episode that stood at byte {place}, got another text; "
                "the file was changed while it was in use: start again"
            ) from error


def scan(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(byte, checked object) of each line that is not blank; a torn last line is left out with a
    warning.

    Raises:
        ValueError: on the first other line that is not an episode, with its number and field.
    """
    place = 0
    with Path(path).open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    raw = loads(line.decode("utf-8"))
                    check_episode(raw)
                except ValueError as error:
                    if not line.endswith(b"\n"):
                        log.warning(
                            "%s, line %d: cut off while it was written (%d bytes); left out",
                            path,
                            number,
                            len(line),
                        )
                        return
                    raise ValueError(
                        f"{path}, line {number}, {error}; correct or delete the line"
                    ) from error
                yield place, raw
            place += len(line)
