"""How many threads torch may use, set once by every program: `set_threads`. Loads no torch.

Left alone, torch takes a thread for each core it sees: in each of several processes, and in a
container that may use two of a machine's sixty-four. Both make small models many times slower.
"""

import multiprocessing
import os
import sys
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def set_threads(count: int | None = None, *, processes: int = 1) -> int:
    """Give torch a number of threads, whether it is imported already or later; returns the number.

    Args:
        count: None is 1 in a child of multiprocessing, because its siblings and its parent compute
            too; else OMP_NUM_THREADS where it is set, else the CPUs this process may use.
        processes: How many processes like this one share the CPUs.

    Raises:
        ValueError: for a number below 1.
    """
    if count is None and multiprocessing.parent_process() is not None:
        count = 1
    elif count is None:
        count = _given() or max(1, usable_cpus() // processes)
    if count < 1:
        raise ValueError(f"threads = {count}; expected an integer >= 1")
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(count)
    else:  # a program that never needs it should not wait for it; it reads this when it is imported
        os.environ["OMP_NUM_THREADS"] = str(count)
    return count


def _given() -> int | None:
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not text:
        return None
    if not text.isdecimal() or not int(text):
        raise ValueError(
            f"OMP_NUM_THREADS = {text!r}; expected an integer >= 1; correct or unset it"
        )
    return int(text)


def usable_cpus(quota: Path = _QUOTA) -> int:
    """The CPUs that this process may keep busy: those it may run on, within a container's share.

    Args:
        quota: The file in which Linux tells the share: microseconds within a period, or "max".
    """
    count = os.cpu_count() or 1
    if sys.platform == "linux":  # a container or a scheduler may allow fewer than there are
        count = len(os.sched_getaffinity(0))
    try:
        share, period = quota.read_text(encoding="ascii").split()
        count = min(count, max(1, int(share) // int(period)))
    except (OSError, ValueError):
        pass  # no file, or "max": no share is set
    return count
