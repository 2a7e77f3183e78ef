"""Files of lines that survive a crash: reading passes over a torn end, appending repairs it first.

A line is whole when its line break is there, or when it can be parsed without one. What an
interrupted writer left behind the last whole line is torn: readers warn and leave it out; the next
writer sets it aside in `<name>.torn`, so that its own lines stand on lines of their own.
"""

import errno
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import TypeVar

log = logging.getLogger("lmenvs")

_Parsed = TypeVar("_Parsed")
_BLOCK = 1 << 16
_REMEDIES = {
    errno.ENOSPC: "free some space and go on",
    errno.EDQUOT: "free some space within your quota and go on",
    errno.EFBIG: "allow larger files (ulimit -f) and go on",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENOTDIR: "choose a folder; a file is in its place",
    errno.EEXIST: "choose a folder; a file is in its place",
    errno.EISDIR: "name a file; a folder is in its place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "correct the path",
    errno.EMFILE: "close files or allow more of them (ulimit -n)",
}


def read_lines(path: str | os.PathLike[str], parse: Callable[[str], _Parsed]) -> Iterator[_Parsed]:
    """What `parse` makes of each line that is not blank, one at a time, however long the file.

    A torn last line is left out with a warning that names file and line.

    Raises:
        ValueError: on the first other line that `parse` refuses with ValueError; with its number.
    """
    # bytes, so that a line that is not UTF-8 is reported with its number too
    with Path(path).open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    parsed = parse(line.decode("utf-8"))
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
                        f"{path}, line {number}: {error}; delete the line or write the file again"
                    ) from error
                yield parsed


def append_lines(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """Add lines (without their breaks) at the end of a file; all of them or, on an error, none.

    Raises:
        OSError: where the file cannot be written, with what to do about it.
    """
    file = Path(path)
    try:
        _repair(file)
        with file.open("ab", buffering=0) as end:  # a buffer would be written again at closing
            before = end.tell()
            try:
                _write(end, lines)
            except BaseException:
                _cut(file, before)
                raise
    except OSError as error:
        raise cannot_write(file, error) from error


def write_lines(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """Write a file of lines anew; an older file stays until the new one is complete.

    Raises:
        OSError: where the file cannot be written, with what to do about it.
    """
    file = Path(os.path.realpath(path))
    special = file.exists() and not file.is_file()  # a pipe or a terminal
    part = file if special else file.with_name(file.name + ".part")
    try:
        try:
            with part.open("wb", buffering=0) as new:
                _write(new, lines)
            if not special:
                part.replace(file)
        except BaseException:
            if not special:
                part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error


def _write(file: FileIO, lines: Iterable[str]) -> None:
    block = bytearray()
    for line in lines:
        block += line.encode("utf-8") + b"\n"
        if len(block) >= _BLOCK:
            _write_block(file, block)
            block.clear()
    _write_block(file, block)


def _write_block(file: FileIO, block: bytearray) -> None:
    written = 0
    while written < len(block):  # a disk that is nearly full takes a part
        written += file.write(bytes(block[written:]))


def cannot_write(path: str | os.PathLike[str], error: OSError) -> OSError:
    """The same error with one line that names the file, the reason and the remedy."""
    if error.errno is None:
        return error  # it has been explained already
    explained = type(error)(f"cannot write {path}: {reason_and_remedy(error.errno)}")
    explained.errno = error.errno
    return explained


def reason_and_remedy(number: int) -> str:
    """What the system means by this number of an error, and what to do about it.

    >>> reason_and_remedy(errno.ENOSPC)
    'No space left on device; free some space and go on'
    """
    remedy = _REMEDIES.get(number, "correct the path, or make it readable and writable")
    return f"{os.strerror(number)}; {remedy}"


def _repair(file: Path) -> None:
    """Give a whole last line its missing break, set a torn one aside."""
    if not file.is_file() or not (size := file.stat().st_size):
        return
    with file.open("r+b") as both:
        whole = _end_of_last_break(both.fileno(), size)
        if whole == size:
            return
        both.seek(whole)
        rest = both.read()
        try:
            json.loads(rest)
        except ValueError:
            pass
        else:
            both.write(b"\n")
            return
        aside = file.with_name(file.name + ".torn")
        with aside.open("ab") as kept:
            kept.write(rest + b"\n")
        both.truncate(whole)
    log.warning("%s: a last line that was cut off (%d bytes) is now in %s", file, len(rest), aside)


def _end_of_last_break(descriptor: int, size: int) -> int:
    """The offset behind the last line break; 0 where there is none."""
    end = size
    while end:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _cut(file: Path, size: int) -> None:
    """Take back what was half written; where even that fails, the next writer repairs."""
    try:
        os.truncate(file, size)
    except OSError:
        log.warning("%s: the last line may be cut off", file)
