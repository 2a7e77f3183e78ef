"""Credit estimators against the truth: examples/benchmarks/credit/credit.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..bench.credit import draws, summary
from .markdown import BENCHMARKS, made, read, table

FILE = f"{BENCHMARKS}/credit/credit.json"


def credit_verdict(root: Path) -> str:
    """What the measurement says in words; nothing while there is no such file."""
    file = root / FILE
    if not file.exists():
        return ""
    record = read(file)
    parts: dict[str, Any] = record["parts"]
    verdict = "\n".join(f"- {sentence}" for sentence in summary.verdict(parts))
    link = f"[All numbers]({BENCHMARKS}/README.md)"
    texts = [f"## Credit, measured\n\n{_WHAT} ({made(record, file, root)}). {link}.", verdict]
    return "\n\n".join([*texts, _speed(parts.get("speed"))]).rstrip()


def credit(root: Path) -> str:
    """What `lmenvs bench credit` measured; nothing while there is no such file."""
    file = root / FILE
    if not file.exists():
        return ""
    record = read(file)
    parts: dict[str, Any] = record["parts"]
    origin = made(record, file, root / BENCHMARKS)
    texts = [f"## Credit against the truth\n\n{_WHAT} ({origin})."]
    if summary.budgets(parts):
        texts += [_estimators(parts), _NOTE]
    texts.append(_forked(parts.get("by forking")))
    left_out = summary.not_measured(parts)
    if left_out:
        texts.append(f"Not of the default size: {'; '.join(left_out)}.")
    return "\n\n".join(text for text in texts if text)


_WHAT = (
    "Every estimator judges the turns of one softmax table, half way between uniform and optimal "
    "play, at an equal cost of environment turns: forks, greedy plays and the episodes that a "
    "critic learns from count. The truth is exact. Means over environments and over samples, whose "
    "number the file says with all intervals"
)
_NOTE = (
    f"{summary.COLUMNS} *Better / worse* counts the environments in which the cosine's 95 % "
    f"interval lies above or below that of {summary.REFERENCE}. Oracles see exact values, foils "
    "are known mistakes. Groups are 8 of one task, so they meet an eighth of the tasks that "
    f"independent episodes meet. SPO-chain cuts a mean episode into {draws.SEGMENTS} segments with "
    f"{draws.FORKS} forks at each, SPO-tree branches {draws.BRANCHES} ways twice, SLATE takes "
    f"{draws.SIBLINGS} siblings. Critics and trackers are tables over states: no network has to "
    "generalise, so they show what a critic is worth where it learns quickly."
)


def _estimators(parts: Mapping[str, Any]) -> str:
    budgets = summary.budgets(parts)
    middle = budgets[len(budgets) // 2]
    by_budget = {
        budget: {row.name: row for row in summary.overall(parts, budget)} for budget in budgets
    }
    rows = []
    lines = zip(
        summary.cells(parts, middle),
        summary.costs(parts, middle),
        by_budget[middle].values(),
        strict=True,
    )
    for cells, costs, row in lines:
        name, needs, rank, sign, error, _, angle, _, against, ran = cells
        cosines = [by_budget[budget][row.name].means.get("cosine") for budget in budgets]
        shown = ["not run" if cosine is None else f"{cosine:.2f}" for cosine in cosines]
        rows.append((name, needs, rank, sign, error, angle, *shown, against, ran, *costs))
    head = ("estimator", "needs", f"rank, {middle}", "sign", "error", "angle of bias")
    cosine_head = [f"cosine, {budget}" for budget in budgets]
    return table((*head, *cosine_head, "better / worse", "environments", *summary.COST_HEAD), rows)


def _forked(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    most = max(row["budget"] for row in found["rows"])
    ran = [row for row in found["rows"] if row["budget"] == most and "rank" in row]
    first = sorted(ran, key=lambda row: -row["rank"]["mean"])
    named = ", ".join(
        f"{r['estimator']} ({r['rank']['mean']:.2f})" for r in (*first[:3], first[-1])
    )
    return (
        f"{' '.join(summary.forked_truth({'forked': found}))}. On `{found['env']}`, rank "
        f"correlation at the cost of {most} episodes, the best three and the last: {named}."
    )


def _speed(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    free = [row for row in found["functions"] if row["needs"] == "no model"]
    rest = [row for row in found["functions"] if row["needs"] != "no model"]
    slowest, slowest_rest = (max(rows, key=lambda row: row["seconds"]) for rows in (free, rest))
    shares = ", ".join(f"{100 * r['share']:.2g} % of {r['algorithm']}" for r in found["training"])
    return (
        f"Credit for {found['episodes']:,} episodes of {found['turns']} turns takes at most "
        f"{slowest['seconds']:.2f} s ({slowest['function']}) where no model is needed, and at most "
        f"{slowest_rest['seconds']:.2f} s ({slowest_rest['function']}, a critic's values given)."
        + (
            f" Of a training iteration with a tiny model on one thread it is {shares}."
            if shares
            else ""
        )
    )
