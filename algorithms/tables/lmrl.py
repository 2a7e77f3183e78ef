"""LMRL-Gym's comparison: examples/benchmarks/lmrl/lmrl.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmenvs.references import references
from lmenvs.scores import between

from ..bench.credit.measures import student_interval
from .markdown import BENCHMARKS, made, read, table

FILE = f"{BENCHMARKS}/lmrl/lmrl.json"
NOT_RUN = "not run"


def lmrl(root: Path) -> str:
    """Raw and normalised scores of every method on every task; nothing while there is no file."""
    file = root / FILE
    if not file.exists():
        return ""
    from ..bench.lmrl.methods import METHODS
    from ..bench.lmrl.tasks import TITLES

    record = read(file)
    seeds = record["seeds"]
    text = (
        "LMRL-Gym's comparison with tiny models that two CPU cores train, on held-out play as "
        "sampled: the raw return, and behind it the normalised score (0 the minimum, 50 the "
        "average of the data, 100 the maximum); the mean over seeds [95 %]. The mazes and Wordle "
        "are LMRL-Gym's tasks, under its bounds, with its figures below ours; data and models are "
        "ours, and Wordle shows its marks behind their letters, as a tiny model cannot spell. The "
        "other tasks are other environments than LMRL-Gym's and are set between our own "
        f"minimum, data average and expert ({made(record, file, root)})."
    )
    rows: list[Sequence[str]] = []
    for title in TITLES:
        bounds = record["bounds"].get(title)
        rows.append(
            [title, _bounds(bounds), *(_cell(record, title, m, seeds, bounds) for m in METHODS)]
        )
        if title in record["tasks"] and record["tasks"][title]["theirs"]:
            rows.append(_published(record["tasks"][title]["theirs"], list(METHODS), bounds))
    head = ("task", "minimum / data / expert", *METHODS)
    return f"## LMRL-Gym's table\n\n{text}\n\n{table(head, rows)}"


def _bounds(bounds: Mapping[str, float] | None) -> str:
    if bounds is None:
        return NOT_RUN
    return " / ".join(f"{bounds[name]:.4g}" for name in ("min", "data", "expert"))


def _cell(
    record: Mapping[str, Any],
    task: str,
    method: str,
    seeds: Sequence[int],
    bounds: Mapping[str, float] | None,
) -> str:
    found = [record["cells"].get(f"{task} / {method} / {seed}") for seed in seeds]
    raw = [cell["sampled"]["return"]["mean"] for cell in found if cell]
    if not raw or bounds is None:
        return NOT_RUN
    spread = student_interval(raw) if len(raw) > 1 else None
    mean = sum(raw) / len(raw)
    shown = f"{mean:z.2f}"
    if spread is not None:
        shown += f" [{spread['low']:z.2f}, {spread['high']:z.2f}]"
    shown += f"; {between(mean, bounds['min'], bounds['average'], bounds['max']):.1f}"
    return shown if len(raw) == len(seeds) else f"{shown}, {len(raw)} of {len(seeds)} seeds"


def _published(env: str, methods: Sequence[str], bounds: Mapping[str, float]) -> list[str]:
    known = references(env)
    shown = [
        f"{known[m].value:.4g}; "
        f"{between(known[m].value, bounds['min'], bounds['average'], bounds['max']):.1f}"
        if m in known
        else ""
        for m in methods
    ]
    theirs = " / ".join(f"{bounds[name]:.4g}" for name in ("min", "average", "max"))
    return ["LMRL-Gym's figures", theirs, *shown]
