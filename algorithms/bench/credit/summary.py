"""What to read first of a credit benchmark: every estimator over all environments, set beside RLOO.

An estimator is better than RLOO in an environment if the 95 % interval of its gradient's cosine
lies above RLOO's at the same cost, and worse if it lies below.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

REFERENCE = "RLOO"
PER_THOUSAND = 1000.0
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overall:
    """One estimator at one budget: means over the environments in which it ran.

    Attributes:
        name: The estimator.
        kind: method, foil or oracle.
        needs: What it needs beyond episodes.
        ran: In how many environments.
        means: rank, sign, scaled_mse, token_rank, cosine, scaled_bias.
        better: In how many its cosine is surely higher than the reference's.
        worse: In how many it is surely lower.
        seconds: Of credit, per 1000 environment turns.
    """

    name: str
    kind: str
    needs: str
    ran: int
    means: Mapping[str, float]
    better: int
    worse: int
    seconds: float


MEASURES = ("rank", "sign", "scaled_mse", "token_rank", "cosine", "scaled_bias")


def environments(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that are environments with exact truth and were not refused."""
    return {name: found for name, found in parts.items() if "returns" in found}


def budgets(parts: Mapping[str, Any]) -> list[int]:
    """All of them, the smallest first."""
    return sorted(
        {row["budget"] for found in environments(parts).values() for row in found["rows"]}
    )


def overall(parts: Mapping[str, Any], budget: int) -> list[Overall]:
    """One line for each estimator, in the order of the file."""
    tables = [
        {row["estimator"]: row for row in found["rows"] if row["budget"] == budget}
        for found in environments(parts).values()
    ]
    names = dict.fromkeys(name for table in tables for name in table)
    return [_overall(name, tables) for name in names]


def _overall(name: str, tables: Sequence[Mapping[str, Row]]) -> Overall:
    rows = [(table[name], table.get(REFERENCE, {})) for table in tables if name in table]
    ran = [(row, other) for row, other in rows if "not_run" not in row]
    pairs = [
        (row["cosine"], other["cosine"])
        for row, other in ran
        if "cosine" in row and "cosine" in other
    ]
    return Overall(
        name,
        rows[0][0]["kind"],
        rows[0][0]["needs"],
        len(ran),
        {
            measure: float(np.mean(found))
            for measure in MEASURES
            if (found := [row[measure]["mean"] for row, _ in ran if measure in row])
        },
        sum(mine["low"] > other["high"] for mine, other in pairs),
        sum(mine["high"] < other["low"] for mine, other in pairs),
        float(np.mean([PER_THOUSAND * row["seconds"] / row["turns"] for row, _ in ran]))
        if ran
        else 0.0,
    )


HEAD = (
    "estimator",
    "needs",
    "rank",
    "sign",
    "error",
    "token rank",
    "angle of bias",
    "cosine",
    "better / worse than RLOO",
    "environments",
)


def cells(parts: Mapping[str, Any], budget: int) -> list[tuple[str, ...]]:
    """The lines of the summary table, under `HEAD`."""
    return [_cells(parts, row) for row in overall(parts, budget)]


def _cells(parts: Mapping[str, Any], row: Overall) -> tuple[str, ...]:
    name = row.name if row.kind == "method" else f"{row.name} ({row.kind})"
    if not row.ran:
        return (name, row.needs, *["not run"] * 6, "", "0")
    means = row.means
    angle = np.degrees(np.arcsin(means["scaled_bias"])) if "scaled_bias" in means else None
    return (
        name,
        row.needs,
        *(f"{means[measure]:.2f}" if measure in means else "" for measure in MEASURES[:4]),
        "" if angle is None else f"{angle:.0f}°",
        f"{means['cosine']:.2f}" if "cosine" in means else "",
        "" if row.name == REFERENCE else f"{row.better} / {row.worse}",
        f"{row.ran} of {len(environments(parts))}",
    )


def verdict(parts: Mapping[str, Any]) -> list[str]:
    """Which methods earn their cost, where, and which do not, in plain words; [] without rows."""
    if not budgets(parts):
        return []
    sentences = [_best(parts, budget) for budget in budgets(parts)]
    middle = budgets(parts)[len(budgets(parts)) // 2]
    methods = [row for row in overall(parts, middle) if row.kind == "method" and row.ran]
    judged = [row for row in methods if row.name != REFERENCE]
    earn = [row for row in judged if row.better > row.worse]
    lose = [row for row in judged if row.worse > row.better]
    even = [row for row in judged if row.worse == row.better]
    sentences.append(
        f"At the cost of {middle} episodes, these make a better gradient than {REFERENCE} more "
        "often than a worse one, and so earn their cost (surely better / surely worse, of "
        f"{len(environments(parts))} environments): "
        f"{_counted(sorted(earn, key=lambda row: row.worse - row.better))}."
    )
    worst_first = sorted(lose, key=lambda row: row.better - row.worse)
    sentences.append(f"These do not earn it: {_counted(worst_first)}.")
    sentences.append(f"As often better as worse, or no different: {_counted(even)}.")
    sentences.append(_where(parts, middle))
    return sentences


def _best(parts: Mapping[str, Any], budget: int) -> str:
    rows = [row for row in overall(parts, budget) if row.kind == "method" and "cosine" in row.means]
    most = max((row.ran for row in rows), default=0)
    first = sorted((row for row in rows if row.ran == most), key=lambda row: -row.means["cosine"])
    named = ", ".join(f"{row.name} ({row.means['cosine']:.2f})" for row in first[:3])
    return f"Closest to the true gradient at the cost of {budget} episodes: {named}."


def _where(parts: Mapping[str, Any], budget: int) -> str:
    best: dict[str, list[str]] = {}
    for name, found in environments(parts).items():
        rows = [
            row
            for row in found["rows"]
            if row["budget"] == budget and row["kind"] == "method" and "cosine" in row
        ]
        if rows:
            winner = max(rows, key=lambda row: row["cosine"]["mean"])["estimator"]
            best.setdefault(winner, []).append(name)
    named = sorted(best.items(), key=lambda pair: -len(pair[1]))
    return (
        "First in each environment, at that cost: "
        + "; ".join(f"{w} on {', '.join(on)}" for w, on in named)
        + "."
    )


def _counted(rows: Iterable[Overall]) -> str:
    return ", ".join(f"{row.name} ({row.better} / {row.worse})" for row in rows) or "none"


def not_measured(parts: Mapping[str, Any]) -> list[str]:
    """Environments that were refused, or are smaller than their default, and why."""
    refused = [f"{n}: refused, {f['refused']}" for n, f in parts.items() if "refused" in f]
    smaller = [f"{n}: {f['smaller']}" for n, f in environments(parts).items() if f["smaller"]]
    return refused + smaller


def speeds(parts: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """(what, value, unit) of the part `speed`, if it is there."""
    found = parts.get("speed", {})
    rows = [
        (
            f"{row['function']}, {found['episodes']} episodes of {found['turns']} turns, "
            f"{row['needs']}",
            row["seconds"],
            "s",
        )
        for row in found.get("functions", ())
    ]
    shares = [
        (f"{row['algorithm']}: share of an iteration", 100 * row["share"], "%")
        for row in found.get("training", ())
    ]
    return rows + shares
