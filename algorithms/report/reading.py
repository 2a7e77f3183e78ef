"""What a report says, read from run folders: configuration, curves, scores, transcripts."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from agents.secrets import masked, masked_data
from lmenvs.lines import read_lines
from lmenvs.types import Episode, read_episodes

from ..runs import read_config

Parsed = TypeVar("Parsed")
GREEDY = (" greedy", "-greedy", "_greedy", "/greedy", " (greedy)", "?temperature=0")


@dataclass(frozen=True, slots=True)
class Credit:
    """What an algorithm thought of an episode's turns."""

    advantages_T: tuple[float, ...]
    values_T: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run folder, read.

    Attributes:
        name: The folder's name.
        record: config.json: `config`, `versions`, `command`, `commit`, `machine`.
        metrics: The lines of metrics.jsonl.
        episodes: The episodes it kept.
        credit: By episode id.
        results: One row for each environment and policy that was scored.
    """

    name: str
    record: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]
    episodes: tuple[Episode, ...]
    credit: dict[str, Credit]
    results: tuple[dict[str, Any], ...]

    @property
    def config(self) -> dict[str, Any]:
        """The options of the run."""
        return self.record.get("config", {})

    @property
    def algorithm(self) -> str:
        """The algorithm's name; for runs that train nothing, the folder's."""
        return str(self.config.get("algorithm", self.name))


def read_run(folder: Path) -> RunRecord:
    """Read one run folder; files that a run of its kind does not write may be missing.

    Raises:
        ValueError: if the folder is no run, or a file in it is broken.
    """
    record = read_config(folder)
    episodes = folder / "episodes.jsonl"
    played = read_episodes(episodes) if episodes.is_file() else ()
    return RunRecord(
        name=folder.resolve().name,
        record=masked_data(record),
        metrics=tuple(_lines(folder / "metrics.jsonl", _json_object)),
        episodes=tuple(replace(episode, env=masked(episode.env)) for episode in played),
        credit=dict(_lines(folder / "credit.jsonl", _credit)),
        results=tuple(masked_data(_results(folder / "summary.json"))),
    )


def _lines(file: Path, parse: Callable[[str], Parsed]) -> list[Parsed]:
    return list(read_lines(file, parse)) if file.is_file() else []


def _credit(line: str) -> tuple[str, Credit]:
    found = _json_object(line)
    try:
        values = tuple(found["values"]) if found["values"] else None
        return str(found["episode"]), Credit(tuple(found["advantages"]), values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"expected an episode's advantages and values, got {error!r}") from error


def _json_object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected one JSON object, got a broken one: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected one JSON object, got {type(found).__name__}")
    return cast("dict[str, Any]", found)


def _results(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{file}: expected the summary of an evaluation, got broken JSON ({error}); "
            "evaluate again"
        ) from error
    return result_rows(summary, file)


def result_rows(summary: dict[str, Any], file: Path) -> list[dict[str, Any]]:
    """Rows of scores, from `{"results": [...]}` or `{"env": ..., "policies": {name: ...}}`.

    Raises:
        ValueError: if it is neither; `file` is what the message names.
    """
    try:
        if "results" in summary:
            rows = list(summary["results"])
        else:
            rows = [
                {"env": summary["env"], **row, "policy": name}
                for name, row in summary["policies"].items()
            ]
        for row in rows:
            row["success"]["mean"], row["return"]["mean"], row["policy"], row["env"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected the summary of an evaluation, got something else ({error}); "
            "evaluate again"
        ) from error
    return rows


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One policy on one environment: as sampled, and greedy where that was measured too."""

    env: str
    policy: str
    sampled: dict[str, Any]
    greedy: dict[str, Any] | None


def score_rows(runs: Sequence[RunRecord]) -> list[ScoreRow]:
    """The score table of all runs; policies of one name in two runs are told apart."""
    named: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for run in runs:
        for row in run.results:
            twice = (row["env"], row["policy"]) in seen
            seen.add((row["env"], row["policy"]))
            named.append({**row, "policy": f"{row['policy']} · {run.name}"} if twice else row)
    return score_table(named)


def score_table(rows: Sequence[dict[str, Any]]) -> list[ScoreRow]:
    """One line for each policy; a policy and its greedy self share a line."""
    plain: dict[tuple[str, str], dict[str, Any]] = {}
    greedy: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        env, policy = row["env"], row["policy"]
        suffix = next((end for end in GREEDY if policy.endswith(end)), None)
        if suffix is None:
            plain[env, policy] = row
        else:
            greedy[env, policy.removesuffix(suffix)] = row
    table = [
        ScoreRow(env, policy, row, greedy.pop((env, policy), None))
        for (env, policy), row in plain.items()
    ]
    table += [
        ScoreRow(env, f"{policy} (greedy)", row, None) for (env, policy), row in greedy.items()
    ]
    return table


def environment_turns(run: RunRecord) -> list[float]:
    """How many environment turns a training run had taken by each line of its metrics."""
    total, turns = 0.0, list[float]()
    for line in run.metrics:
        total += float(line.get("rollout/turns", 0.0)) * float(line.get("rollout/episodes", 0.0))
        turns.append(total)
    return turns


def chosen_episodes(run: RunRecord, most: int) -> list[Episode]:
    """At most `most` episodes to show: spread over the run, failures beside successes."""
    if len(run.episodes) <= most:
        return list(run.episodes)
    groups = [[e for e in run.episodes if e.success], [e for e in run.episodes if not e.success]]
    smaller = min(len(group) for group in groups)
    share = min(smaller, most // 2)
    wanted = [share if len(group) == smaller else most - share for group in groups]
    if len(groups[0]) == len(groups[1]):
        wanted = [most - share, share]
    picked: set[str] = set()
    for group, count in zip(groups, wanted, strict=True):
        picked.update(
            group[round(i * (len(group) - 1) / max(count - 1, 1))].id for i in range(count)
        )
    return [e for e in run.episodes if e.id in picked]


def flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A configuration as (name, value) lines, nested names joined by dots."""
    lines: list[tuple[str, str]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{prefix}{name}.")
        else:
            lines.append((prefix + name, value if isinstance(value, str) else json.dumps(value)))
    return lines
