"""What was learned: examples/benchmarks/learning/tabular.json and language_models.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bench.credit.environments import ENVIRONMENTS
from ..bench.credit.estimators import ESTIMATORS, Estimator
from ..bench.credit.measures import student_interval
from ..bench.tabular_learning import cell_name
from .markdown import BENCHMARKS, made, read, table

TABULAR = f"{BENCHMARKS}/learning/tabular.json"
LANGUAGE_MODELS = f"{BENCHMARKS}/learning/language_models.json"
NOT_RUN = "not run"
REFERENCE = "RLOO"


def tabular(root: Path) -> str:
    """What every estimator made of a table; nothing while there is no such file."""
    file = root / TABULAR
    if not file.exists():
        return ""
    record = read(file)
    settings = record["settings"]
    text = (
        "Every estimator trains the same table from uniform play "
        f"by {settings['iterations']} steps of Adam, at the environment turns of "
        f"{settings['iterations'] * settings['episodes']:,} uniform episodes. A cell is the exact "
        "value of the last policy, 0 as uniform and 1 as optimal play: the mean over seeds [95 %]. "
        "*Area* is the mean over turns, seeds and environments; *better / worse* counts the "
        "environments in which the interval of an estimator's area lies above or below that of "
        f"{REFERENCE} ({made(record, file, root / BENCHMARKS)})."
    )
    rows = [_estimator(estimator, record["cells"]) for estimator in ESTIMATORS]
    head = ("estimator", "area", "better / worse", *ENVIRONMENTS)
    return f"## Tables that learn\n\n{text}\n\n{table(head, rows)}"


def _estimator(estimator: Estimator, cells: Mapping[str, Any]) -> list[str]:
    name = estimator.name if estimator.kind == "method" else f"{estimator.name} ({estimator.kind})"
    found = [cells.get(cell_name(env, estimator.name)) for env in ENVIRONMENTS]
    return [
        name,
        *_areas(found, [cells.get(cell_name(env, REFERENCE)) for env in ENVIRONMENTS]),
        *(_spread(cell["final"], "z.2f") if cell else NOT_RUN for cell in found),
    ]


def _areas(cells: Sequence[Any], others: Sequence[Any]) -> tuple[str, str]:
    """The mean, and in how many environments it is clearly above and below the others'."""
    if not all(cells):
        return NOT_RUN, NOT_RUN
    mean = f"{sum(cell['area']['mean'] for cell in cells) / len(cells):.2f}"
    if not all(others):
        return mean, NOT_RUN
    pairs = [(cell["area"], other["area"]) for cell, other in zip(cells, others, strict=True)]
    better = sum(mine["low"] > other["high"] for mine, other in pairs)
    worse = sum(mine["high"] < other["low"] for mine, other in pairs)
    return mean, f"{better} / {worse}"


def language_models(root: Path) -> str:
    """What every algorithm made of tiny language models; nothing while there is no such file."""
    file = root / LANGUAGE_MODELS
    if not file.exists():
        return ""
    from ..bench.learning import METHODS, SEEDS, TASKS, Cell  # it imports torch

    record = read(file)
    budgets = ", ".join(f"{name} {task.turn_budget:,}" for name, task in TASKS.items())
    text = (
        "Every algorithm trains the same cloned tiny language model at the same environment turns "
        f"({budgets}) and with the same steps; what differs is credit. A cell is held-out play as "
        f"sampled: the mean over seeds [95 %] ({made(record, file, root)})."
    )
    found = dict(record["cells"])
    for name, score in record["starts"].items():
        task, _, seed = name.partition(" / ")
        found[Cell(task, "start", int(seed)).name] = score
    columns = [(task, measure) for task in TASKS for measure in ("success", "return")]
    rows = [
        [
            method,
            *(
                _seeds([found.get(Cell(task, method, seed).name) for seed in SEEDS], measure)
                for task, measure in columns
            ),
        ]
        for method in ("start", *METHODS)
    ]
    head = ("algorithm", *(f"{task}, {measure}" for task, measure in columns))
    return f"## Learning\n\n{text}\n\n{table(head, rows)}"


def _seeds(cells: Sequence[Mapping[str, Any] | None], measure: str) -> str:
    run = [cell[measure]["mean"] for cell in cells if cell]
    if not run:
        return NOT_RUN
    written = _spread(student_interval(run), "z.2f") if len(run) > 1 else f"{run[0]:z.2f}"
    return written if len(run) == len(cells) else f"{written}, {len(run)} of {len(cells)} seeds"


def _spread(found: Mapping[str, float], form: str) -> str:
    return f"{found['mean']:{form}} [{found['low']:{form}}, {found['high']:{form}}]"
