"""Checkpoints that are whole at every moment: the newest in `checkpoints/`, some before it.

A checkpoint is a Hugging Face folder with the trainer's state beside the model. It is written under
another name, everything in it is forced to the disk, `progress.json` last, and only then it takes
the place of the one before, which moves to `earlier/<iterations>/`. Whatever a crash interrupts,
`recover` finds a whole one: the newest that was complete.
"""

import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lmenvs.lines import cannot_write

NOW, NEW, EARLIER = "checkpoints", "checkpoints.new", "earlier"
PROGRESS, REST = "progress.json", "trainer.json"


def write_checkpoint(
    run: Path,
    save_model: Callable[[Path], None],
    state: Mapping[str, Any],
    progress: Mapping[str, object],
    keep: int,
) -> None:
    """Replace the checkpoint of a run folder; the last `keep` stay, the newest among them.

    Args:
        run: The run's folder.
        save_model: Writes model and tokenizer files into the folder it is given.
        state: What the trainer resumes from: plain data and tensors, with `iteration`.
        progress: What the run adds, written when all else is on the disk.
        keep: How many checkpoints stay, at least 1.

    Raises:
        ValueError: for a state that cannot be kept; nothing has changed then.
        OSError: if the disk does not take it; the last checkpoint is untouched.
    """
    from .trainer_state import write_state  # torch is part of the extra `train`

    new = run / NEW
    try:
        _remove(new)
        new.mkdir()
        try:
            write_state(new, state)  # first: what it refuses costs nothing
            save_model(new)
            files = {
                file.relative_to(new).as_posix(): file for file in new.rglob("*") if file.is_file()
            }
            force_to_disk(new)
            whole = {
                "iteration": state["iteration"],
                **progress,
                "files": {name: file.stat().st_size for name, file in files.items()},
                "sums": {name: _sum(file) for name, file in files.items()},
            }
            write_whole(new / PROGRESS, json.dumps(whole))
        except BaseException:
            _remove(new)  # half a checkpoint only takes up space
            raise
        _swap(run)
        _prune(run, keep - 1)
    except Exception as error:
        explained = _explained(run, error)
        if explained is None:
            raise
        raise explained from error


def _explained(run: Path, error: Exception) -> OSError | None:
    """What the disk refused, in one line; None for an error of another kind."""
    if not isinstance(error, OSError):
        # safetensors and tokenizers are written in Rust and say it in words only
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            return None
        error = OSError(int(number[1]), os.strerror(int(number[1])))
    known = cannot_write(run / NEW, error)
    kept = "--resume goes on from the last checkpoint, which is kept"
    explained = OSError(f"{known}; {kept if (run / NOW).is_dir() else 'nothing was kept yet'}")
    explained.errno = known.errno
    return explained


def _swap(run: Path) -> None:
    """Put the new checkpoint in the place of the old one; `recover` mends a crash in between."""
    now = run / NOW
    if now.is_dir():
        aside = run / EARLIER / _iterations(now)
        aside.parent.mkdir(exist_ok=True)
        _remove(aside)  # a run that was rewound comes by here again
        now.rename(aside)
        _force(aside.parent)
    (run / NEW).rename(now)
    _force(run)


def _prune(run: Path, keep: int) -> None:
    for folder in earlier(run)[keep:]:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Delete a checkpoint; what a crash leaves of it is no whole one."""
    (folder / PROGRESS).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def earlier(run: Path) -> list[Path]:
    """The folders of the checkpoints before the newest that are whole, newest first."""
    found = [p.parent for p in (run / EARLIER).glob(f"*/{PROGRESS}") if p.parent.name.isdecimal()]
    return sorted(found, key=lambda folder: int(folder.name), reverse=True)


def recover(run: Path) -> None:
    """Finish or undo a replacement that a crash interrupted."""
    new, now = run / NEW, run / NOW
    # `now` is away only between the two renames, when `new` is whole
    if not now.exists():
        if (new / PROGRESS).is_file():
            new.rename(now)
        elif whole := earlier(run):
            whole[0].rename(now)
        _force(run)
    _remove(new)


def read_progress(run: Path) -> dict[str, Any]:
    """What the run's checkpoint says of how far it is; empty where no trainer has left one.

    Raises:
        ValueError: for a checkpoint that is not whole, or from before safetensors; one line.
    """
    folder = run / NOW
    if not any((folder / name).exists() for name in (PROGRESS, REST, "trainer.pt")):
        return {}
    if (folder / "trainer.pt").exists():
        raise ValueError(
            f"{folder}: its trainer state is a pickle of an older version, which could run code "
            f"and is not read; begin a new run from its model with --model {folder}"
        )
    file = folder / PROGRESS
    try:
        progress = json.loads(file.read_text(encoding="utf-8"))
        _check_logs(progress)
        sums = progress.get("sums", {})  # absent in checkpoints of older versions
        for name, size in progress["files"].items():
            file = folder / name
            if file.stat().st_size != size:
                raise ValueError(f"{file.stat().st_size} bytes instead of {size}")
            if name in sums and _sum(file) != sums[name]:
                raise ValueError("its bytes have changed since it was written")
        return cast("dict[str, Any]", progress)
    except PermissionError:
        raise  # it may well be whole
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else error
        raise ValueError(
            f"{file}: expected a whole checkpoint, got a torn or foreign one ({reason}); "
            f"{remedy(run)}"
        ) from error


def _check_logs(progress: Mapping[str, Any]) -> None:
    """Refuse what would cut the logs elsewhere than a checkpoint does."""
    numbers = [progress["seconds"], progress["iteration"], *progress["sizes"].values()]
    for number in numbers:
        if not isinstance(number, int | float) or number < 0:
            raise ValueError(f"{number!r} where a count belongs")


def _sum(file: Path) -> int:
    """The CRC-32 of a file: safetensors would read a flipped bit as a weight like any other."""
    found = 0
    with file.open("rb") as whole:
        while block := whole.read(1 << 20):
            found = zlib.crc32(block, found)
    return found


def remedy(run: Path) -> str:
    """What to do about a checkpoint that cannot be read."""
    if whole := earlier(run):
        name = f"{EARLIER}/{whole[0].name}"
        return f"in {run}, move {NOW} away and {name} into its place to go on from there"
    return "choose another --out and begin anew"


def _iterations(folder: Path) -> str:
    try:
        return str(int(json.loads((folder / PROGRESS).read_text("utf-8"))["iteration"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "0"  # not written by a run: kept as the oldest


def force_to_disk(folder: Path) -> None:
    """Force all files below a folder, and the folder's own entries, to the disk."""
    for path in [*folder.rglob("*"), folder]:
        _force(path)


def _force(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle for a folder
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(file: Path, text: str) -> None:
    """Write a small file whole or not at all, and force it to the disk.

    Raises:
        OSError: where the file cannot be written, with what to do about it.
    """
    part = file.with_name(file.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        _force(part)
        part.replace(file)
        _force(file.parent)
    except OSError as error:
        raise cannot_write(file, error) from error
