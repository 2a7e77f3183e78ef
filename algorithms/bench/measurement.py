"""What a measured number is, and how a rate is measured: the best of three.

Other work on the machine only ever makes a run slower.
"""

import time
from collections.abc import Callable
from typing import TypedDict

REPEATS = 3


class Measurement(TypedDict):
    """One measured number."""

    what: str
    value: float
    unit: str


def best_rate(work: Callable[[], int], seconds: float) -> float:
    """The highest of three rates at which `work` gets through what it counts, a second."""
    rates: list[float] = []
    for _ in range(REPEATS):
        count, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds / REPEATS or not count:
            count += work()
        spent = time.perf_counter() - began
        rates.append(count / spent)
    return max(rates)
