"""Environment turns that ArCHer and token-level PPO need for 90 % of the expert's score.

    python examples/benchmarks/sample_efficiency.py             # hours; goes on where it was
    python examples/benchmarks/sample_efficiency.py maze        # only this task

Writes examples/benchmarks/efficiency/efficiency.json after every cell; `python -m algorithms.tables
--write` makes a table of it. --smoke runs one cell in miniature and writes no results.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithms import support
from algorithms.bench import efficiency

RESULT = Path(__file__).parent / "efficiency" / "efficiency.json"

support.set_threads(1)
named = [word for word in sys.argv[1:] if not word.startswith("-")]
if "--smoke" in sys.argv:
    task = replace(
        efficiency.TASKS["maze"], demonstrations=16, epochs=1, turn_budget=1, max_turns=5
    )
    cell = efficiency.Cell("maze", "token_ppo", 0)
    with TemporaryDirectory() as folder:
        found = efficiency.run_cell(cell, task, {"episodes": 4}, 0.0, Path(folder))
    print(f"token PPO in the maze, {found['turns']} turns: arrived {found['turns_until']}")
else:
    command = "python examples/benchmarks/sample_efficiency.py"
    efficiency.measure(Path("runs/efficiency"), RESULT, list(efficiency.cells(named)), command)
