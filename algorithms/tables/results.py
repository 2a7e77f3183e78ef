"""Scores of policies: examples/benchmarks/results/*.json."""

from collections.abc import Mapping
from pathlib import Path

from ..report.reading import result_rows, score_table
from .markdown import made, read, table

FOLDER = "examples/benchmarks/results"


def results(root: Path) -> str:
    """One table for each result file, with how it was made; nothing while there is none."""
    parts = [_result(file, root) for file in sorted((root / FOLDER).glob("*.json"))]
    return "\n\n".join(["## Results", *parts]) if parts else ""


def _result(file: Path, root: Path) -> str:
    record = read(file)
    rows = [
        (
            row.policy,
            _share(row.sampled["success"]),
            _share(row.greedy["success"]) if row.greedy else "",
            str(row.sampled["n"]),
        )
        for row in score_table(result_rows(record, file))
    ]
    head = ("policy", "success, sampled [95 %]", "success, greedy [95 %]", "episodes")
    title = record.get("title", file.stem)
    return f"**{title}** ({made(record, file, root)})\n\n{table(head, rows)}"


def _share(estimate: Mapping[str, float]) -> str:
    mean, low, high = (100 * estimate[name] for name in ("mean", "low", "high"))
    return f"{mean:.1f} % [{low:.1f}, {high:.1f}]"
