"""`python -m algorithms.tables`: is the README up to date? With `--write`, it is afterwards."""

import sys
from collections.abc import Sequence

from . import filled
from .markdown import ROOT


def main(arguments: Sequence[str]) -> int:
    """Write the tables with `--write`; otherwise say whether they are up to date."""
    file = ROOT / "README.md"
    now = file.read_text(encoding="utf-8")
    wanted = filled(now)
    if arguments == ["--write"]:
        file.write_text(wanted, encoding="utf-8", newline="\n")
        return 0
    if now != wanted:
        print("README.md is out of date; run python -m algorithms.tables --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
