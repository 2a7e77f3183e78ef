"""One self-contained HTML page of one or several runs; needs the extra `report`.

>>> from algorithms import report
>>> from pathlib import Path
>>> def page_of(run: Path) -> Path:
...     return report.build([run], run / "report.html", title="My run")
"""

from .page import build

__all__ = ["build"]
