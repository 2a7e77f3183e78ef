"""The page's section on a credit benchmark: the table to read first, and one picture for each
environment with the rank correlation and the gradient's cosine of every estimator.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.secrets import masked, masked_data

from ..bench.credit import summary
from .charts import Dot, dots

FILE = "credit.json"
_PANELS = {
    "rank": "rank correlation with the true advantage",
    "cosine": "cosine to the true gradient",
}


@dataclass(frozen=True, slots=True)
class CreditRecord:
    """A file of `lmenvs bench credit`, read."""

    name: str
    record: dict[str, Any]

    @property
    def parts(self) -> dict[str, Any]:
        """What was measured."""
        return self.record["parts"]


@dataclass(frozen=True, slots=True)
class CreditTable:
    """The summary at one budget."""

    budget: int
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CreditSection:
    """What the template shows of one file.

    Attributes:
        name: Of the file.
        made: How it was made.
        verdict: In words.
        columns: What the tables' columns say.
        head: Of the tables.
        tables: One for each budget.
        budgets: The legend: budgets in the order of the series.
        pictures: (environment, SVG).
        notes: How forked truth is known, environments that were refused or made smaller.
    """

    name: str
    made: str
    verdict: Sequence[str]
    columns: str
    head: Sequence[str]
    tables: Sequence[CreditTable]
    budgets: Sequence[int]
    pictures: Sequence[tuple[str, str]]
    notes: Sequence[str]


def credit_file(path: Path) -> Path | None:
    """The file itself, or the one that a folder which is no run holds; None where there is none."""
    if path.is_dir() and not (path / "config.json").exists():
        path = path / FILE
    return path if path.is_file() else None


def read_credit(file: Path) -> CreditRecord:
    """Read a file of `lmenvs bench credit`.

    Raises:
        ValueError: if it is none.
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["benchmark"] != "credit":
            raise ValueError(f"a benchmark of {record['benchmark']}")
        record["parts"].items(), record["command"], record["date"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected what lmenvs bench credit --out wrote, got something else "
            f"({error!r}); name that file, or the folder of a run"
        ) from error
    return CreditRecord(file.name, masked_data(record))


def section_of(credit: CreditRecord, number: int) -> CreditSection:
    """What the page shows of a file, the `number`-th on it."""
    record, parts = credit.record, credit.parts
    budgets = summary.budgets(parts)
    pictured = [name for name, found in parts.items() if found.get("rows")]
    machine = record.get("machine", {}).get("processor", "")
    made = f"{record['command']}, {record['date']}, commit {record.get('commit')}, {machine}"
    return CreditSection(
        name=credit.name,
        made=masked(made),
        verdict=summary.verdict(parts),
        columns=summary.COLUMNS,
        head=(*summary.HEAD, *summary.COST_HEAD),
        tables=[CreditTable(budget, _lines(parts, budget)) for budget in budgets],
        budgets=budgets,
        pictures=[
            (name, _picture(f"credit-{number}-{place}", name, parts[name]["rows"]))
            for place, name in enumerate(pictured)
        ],
        notes=(*summary.forked_truth(parts), *summary.not_measured(parts)),
    )


def _lines(parts: dict[str, Any], budget: int) -> list[tuple[str, ...]]:
    pairs = zip(summary.cells(parts, budget), summary.costs(parts, budget), strict=True)
    return [(*cells, *costs) for cells, costs in pairs]


def _picture(inner_name: str, env: str, rows: Sequence[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    budgets = sorted({row["budget"] for row in rows})
    ran = {row["estimator"] for row in rows if "not_run" not in row}
    panels = {
        label: [
            Dot(names.index(row["estimator"]), budgets.index(row["budget"]), **row[measure])
            for row in rows
            if measure in row
        ]
        for measure, label in _PANELS.items()
        if any(measure in row for row in rows)
    }
    labels = [name if name in ran else f"{name}: not run" for name in names]
    return dots(inner_name, labels, panels, f"Errors of credit on {env}, by estimator")
