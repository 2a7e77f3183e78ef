"""`lmenvs report` and `lmenvs bench`: the HTML page of runs, and the speeds of this machine."""

import json
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import tyro

from agents.secrets import masked_arguments

from .. import support


@dataclass(frozen=True, slots=True)
class Report:
    """Write one self-contained HTML page about one or several runs.

    Examples:
      lmenvs report runs/ppo runs/archer --out runs/report.html
      lmenvs report runs/expert --out expert.html --title "The expert on the maze"
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR...")]
    """The --out folders of the runs."""
    out: Path  # the page; an older report there is replaced, any other file is refused
    title: str = "lmenvs report"  # the page's heading
    note: tuple[str, ...] = ()  # paragraphs below the heading


@dataclass(frozen=True, slots=True)
class Bench:
    """Measure this machine: environment steps, sampled and trained tokens a second, demo memory.

    The part `textworld` plays the same games in textworld.gym, for comparison.

    Examples:
      lmenvs bench
      lmenvs bench env --out runs/bench.json
    """

    part: Annotated[
        Literal["env", "textworld", "sampling", "training", "demo", "all"], tyro.conf.Positional
    ] = "all"
    """What to measure."""
    seed: int = 0  # seeds tasks, actions and the tiny model
    seconds: float = 1.0  # how long each measurement takes at least
    out: Path | None = None  # also write the numbers to this new JSON file


def report(options: Report) -> int:
    """Write the page."""
    from ..report import build

    print(build(options.runs, options.out, options.title, options.note))
    return 0


def write_report(folders: list[Path], page: Path, title: str) -> None:
    """Write the page at the end of another command; without the extra, say how to get it."""
    absent = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if absent:
        print(
            f"no report.html: {absent[0]} is not installed; pip install 'lmenvs[report]', then "
            f"lmenvs report {' '.join(map(str, folders))} --out {page}",
            file=sys.stderr,
        )
        return
    from ..report import build

    build(folders, page, title)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bench(options: Bench) -> int:
    """Measure and print; with --out also as JSON."""
    from .. import bench as measuring
    from .browse import write_new
    from .evaluation import print_table

    if options.out is not None and options.out.exists():
        raise ValueError(
            f"--out {options.out}: expected a new file, got one that exists; name another"
        )
    with support.progress("bench") as advance:
        results = measuring.measure(options.part, options.seconds, options.seed, lambda: advance(1))
    print_table(
        ("what", "value", "unit"),
        [(row["what"], _number(row["value"]), row["unit"]) for row in results],
    )
    if options.out is not None:
        record = {
            "results": results,
            "versions": support.versions(),
            "machine": support.machine(),
            "commit": support.commit(),
            "command": masked_arguments(sys.argv),
        }
        write_new(options.out, json.dumps(record, indent=2) + "\n")
    return 0
