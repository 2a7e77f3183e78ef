"""What a result depends on, and what the process that makes it holds: versions, machine, memory."""

import contextlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from lmenvs.version import __version__

_RECORDED = ("numpy", "gymnasium", "torch", "transformers", "tokenizers", "peft", "textworld")


def versions() -> dict[str, str]:
    """The versions that a result depends on; packages that are not installed are left out."""
    found = {"python": sys.version.split()[0], "platform": sys.platform, "lmenvs": __version__}
    for name in _RECORDED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine() -> dict[str, str | int]:
    """What a speed depends on."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count() or 1,
        "threads": _threads(),
    }


def _threads() -> int | str:
    torch = sys.modules.get("torch")  # whoever has not imported it computes nothing with it
    return os.environ.get("OMP_NUM_THREADS", "unset") if torch is None else torch.get_num_threads()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


RESULTS = ":(exclude,glob)examples/benchmarks/**/*.json"  # a benchmark fills its own file


def commit(root: Path = Path(__file__).resolve().parent.parent) -> str | None:
    """The git commit of this checkout, None outside of one; "-dirty" where files differ, the
    results of benchmarks aside.
    """
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", RESULTS)
    return f"{head}-dirty" if head and changed else head or None


def _git(root: Path, *command: str) -> str:
    """What git says; nothing where it cannot be asked."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *command],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def memory() -> dict[str, float]:
    """What this process holds now, as metrics: resident memory in MiB and open files.

    Left out where the system does not say it (outside Linux, the memory).
    """
    found: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        found["memory/resident_mib"] = pages * os.sysconf("SC_PAGESIZE") / 2**20
    with contextlib.suppress(OSError):
        # one of them is the handle of the folder itself
        found["memory/open_files"] = len(os.listdir("/dev/fd")) - 1
    return found
