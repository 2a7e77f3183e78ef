"""The folder of one run: what it is made of, how it grows, and how it survives a crash.

A run folder holds `config.json` (all that repeating the run needs), `metrics.jsonl`,
`episodes.jsonl`, `credit.jsonl` and `checkpoints/`: one Hugging Face folder plus the state that the
trainer resumes from and `progress.json`, written last, which says how long the other files were at
that moment; the checkpoint before it is in `earlier/`. Nothing is ever overwritten: files grow at
their ends, checkpoints are swapped whole (checkpoints.py).
"""

import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from agents.secrets import hidden_values, masked, masked_arguments, masked_data
from lmenvs.lines import append_lines, cannot_write
from lmenvs.types import Episode, to_json

from .checkpoints import (
    NOW,
    force_to_disk,
    read_progress,
    recover,
    remedy,
    write_checkpoint,
    write_whole,
)
from .credit.returns import Numbers
from .locks import FolderLock, lock_folder
from .provenance import commit, machine, memory, versions

_LOGS = ("metrics.jsonl", "episodes.jsonl", "credit.jsonl")


class Phases:
    """Seconds by phase; a phase within another is taken out of it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = clock()

    @contextlib.contextmanager
    def measure(self, name: str) -> Generator[None]:
        """Count the time of a `with` block for `name`."""
        self._book()
        self._open.append(name)
        try:
            yield
        finally:
            self._book()
            self._open.pop()

    def _book(self) -> None:
        now = self._clock()
        if self._open:
            name = self._open[-1]
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now

    def taken(self) -> dict[str, float]:
        """`time/<phase>` since this was last asked, in seconds."""
        self._book()
        seconds, self._seconds = self._seconds, {}
        return {f"time/{name}": round(spent, 6) for name, spent in seconds.items()}


class Run:
    """One run's folder, made by `open_run`: files grow at their ends, checkpoints are swapped."""

    def __init__(self, path: Path, seconds: float, keep: int = 2, lock: FolderLock | None = None):
        self.path = path
        self._lock = lock  # no other process may go on with this run meanwhile
        self._keep = keep
        self.logged: Mapping[str, float] = {}  # the last line of metrics
        self._began = time.monotonic() - seconds
        self._phases = Phases()

    def phase(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Time a part of an iteration: `with run.phase("collect"):` logs `time/collect`, seconds.

        The next line of metrics gets it, and with it all that was timed since the line before (a
        checkpoint counts for the line after it). A phase within another is taken out of that one,
        so that the phases of a line never count a second twice.
        """
        return self._phases.measure(name)

    def log(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl; `time` is seconds of work, pauses left out.

        The seconds of each phase and what the process holds (`memory/`) are added.
        """
        line = {"iteration": iteration, "time": round(time.monotonic() - self._began, 3)}
        self.logged = {name: float(value) for name, value in metrics.items()}
        own = {**self._phases.taken(), **memory()}
        self._append("metrics.jsonl", [{**line, **self.logged, **own}])

    def episodes(self, episodes: Iterable[Episode]) -> None:
        """Append episodes to episodes.jsonl."""
        rows = (hidden_values(to_json(dataclasses.replace(e, env=masked(e.env)))) for e in episodes)
        append_lines(self.path / "episodes.jsonl", rows)

    def credit(self, credit: Iterable[tuple[str, Numbers, Numbers | None]]) -> None:
        """Append (episode id, advantages_T, values_T or None) to credit.jsonl, for the report."""
        self._append(
            "credit.jsonl",
            (
                {"episode": name, "advantages": _numbers(advantages), "values": _numbers(values)}
                for name, advantages, values in credit
            ),
        )

    def _append(self, name: str, rows: Iterable[Mapping[str, object]]) -> None:
        append_lines(self.path / name, (hidden_values(json.dumps(row)) for row in rows))

    def save(self, save_model: Callable[[Path], None], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint; a crash at any moment leaves the old or the new one whole.

        Args:
            save_model: Writes model and tokenizer files into the folder it is given.
            state: What resuming needs, as plain data and tensors; `state["iteration"]` is how many
                iterations are complete.

        Raises:
            OSError: if the disk does not take it; the last checkpoint is untouched then.
        """
        if not isinstance(state.get("iteration"), int):
            raise ValueError("state['iteration'] must be the number of complete iterations")
        logs = [self.path / name for name in _LOGS if (self.path / name).is_file()]
        for log in logs:  # the checkpoint must not promise what a power cut could take back
            force_to_disk(log)
        progress = {
            "seconds": time.monotonic() - self._began,
            "sizes": {log.name: log.stat().st_size for log in logs},
        }
        write_checkpoint(self.path, save_model, state, progress, self._keep)

    def load_state(self) -> dict[str, Any] | None:
        """The `state` of the last checkpoint; None where there is none.

        Raises:
            ValueError: if it is torn or of something else; one line.
        """
        if not read_progress(self.path):
            return None
        from .trainer_state import read_state

        try:
            return read_state(self.path / NOW)
        except ValueError as error:
            raise ValueError(f"{error}; {remedy(self.path)}") from error


def open_run(
    out: str | os.PathLike[str],
    config: Mapping[str, object],
    *,
    resume: bool = False,
    keep_checkpoints: int = 2,
) -> Run:
    """Make a run folder, or with `resume` go on in one from its last checkpoint.

    On resuming, what was logged after that checkpoint is dropped, so that the files read as if the
    run had never stopped. With `resume` and nothing there yet, a new run begins. The last
    `keep_checkpoints` stay: `checkpoints/`, and under `earlier/` those before it.

    Raises:
        ValueError: if the folder holds anything and `resume` is not given, if it holds a run with
            another configuration, or if another process works in it; nothing is changed then.
    """
    if keep_checkpoints < 1:
        raise ValueError(f"keep_checkpoints = {keep_checkpoints}; expected an integer >= 1")
    path = Path(out)
    plain = masked_data(json.loads(json.dumps(dict(config), default=_jsonable)))
    try:
        unused = _unused(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    if unused:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        lock = lock_folder(path)
        record = {
            "config": plain,
            "versions": versions(),
            "command": masked_arguments(sys.argv),
            "commit": commit(),
            "machine": machine(),
        }
        write_whole(path / "config.json", json.dumps(record, indent=2) + "\n")
        return Run(path, 0.0, keep_checkpoints, lock)
    if not resume:
        raise ValueError(
            f"--out {path}: expected an empty folder, got one that holds a run or other files; "
            "choose another folder (a training run goes on with --resume)"
        )
    _check_same(path, plain)
    lock = lock_folder(path)
    recover(path)
    return Run(path, _rewind(path), keep_checkpoints, lock)


def _unused(path: Path) -> bool:
    """Whether a run may begin here: nothing there, or a run that ended before it did anything.

    Raises:
        ValueError: if a file is there.
        OSError: if the system does not let anybody look.
    """
    if not path.exists():
        return True
    if not path.is_dir():
        raise ValueError(f"--out {path}: expected a folder, got a file; name another folder")
    files = {file.name for file in path.iterdir()} - {"config.json.part"}  # of one that was killed
    return not files or (files == {"config.json"} and _is_record(path / "config.json"))


def _is_record(file: Path) -> bool:
    """Whether a run wrote this config.json; somebody else's must stay as it is."""
    try:
        return {"config", "versions", "command"} <= json.loads(file.read_text("utf-8")).keys()
    except (OSError, ValueError, AttributeError):
        return False


def read_config(path: Path) -> dict[str, Any]:
    """The config.json of a run folder.

    Raises:
        ValueError: if the folder is not a run.
    """
    file = path / "config.json"
    if not file.is_file():
        raise ValueError(
            f"{path}: expected the folder of a run, found no config.json in it; "
            "name the folder that --out made"
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(record["config"], dict):
            raise TypeError(f"config is {type(record['config']).__name__}")
        return cast("dict[str, Any]", record)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: expected the configuration of a run, got something else ({error}); "
            "name another folder"
        ) from error


def _check_same(path: Path, config: Mapping[str, object]) -> None:
    before = read_config(path)["config"]
    kinds = [one.get("algorithm", one.get("command")) for one in (before, config)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"--resume {path}: expected a run of {kinds[1]}, got one of {kinds[0]}; "
            "choose another --out"
        )
    was, now = _settings(before), _settings(config)
    names = sorted(n for n in {*was, *now} if was.get(n) != now.get(n))
    if names:
        differences = ", ".join(f"{n}: {was.get(n)!r} -> {now.get(n)!r}" for n in names)
        raise ValueError(
            f"--resume {path}: expected the configuration the run began with, got {differences}; "
            "resume with the same options or choose another --out"
        )


def _settings(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    parts = (_settings(one, f"{name}.{n}" if name else n) for n, one in value.items())
    return {n: one for part in parts for n, one in part.items()}


def _rewind(path: Path) -> float:
    """Cut the logs to where they were at the checkpoint; returns the seconds worked until then."""
    done = read_progress(path)
    sizes = done.get("sizes", {})
    for file in (path / name for name in _LOGS):
        if file.is_file() and file.stat().st_size > sizes.get(file.name, 0):
            os.truncate(file, sizes.get(file.name, 0))
    return float(done.get("seconds", 0.0))


def _numbers(values: Numbers | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]


def _jsonable(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
