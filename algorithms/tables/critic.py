"""Critics beside exact values: examples/benchmarks/critic/critic.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .markdown import BENCHMARKS, made, read, table

FILE = f"{BENCHMARKS}/critic/critic.json"
NOT_RUN = "not run"
_MEASURES = ("advantage", "value", "best", "ratio")
HEAD = ("Q - V explained", "V explained", "best action", "spread", "steps", "seconds")
_WHAT = (
    "A critic on a tiny decoder is fitted to the episodes of a player whose action values are "
    "known exactly, and asked for every admissible action at every turn of 64 other episodes. "
    "*Q - V explained* is the share of the exact advantages' variance, *V explained* that of the "
    "values', *best action* how often the action with the largest Q is the best one, *spread* the "
    "standard deviation of Q - V over the true one. *Steps* is after how many Q - V was first "
    "explained as much as wanted ({wanted}) and in how many seeds, *seconds* is what all steps "
    "took. Means over seeds, with the smallest and the largest"
)


def critic(root: Path) -> str:
    """What `lmenvs bench critic` measured; nothing while there is no such file."""
    file = root / FILE
    if not file.exists():
        return ""
    from ..bench.critic.cells import TASKS, WANTED, cell_name  # it imports torch

    record, wanted = read(file), ", ".join(f"{name} {least}" for name, least in WANTED.items())
    origin = made(record, file, root / BENCHMARKS)
    parts = [f"## Critics against the truth\n\n{_WHAT.format(wanted=wanted)} ({origin})."]
    for task, variations in TASKS.items():
        rows = []
        for name, variation in variations.items():
            found = [record["cells"].get(cell_name(task, name, s)) for s in variation.seeds]
            rows.append([name, *row([cell for cell in found if cell], WANTED[task])])
        head = (f"{task}: the default, and what is changed in it", *HEAD)
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def critic_verdict(root: Path) -> str:
    """Whether the critics are as right as wanted, in words; nothing while there is no such file."""
    file = root / FILE
    if not file.exists():
        return ""
    from ..bench.critic.cells import DEFAULT, TASKS, WANTED, cell_name

    record, told = read(file), []
    for task, variations in TASKS.items():
        seeds = variations[DEFAULT].seeds
        cells = [record["cells"].get(cell_name(task, DEFAULT, seed)) for seed in seeds]
        run = [cell["advantage"] for cell in cells if cell]
        if run:
            told.append(
                f"{sum(run) / len(run):.2f} in the {task} (wanted {WANTED[task]:.1f}; "
                f"{len(run)} seeds, the worst {min(run):.2f})"
            )
    return (
        f"A critic on a tiny decoder explains of the exact advantages' variance "
        f"{' and '.join(told)} ({made(record, file, root)}). "
        f"[All critics]({BENCHMARKS}/README.md)."
        if told
        else ""
    )


def row(cells: Sequence[Mapping[str, Any]], wanted: float) -> list[str]:
    """One line of the table: the same critic with several seeds."""
    if not cells:
        return [NOT_RUN] * len(HEAD)
    first = [
        next((point["step"] for point in cell["curve"] if point["advantage"] >= wanted), None)
        for cell in cells
    ]
    reached = [step for step in first if step is not None]
    steps = f"{max(reached)} ({len(reached)} of {len(cells)})" if reached else "never"
    seconds = f"{sum(cell['seconds'] for cell in cells) / len(cells):.0f}"
    return [*(_spread([cell[name] for cell in cells]) for name in _MEASURES), steps, seconds]


def _spread(numbers: Sequence[float]) -> str:
    mean = f"{sum(numbers) / len(numbers):z.2f}"
    return mean if len(numbers) == 1 else f"{mean} [{min(numbers):z.2f}, {max(numbers):z.2f}]"
