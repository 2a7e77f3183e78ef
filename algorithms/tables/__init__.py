"""The tables of README.md and examples/benchmarks/README.md: `python -m algorithms.tables --write`.

One table, one function of the repository's root: what there is (listing.py), and what was measured
(results.py, learning.py, critic.py, lmrl.py, efficiency.py, credit.py, engine.py). A test fails
while a page is old.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from .credit import credit, credit_verdict
from .critic import critic, critic_verdict
from .efficiency import efficiency
from .engine import engine
from .learning import language_models, tabular
from .listing import algorithms, environments
from .lmrl import lmrl
from .markdown import ROOT
from .results import results

Table = Callable[[Path], str]
PAGES: Mapping[str, Mapping[str, Table]] = {
    "README.md": {
        "environments": environments,
        "algorithms": algorithms,
        "results": results,
        "learning": language_models,
        "critic": critic_verdict,
        "lmrl": lmrl,
        "efficiency": efficiency,
        "credit": credit_verdict,
        "engine": engine,
    },
    "examples/benchmarks/README.md": {"credit": credit, "critic": critic, "tabular": tabular},
}
"""What the marks of each page call its tables, and what writes them."""


def filled(page: str, text: str, root: Path = ROOT) -> str:
    """A page with its tables as they should be.

    Raises:
        ValueError: if a marker is missing.
    """
    for name, table in PAGES[page].items():
        block = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not block.search(text):
            raise ValueError(f"{page}: expected the marks of the table {name}, found none")
        written = table(root)
        body = written + "\n" if written else ""
        text = block.sub(lambda m, body=body: m[1] + body + m[2], text)
    return text
