"""`python -m algorithms.tables`: are the pages up to date? With `--write`, they are afterwards."""

import sys
from collections.abc import Sequence

from . import PAGES, filled
from .markdown import ROOT


def main(arguments: Sequence[str]) -> int:
    """Write the tables with `--write`; otherwise say which pages are out of date."""
    pages = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    wanted = {page: filled(page, now) for page, now in pages.items()}
    old = [page for page, now in pages.items() if now != wanted[page]]
    if arguments == ["--write"]:
        for page in old:
            (ROOT / page).write_text(wanted[page], encoding="utf-8", newline="\n")
        return 0
    for page in old:
        print(f"{page} is out of date; run python -m algorithms.tables --write", file=sys.stderr)
    return int(bool(old))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
