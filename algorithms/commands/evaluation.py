"""`lmenvs eval` and `lmenvs compare`: paired-seed scores with intervals, and their difference."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.secrets import masked, masked_data
from lmenvs import scores
from lmenvs.references import references
from lmenvs.registration import make
from lmenvs.types import Episode, read_episodes

from .. import support
from .browse import write_new
from .reporting import write_report


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Score a policy: success, return, turns and invalid actions with 95 % intervals.

    Every policy meets the same tasks (seeds SEED, SEED+1, ...), so that two evaluations pair up in
    `lmenvs compare`. Where an environment has splits, the test split is played.

    Examples:
      lmenvs eval --env lmenvs/Maze-v0 --policy expert --out runs/expert
      lmenvs eval --env lmenvs/Maze-v0,lmenvs/Wordle-v0 --policy random --episodes 200 --out runs/r
      lmenvs eval --env lmenvs/Maze-v0 --policy "hf:runs/demo?temperature=0" --out runs/greedy
      lmenvs eval --env lmenvs/Wordle-v0 --policy openai:MODEL@http://localhost:8000/v1 --out runs/m
    """

    env: str  # one or several environments, separated by commas
    policy: str
    """random, expert, bandit:NAME, hf:FOLDER_OR_ID, openai:MODEL@URL or module:function"""
    out: Path  # a new folder for config.json, summary.json, episodes.jsonl and report.html
    episodes: int = 64  # how many tasks of each environment
    seed: int = 0  # the first task's seed; the others count up from it
    split: str | None = None  # all, train or test; by default test where there are splits
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    width: int = 64  # conversations answered at once
    env_workers: int = 0  # processes that step slow environments; 0 steps them in line
    step_timeout: float | None = None  # seconds until a worker's environment counts as hung


@dataclass(frozen=True, slots=True)
class Compare:
    """Compare two evaluations on the tasks they share: difference A - B with a 95 % interval.

    Examples:
      lmenvs compare runs/trained runs/start
      lmenvs compare runs/trained runs/start --out comparison.json
    """

    a: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR_A")
    ]  # the --out folder of one evaluation
    b: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR_B")
    ]  # the --out folder of the other
    seed: int = 0  # seeds the bootstrap and the permutation test
    out: Path | None = None  # also write the comparison to this new JSON file


def evaluate(options: Evaluate) -> int:
    """Play, score, write the folder and print the table."""
    from agents import make_policy, rollout

    names = split_names(options.env)
    if not names:
        raise ValueError("--env names no environment; `lmenvs list` shows the ids")
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed}; expected an integer >= 0")
    for name in names:
        make(name).close()  # a mistake in the last name should not cost the time of the others
    policy = make_policy(options.policy)
    given = {"command": "eval", **asdict(options)}
    given["out"] = str(options.out)
    run = support.open_run(options.out, given)
    results: list[dict[str, Any]] = []
    crashes = 0
    total = options.episodes * len(names)
    with support.progress("eval", total) as advance:

        def keep(episode: Episode) -> None:
            run.episodes([episode])
            advance(1)

        for name in names:
            report = rollout.evaluate(
                name,
                policy,
                episodes=options.episodes,
                seed=options.seed,
                split=options.split,
                name=masked(options.policy),
                width=options.width,
                max_turns=options.max_turns,
                on_episode=keep,
                env_workers=options.env_workers,
                step_timeout=options.step_timeout,
            )
            results.append(report.summary())
            crashes += len(report.crashes)
    write_new(
        run.path / "summary.json", json.dumps({"results": masked_data(results)}, indent=2) + "\n"
    )
    write_report([run.path], run.path / "report.html", f"{masked(options.policy)} evaluated")
    print_scores(masked_data(results))
    print(f"written to {run.path}")
    if crashes:
        print(f"lmenvs: {crashes} of {total} episodes crashed; see summary.json", file=sys.stderr)
    return 1 if crashes else 0


def split_names(names: str) -> list[str]:
    """Several env strings from one: a comma separates where an id follows it.

    >>> split_names("lmenvs/A-v0?means=[0.1,0.9],lmenvs/B-v0")
    ['lmenvs/A-v0?means=[0.1,0.9]', 'lmenvs/B-v0']
    """
    return [name.strip() for name in re.split(r",\s*(?=[\w.:-]+/[\w-]+)", names) if name.strip()]


def print_scores(results: Sequence[dict[str, Any]]) -> None:
    """Print one table of scores for each environment."""
    for env in dict.fromkeys(result["env"] for result in results):
        print_table(
            ("policy", "n", "success", "return", "score", "turns", "invalid"),
            [
                (
                    result["policy"],
                    str(result["n"]),
                    _estimate(result["success"], percent=True),
                    _estimate(result["return"]),
                    _score(env, result["return"]),
                    f"{result['turns']:.1f}",
                    f"{100 * result['invalid']:.1f} %",
                )
                for result in results
                if result["env"] == env
            ],
            title=env,
        )


def _score(env: str, estimate: dict[str, float]) -> str:
    """The return on the scale 0, 50, 100 = minimum, average, maximum, where these are known."""
    if not {"min", "average", "max"} <= set(references(env)):
        return "-"
    mean, low, high = (scores.normalise(env, estimate[name]) for name in ("mean", "low", "high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _estimate(estimate: dict[str, float], *, percent: bool = False) -> str:
    scale, unit, digits = (100, " %", 1) if percent else (1, "", 2)
    mean, low, high = (scale * estimate[name] for name in ("mean", "low", "high"))
    return f"{mean:.{digits}f}{unit} [{low:.{digits}f}, {high:.{digits}f}]"


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None
) -> None:
    """Print a table, drawn by rich."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title and escape(title), title_justify="left", title_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a file or a pipe has no width of its own
    console.print(table)


def compare(options: Compare) -> int:
    """Print success and return of A and B, environment by environment, and their difference."""
    a, b = (_by_env(folder) for folder in (options.a, options.b))
    if a.keys() != b.keys():
        raise ValueError(
            f"expected the same environments in both, got {sorted(a)} in {options.a} and "
            f"{sorted(b)} in {options.b}; evaluate both on the same --env"
        )
    compared: list[dict[str, Any]] = []
    for env in sorted(a):
        for measure in ("success", "return"):
            both = (_by_seed(episodes[env], measure) for episodes in (a, b))
            result = scores.compare(*both, seed=options.seed)
            compared.append({"env": env, "measure": measure, **asdict(result)})
    print_table(
        ("environment", "measure", "pairs", "A", "B", "A - B [95 %]", "p"),
        [
            (
                row["env"],
                row["measure"],
                str(row["pairs"]),
                f"{row['mean_a']:.3f}",
                f"{row['mean_b']:.3f}",
                f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
                f"{row['p']:.4f}",
            )
            for row in compared
        ],
    )
    if options.out is not None:
        text = {"a": str(options.a), "b": str(options.b), "compared": compared}
        write_new(options.out, json.dumps(text, indent=2) + "\n")
    return 0


def _by_env(folder: Path) -> dict[str, list[Episode]]:
    file = folder / "episodes.jsonl"
    if not file.is_file():
        raise ValueError(
            f"{folder}: expected the folder of an evaluation, found no episodes.jsonl in it; "
            "name the folder that `lmenvs eval --out` made"
        )
    found: dict[str, list[Episode]] = {}
    for episode in read_episodes(file):
        found.setdefault(episode.env, []).append(episode)
    if not found:
        raise ValueError(f"{file}: expected episodes, got an empty file; evaluate again")
    return found


def _by_seed(episodes: Sequence[Episode], measure: str) -> dict[int, float]:
    """The mean over the episodes of each seed."""
    values: dict[int, list[float]] = {}
    for episode in episodes:
        value = float(episode.success) if measure == "success" else episode.total_reward
        values.setdefault(episode.seed, []).append(value)
    return {seed: sum(each) / len(each) for seed, each in values.items()}
