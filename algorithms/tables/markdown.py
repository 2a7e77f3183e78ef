"""What the tables share: where they read, and how cells are written."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = "examples/benchmarks"
_NEEDED = ("command", "commit", "machine", "seeds")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def read(file: Path) -> dict[str, Any]:
    """A result file.

    Raises:
        ValueError: if it does not say how it was made.
    """
    record = json.loads(file.read_text(encoding="utf-8"))
    if "cells" in record:  # they may have been run by several commits
        record["commit"] = sorted({str(cell["commit"]) for cell in record["cells"].values()})
    missing = [name for name in _NEEDED if name not in record]
    if missing:
        raise ValueError(
            f"{file}: expected {', '.join(_NEEDED)} beside the scores, "
            f"got no {', '.join(missing)}; a number without them cannot be checked"
        )
    return record


def made(record: Mapping[str, Any], file: Path, root: Path) -> str:
    """How a result file was made, and a link to it from a page in `root`."""
    machine = record["machine"]
    if isinstance(machine, Mapping):
        machine = machine.get("processor", machine.get("platform", ""))
    commits = record["commit"] if isinstance(record["commit"], list) else [record["commit"]]
    named = ", ".join(dict.fromkeys(f"`{str(commit)[:12]}`" for commit in commits))
    return (
        f"`{_command(record['command'])}`, seeds {_listed(record['seeds'])}, "
        f"commit {named}, {machine}; "
        f"[{file.name}]({file.relative_to(root).as_posix()})"
    )


def _command(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)


def _listed(seeds: Any) -> str:
    return ", ".join(map(str, seeds)) if isinstance(seeds, list) else str(seeds)
