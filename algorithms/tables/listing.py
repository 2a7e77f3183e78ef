"""What there is: environments from lmenvs.registration, algorithms that `lmenvs train` knows."""

import ast
from pathlib import Path

from lmenvs.registration import TABLE

from ..commands.training import FAMILIES
from .markdown import table


def environments(root: Path) -> str:
    """One line for each environment; the root has no say."""
    rows = []
    for spec in TABLE.values():
        low, high = spec.return_range
        limit = "" if spec.turn_limit is None else str(spec.turn_limit)
        extra = f"`{spec.extra}`" if spec.extra else ""
        exact = "yes" if "exact" in spec.tags else ""
        name = f"`{spec.id}`"
        rows.append((name, spec.summary, limit, f"{low:g} to {high:g}", exact, extra))
    head = ("id", "task", "turns", "return", "exact values", "extra")
    return table(head, rows)


def algorithms(root: Path) -> str:
    """One line for each algorithm: its family, and the first line of its file."""
    rows = [
        (f"[`{name}`](algorithms/{name}.py)", family, _first_line(root, name))
        for family, known in FAMILIES.items()
        for name in known
    ]
    return table(("`lmenvs train`", "family", "what it does"), rows)


def _first_line(root: Path, name: str) -> str:
    source = (root / "algorithms" / f"{name}.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    sentence = " ".join(docstring.partition("\n\n")[0].split())
    return sentence.removesuffix(".").replace(" (torch)", "")
