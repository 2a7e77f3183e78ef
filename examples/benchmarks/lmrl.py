"""LMRL-Gym's comparison with models that fit two CPU cores: raw and normalised scores.

    export LMENVS_LMRL_WORDS=PATH    # LMRL-Gym's word list, for the row of Wordle
    python examples/benchmarks/lmrl.py                           # hours; goes on where it was
    python examples/benchmarks/lmrl.py "maze, full view" ILQL 0  # only this task, method, seed

Writes examples/benchmarks/lmrl/lmrl.json after every cell; `python -m algorithms.tables --write`
makes the README's table of it. --smoke runs one cell in miniature and writes no results.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithms import support
from algorithms.bench.lmrl import run
from algorithms.bench.lmrl.methods import METHODS
from algorithms.bench.lmrl.tasks import tasks

RESULT = Path(__file__).parent / "lmrl" / "lmrl.json"
named = [word for word in sys.argv[1:] if word != "--smoke"]
support.set_threads(1)
if "--smoke" in sys.argv:
    task = replace(tasks()["maze, full view"], episodes=8, epochs=1, evaluations=4)
    with TemporaryDirectory() as folder:
        found = run.run_cell(run.Cell("maze, full view", "BC", 0), task, Path(folder))
    print(f"BC in the maze: return {found['sampled']['return']['mean']:.0f}")
else:
    seeds = [int(word) for word in named if word.isdecimal()]
    rows, columns = ([n for n in named if n in known] for known in (tasks(), METHODS))
    if unknown := [n for n in named if not n.isdecimal() and n not in {*rows, *columns}]:
        sys.exit(
            f"expected tasks, methods or seeds, got {unknown}; there are {[*tasks(), *METHODS]}"
        )
    chosen = list(run.cells(rows, columns, seeds or run.SEEDS))
    run.measure(Path("runs") / "lmrl", RESULT, chosen, "python examples/benchmarks/lmrl.py")
