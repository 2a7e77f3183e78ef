"""Tiny language models learn three tasks with every algorithm, at equal environment turns.

    python examples/benchmarks/language_model_learning.py             # hours; goes on where it was
    python examples/benchmarks/language_model_learning.py grpo rloo     # only these methods

Writes examples/benchmarks/learning/language_models.json after every cell; `python -m
algorithms.tables --write` makes the README's table of it. --smoke runs one cell in miniature and
writes no results.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithms import support
from algorithms.bench import learning

RESULT = Path(__file__).parent / "learning" / "language_models.json"
RUNS = Path("runs") / "learning"

support.set_threads(1)
names = [name for name in sys.argv[1:] if not name.startswith("-")]
if "--smoke" in sys.argv:
    task = replace(
        learning.TASKS["maze"], demonstrations=16, epochs=1, turn_budget=1, evaluations=4
    )
    cell = learning.Cell("maze", "grpo", 0)
    with TemporaryDirectory() as folder:
        found = learning.run_cell(cell, task, Path(folder))
    print(f"grpo in the maze, {found['turns']} turns: return {found['return']['mean']:.0f}")
else:
    command = "python examples/benchmarks/language_model_learning.py"
    learning.measure(RUNS, RESULT, list(learning.cells(names or learning.METHODS)), command)
