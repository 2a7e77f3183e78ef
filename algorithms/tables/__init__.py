"""The README's tables, made from code and result files: `python -m algorithms.tables --write`.

One table, one file: what there is (listing.py), and what was measured (results.py, learning.py,
credit.py, engine.py). Each is a function of the repository's root. A test fails while the README is
old.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from .credit import credit
from .engine import engine
from .learning import learning
from .listing import algorithms, environments
from .markdown import ROOT
from .results import results

TABLES: Mapping[str, Callable[[Path], str]] = {
    "environments": environments,
    "algorithms": algorithms,
    "results": results,
    "learning": learning,
    "credit": credit,
    "engine": engine,
}
"""What the README's marks call each table, and what writes it."""


def filled(readme: str, root: Path = ROOT) -> str:
    """The README with its tables as they should be.

    Raises:
        ValueError: if a marker is missing.
    """
    for name, table in TABLES.items():
        block = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not block.search(readme):
            raise ValueError(f"README.md: expected the marks of the table {name}, found none")
        text = table(root)
        body = text + "\n" if text else ""
        readme = block.sub(lambda m, body=body: m[1] + body + m[2], readme)
    return readme
