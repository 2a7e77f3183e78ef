"""What to read first of a credit benchmark: every estimator over all environments, set beside RLOO.

An estimator is better than RLOO in an environment if the 95 % interval of its gradient's cosine
lies above RLOO's at the same cost, and worse if it lies below. Two equal methods' intervals miss
each other once in 178 comparisons, and a benchmark makes hundreds; so a method is said to earn its
cost, or not to, only from a lead of two environments on, which luck gives to any of 28 equal
methods in 15 environments in less than one benchmark of twenty.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

REFERENCE = "RLOO"
PER_THOUSAND = 1000.0
LEAD = 2  # environments
_Z = NormalDist().inv_cdf(0.975)
BY_CHANCE = 2 * NormalDist().cdf(-_Z * 2**0.5)
"""How often the 95 % intervals of two equal means, as wide as each other, do not meet."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overall:
    """One estimator at one budget: means over the environments in which it ran.

    Attributes:
        name: The estimator.
        kind: method, foil or oracle.
        needs: What it needs beyond episodes.
        ran: In how many environments.
        means: rank, sign, scaled_mse, token_rank, cosine, scaled_bias, bias, deviation.
        compared: In how many its cosine and the reference's are known.
        better: In which of them its interval lies above the reference's.
        worse: In which it lies below.
    """

    name: str
    kind: str
    needs: str
    ran: int
    means: Mapping[str, float]
    compared: int
    better: Sequence[str]
    worse: Sequence[str]

    @property
    def lead(self) -> int:
        """In how many more it is better than worse."""
        return len(self.better) - len(self.worse)


MEASURES = ("rank", "sign", "scaled_mse", "token_rank", "cosine", "scaled_bias")
RAW_MEASURES = ("bias", "deviation")


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
    tables = {
        env: {row["estimator"]: row for row in found["rows"] if row["budget"] == budget}
        for env, found in environments(parts).items()
    }
    names = dict.fromkeys(name for table in tables.values() for name in table)
    return [_overall(name, tables) for name in names]


def _overall(name: str, tables: Mapping[str, Mapping[str, Row]]) -> Overall:
    rows = [table[name] for table in tables.values() if name in table]
    ran = [row for row in rows if "not_run" not in row]
    pairs = {
        env: (table[name]["cosine"], table[REFERENCE]["cosine"])
        for env, table in tables.items()
        if all("cosine" in table.get(one, ()) for one in (name, REFERENCE))
    }
    return Overall(
        name,
        rows[0]["kind"],
        rows[0]["needs"],
        len(ran),
        {
            measure: float(np.mean(found))
            for measure in (*MEASURES, *RAW_MEASURES)
            if (found := [row[measure]["mean"] for row in ran if measure in row])
        },
        len(pairs),
        [env for env, (mine, other) in pairs.items() if mine["low"] > other["high"]],
        [env for env, (mine, other) in pairs.items() if mine["high"] < other["low"]],
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
        "" if row.name == REFERENCE else _score(row),
        f"{row.ran} of {len(environments(parts))}",
    )


COST_HEAD = ("bias", "deviation", "turns", "tokens", "ms per 1000 turns")
COLUMNS = (
    "Rank is Spearman's correlation of the turns' credit with their true advantages, sign the "
    "share of right signs, error the mean squared one after the best scale (crediting nothing "
    "scores 1), the angle of bias that between the mean gradient and the true one, cosine that of "
    "one gradient to the true one. Bias and deviation are the gradient's as it is, over the length "
    "of the true one: dividing by a standard deviation enlarges both. Environment turns are held "
    "equal, in whole units and on average never more; tokens follow, as all play one policy. Both "
    "are told as spent, in % of what the episodes take that the table is named after. Milliseconds "
    "are those of the credit function. Critics and trackers learn from half of the turns, anew "
    "each time; a training would let them keep what they learned."
)
"""What the columns of `HEAD` and of `COST_HEAD` say."""


def costs(parts: Mapping[str, Any], budget: int) -> list[tuple[str, ...]]:
    """More of the lines of `cells`, under `COST_HEAD`: the gradient's errors and what was spent."""
    ran = [
        (row, found)
        for found in environments(parts).values()
        for row in found["rows"]
        if row["budget"] == budget and "not_run" not in row
    ]
    lines = list[tuple[str, ...]]()
    for one in overall(parts, budget):
        spent = [_spent(row, found) for row, found in ran if row["estimator"] == one.name]
        if not spent:
            lines.append(("not run",) * len(COST_HEAD))
            continue
        turns, tokens, milliseconds = np.mean(spent, axis=0).tolist()
        raw = [f"{one.means[name]:.2f}" if name in one.means else "" for name in RAW_MEASURES]
        lines.append((*raw, f"{turns:.0f} %", f"{tokens:.0f} %", f"{milliseconds:.2g}"))
    return lines


def _spent(row: Row, found: Mapping[str, Any]) -> tuple[float, float, float]:
    """Turns and tokens, in % of what the budget's episodes take, and ms per 1000 turns."""
    return (
        100 * row["turns"] / (row["budget"] * found["turns_per_episode"]),
        100 * row["tokens"] / (row["budget"] * found["tokens_per_episode"]),
        1000 * PER_THOUSAND * row["seconds"] / row["turns"],
    )


def verdict(parts: Mapping[str, Any]) -> list[str]:
    """Which methods earn their cost, where, and which do not, in plain words; [] without rows."""
    if not budgets(parts):
        return []
    middle = budgets(parts)[len(budgets(parts)) // 2]
    methods = [row for row in overall(parts, middle) if row.kind == "method" and row.ran]
    judged = sorted(
        (row for row in methods if row.name != REFERENCE), key=lambda row: -abs(row.lead)
    )
    compared = sum(row.compared for row in judged)
    return [
        *(_best(parts, budget) for budget in budgets(parts)),
        f"At the cost of {middle} episodes, these make a better gradient than {REFERENCE} in at "
        f"least {LEAD} environments more than a worse one, and so earn their cost (better / worse, "
        f"of {len(environments(parts))} environments): "
        f"{_counted((row for row in judged if row.lead >= LEAD), where=True)}.",
        f"These do not earn it: {_counted(row for row in judged if row.lead <= -LEAD)}.",
        "No clear difference, or better in some and worse in as many: "
        f"{_counted(row for row in judged if abs(row.lead) < LEAD)}.",
        f"Better is a cosine whose 95 % interval lies above that of {REFERENCE}, and worse one "
        f"below: of these {compared} comparisons, {BY_CHANCE * compared:.1f} would come out so by "
        "chance if all were equal.",
        *_where(parts, middle),
    ]


def _best(parts: Mapping[str, Any], budget: int) -> str:
    rows = [row for row in overall(parts, budget) if row.kind == "method" and "cosine" in row.means]
    most = max((row.ran for row in rows), default=0)
    first = sorted((row for row in rows if row.ran == most), key=lambda row: -row.means["cosine"])
    named = ", ".join(f"{row.name} ({row.means['cosine']:.2f})" for row in first[:3])
    return f"Closest to the true gradient at the cost of {budget} episodes: {named}."


def _where(parts: Mapping[str, Any], budget: int) -> list[str]:
    best, alone = dict[str, list[str]](), list[str]()
    for name, found in environments(parts).items():
        rows = [
            row
            for row in found["rows"]
            if row["budget"] == budget and row["kind"] == "method" and "cosine" in row
        ]
        if rows:
            first, *others = sorted(rows, key=lambda row: -row["cosine"]["mean"])
            best.setdefault(first["estimator"], []).append(name)
            if all(first["cosine"]["low"] > other["cosine"]["high"] for other in others):
                alone.append(name)
    named = sorted(best.items(), key=lambda pair: -len(pair[1]))
    return [
        "First in each environment, at that cost: "
        + "; ".join(f"{w} on {', '.join(on)}" for w, on in named)
        + ".",
        f"Its interval lies above those of all other methods on: {', '.join(alone) or 'none'}.",
    ]


def _score(row: Overall) -> str:
    return f"{len(row.better)} / {len(row.worse)}"


def _counted(rows: Iterable[Overall], *, where: bool = False) -> str:
    """Names with their scores; `where` says which environments are the worse ones."""
    return (
        ", ".join(
            f"{row.name} ({_score(row)}"
            + (f": {', '.join(row.worse)}" if where and row.worse else "")
            + ")"
            for row in rows
        )
        or "none"
    )


def forked_truth(parts: Mapping[str, Any]) -> list[str]:
    """How well the truth is known where it comes from forks; [] where that was not measured."""
    return [
        f"{found['env']} has no model: its truth comes from {found['forks']} forked rollouts at "
        f"each of {found['situations']} situations. The {found['turns_judged']} advantages are "
        f"{found['truth']['root_mean_square']:.3f} large (root mean square) and known to a "
        f"standard error of {found['truth']['standard_error']:.3f}; the 95 % interval of each is "
        "in the file"
        for found in parts.values()
        if "forks" in found
    ]


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
