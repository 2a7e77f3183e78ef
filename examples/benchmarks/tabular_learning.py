"""Tables learn fifteen exact environments with every estimator, at equal environment turns.

    python examples/benchmarks/tabular_learning.py      # a quarter of an hour; goes on where it was

Writes examples/benchmarks/learning/tabular.json after every cell; `python -m algorithms.tables
--write` makes the README's table of it. --smoke runs one cell in miniature and writes no results.
"""

import sys
from pathlib import Path

from algorithms.bench import tabular_learning
from algorithms.bench.credit.environments import ENVIRONMENTS
from algorithms.bench.credit.estimators import ESTIMATORS
from algorithms.bench.credit.learning import Settings

RESULT = Path(__file__).parent / "learning" / "tabular.json"

if "--smoke" in sys.argv:
    (rloo,) = (estimator for estimator in ESTIMATORS if estimator.name == "RLOO")
    settings = Settings(iterations=40)
    cell = tabular_learning.run_cell(ENVIRONMENTS["Microwave"], rloo, [0], settings)
    print(f"RLOO on Microwave: {cell['final']['mean']:.2f} of the way to optimal play")
else:
    tabular_learning.measure(RESULT, "python examples/benchmarks/tabular_learning.py")
