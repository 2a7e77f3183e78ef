"""`lmenvs report`: the HTML page of runs."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, slots=True)
class Report:
    """Write one self-contained HTML page about one or several runs, or a credit benchmark.

    Examples:
      lmenvs report runs/ppo runs/archer --out runs/report.html
      lmenvs report runs/expert --out expert.html --title "The expert on the maze"
      lmenvs report runs/credit.json --out credit.html
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR...")]
    """The --out folders of the runs, or files of `lmenvs bench credit`."""
    out: Path  # the page; an older report there is replaced, any other file is refused
    title: str = "lmenvs report"  # the page's heading
    note: tuple[str, ...] = ()  # paragraphs below the heading


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
