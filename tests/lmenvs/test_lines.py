"""Files of lines outlive interrupted writers, full disks and folders that may not be written."""

import errno
import os
import resource
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmenvs.lines import append_lines, read_lines, write_lines

FULL = Path("/dev/full")
on_unix = pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")


def read(path: Path) -> list[int]:
    return list(read_lines(path, int))


def test_a_large_file_is_read_line_by_line(tmp_path: Path):
    path = tmp_path / "lines"
    write_lines(path, ("7" * 100_000 for _ in range(100)))
    assert path.stat().st_size > 10_000_000
    tracemalloc.start()
    assert sum(len(line) for line in read_lines(path, str.strip)) == 10_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_line_longer_than_a_block_is_found_and_set_aside_when_it_is_torn(tmp_path: Path):
    path = tmp_path / "lines"
    append_lines(path, ["1"])
    with path.open("ab") as end:
        end.write(b"{" * 200_000)
    append_lines(path, ["2"])
    assert read(path) == [1, 2]
    assert path.with_name("lines.torn").stat().st_size == 200_001


def test_a_file_that_is_nothing_but_a_torn_line_is_repaired(tmp_path: Path):
    path = tmp_path / "lines"
    path.write_bytes(b"\0\0\0")  # what a power cut may leave
    append_lines(path, ["2"])
    assert read(path) == [2]


def test_lines_that_cannot_be_made_leave_the_file_as_it_was(tmp_path: Path):
    def broken() -> Iterator[str]:
        yield "3" * 200_000  # written before the next one fails
        raise RuntimeError

    path = tmp_path / "lines"
    write_lines(path, ["1"])
    for write in (append_lines, write_lines):
        with pytest.raises(RuntimeError):
            write(path, broken())
        assert read(path) == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["lines"]


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_that_names_the_file_and_the_remedy(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.symlink_to(FULL)
    for write in (append_lines, write_lines):
        with pytest.raises(OSError) as caught:
            write(path, ["1"])
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value) == (
            f"cannot write {path}: No space left on device; free some space and go on"
        )


@on_unix
def test_a_write_that_fails_half_way_is_taken_back(tmp_path: Path):
    path = tmp_path / "lines"
    append_lines(path, ["1" * 9])
    child = os.fork()
    if child == 0:  # the limit is for the life of a process
        resource.setrlimit(resource.RLIMIT_FSIZE, (25, 25))
        try:
            append_lines(path, ["2" * 9, "3" * 9])
        except OSError as error:
            os._exit(0 if error.errno == errno.EFBIG and "ulimit -f" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_text() == "1" * 9 + "\n"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OSError, match="taken/lines: Not a directory; choose a folder"):
        append_lines(tmp_path / "taken" / "lines", ["1"])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="choose a folder that you may write to"):
        append_lines(tmp_path / "lines", ["1"])
    tmp_path.chmod(0o700)
