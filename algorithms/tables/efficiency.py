"""Sample efficiency: examples/benchmarks/efficiency/efficiency.json."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bench.credit.measures import student_interval
from .markdown import BENCHMARKS, made, read, table

FILE = f"{BENCHMARKS}/efficiency/efficiency.json"
NOT_RUN = "not run"
RIVALS = ("token_ppo", "archer")


def efficiency(root: Path) -> str:
    """Turns to 90 % of the expert's score, and their ratio; nothing while there is no file."""
    file = root / FILE
    if not file.exists():
        return ""
    from ..bench.efficiency import WINDOW  # it imports torch

    record = read(file)
    text = (
        f"Environment turns until the last {WINDOW} training episodes earned 90 % of what lies "
        "between a random player and the expert (so many episodes take the turns that they take, "
        "however fast is learned), from the same cloned model; four settings of each algorithm "
        "were tried with a seed of their own, the best plays these. The ratio is PPO's turns "
        "divided by ArCHer's, the geometric mean over seeds [95 %]; `>` or `<` where one came too "
        f"late within its budget, which then stands for its turns ({made(record, file, root)})."
    )
    rows = [_row(record, task) for task in record["tasks"]]
    head = ("task", "token PPO", "ArCHer", "PPO / ArCHer")
    return f"## Sample efficiency\n\n{text}\n\n{table(head, rows)}"


def _row(record: Mapping[str, Any], task: str) -> list[str]:
    found = {
        name: [record["cells"].get(f"{task} / {name} / {seed}") for seed in record["seeds"]]
        for name in RIVALS
    }
    budget = record["tasks"][task]["turn_budget"]
    shown = [_turns(found[name], budget) for name in RIVALS]
    if not all(cell for cells in found.values() for cell in cells):
        return [task, *shown, NOT_RUN]
    spent = {n: [cell["turns_until"] or budget for cell in cells] for n, cells in found.items()}
    arrived = {n: all(cell["turns_until"] for cell in cells) for n, cells in found.items()}
    return [task, *shown, _ratio(spent, arrived)]


def _turns(cells: Sequence[Mapping[str, Any] | None], budget: int) -> str:
    run = [cell for cell in cells if cell]
    if not run:
        return NOT_RUN
    return ", ".join(
        f"{cell['turns_until']:,}" if cell["turns_until"] else f"> {budget:,}" for cell in run
    )


def _ratio(spent: Mapping[str, Sequence[int]], arrived: Mapping[str, bool]) -> str:
    if not any(arrived.values()):
        return "neither arrived"
    logs = [
        math.log(ppo / archer)
        for ppo, archer in zip(spent["token_ppo"], spent["archer"], strict=True)
    ]
    spread = student_interval(logs)
    mean, low, high = (math.exp(spread[name]) for name in ("mean", "low", "high"))
    sign = "" if all(arrived.values()) else "> " if arrived["archer"] else "< "
    return f"{sign}{mean:.2g} [{low:.2g}, {high:.2g}]"
