"""One process at a time works in a run folder: a second would cut the first one's logs under it."""

import os
import time
from pathlib import Path
from weakref import WeakValueDictionary

WAIT = 5.0  # seconds: a process that was killed holds on until the system has buried it


class FolderLock:
    """Holds the folder for this process while the object lives; the system ends it with us."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)


_HELD: WeakValueDictionary[tuple[int, int], FolderLock] = WeakValueDictionary()


def lock_folder(folder: Path) -> FolderLock | None:
    """Hold a folder that exists; all of this process that ask for it share one lock.

    Returns:
        None where the system or the file system knows no such locks.

    Raises:
        ValueError: where another process still holds it after WAIT seconds; one line.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        place = status.st_dev, status.st_ino
        if (held := _HELD.get(place)) is not None:
            os.close(descriptor)
            return held
        until = time.monotonic() + WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise ValueError(
                        f"--out {folder}: expected a folder that nobody works in, got one that "
                        "another process has open; stop that one, or choose another folder"
                    ) from None
                time.sleep(0.05)
            else:
                break
    except OSError:  # some network file systems
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    lock = _HELD[place] = FolderLock(descriptor)
    return lock
