"""Results of a long benchmark, kept part by part: the same command goes on where it stopped."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checkpoints import write_whole


class Kept:
    """What has been measured so far, in `<file>.partial`; nowhere without a file.

    Args:
        file: The file that the whole will be written to.
        origin: What makes two runs the same: options, commit, machine.

    Attributes:
        parts: What earlier runs of the same command have measured, and this one.

    Raises:
        ValueError: if the results so far are another run's.
    """

    def __init__(self, file: Path | None, origin: Mapping[str, Any]):
        self._file = None if file is None else partial_of(file)
        self._origin = dict(origin)
        self.parts: dict[str, Any] = {} if self._file is None else _so_far(self._file, origin)

    def add(self, name: str, found: Any) -> None:
        """Keep one more part."""
        self.parts[name] = found
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            record = {"origin": self._origin, "parts": self.parts}
            write_whole(self._file, json.dumps(record, indent=1) + "\n")


def partial_of(file: Path) -> Path:
    """Where the results of an unfinished run for this file are."""
    return file.with_name(file.name + ".partial")


def finished(file: Path) -> None:
    """The results are written: drop what was kept of them on the way."""
    partial_of(file).unlink(missing_ok=True)


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of what is now that were something else before, or not there."""
    return [name for name, value in now.items() if before.get(name) != value]


def _so_far(kept: Path, origin: Mapping[str, Any]) -> dict[str, Any]:
    if not kept.exists():
        return {}
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
        before, done = found["origin"], found["parts"]
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            f"{kept}: expected results of an interrupted run, got something else; move it away"
        ) from None
    if other := differing(before, origin):
        raise ValueError(
            f"{kept}: expected results of the same run, got another {', '.join(other)}; move it "
            "away, or name another --out"
        )
    return done
