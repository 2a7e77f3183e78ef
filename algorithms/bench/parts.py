"""The parts of `lmenvs bench` but the engine's, which has a file of its own.

`env` steps every installed id, games in pure Python also tell a reset's time and a thousand's
memory; `textworld` sets its games beside textworld.gym; `sampling` and `training` use a tiny model;
`demo` runs the demo in miniature.
"""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from lmenvs.registration import TABLE

from .. import support
from . import textworld
from .environments import bare_steps, environment, footprint
from .measurement import Measurement

Part = Literal["env", "textworld", "sampling", "training", "demo", "all"]
WALK = 60  # turns of each walk through a game of TextWorld


def measure(
    part: Part, seconds: float, seed: int, advance: Callable[[], None] = lambda: None
) -> list[Measurement]:
    """Measure a part of the suite, or all of it.

    Args:
        part: "env", "textworld", "sampling", "training", "demo" or "all".
        seconds: How long one of the three runs of a measurement takes at least.
        seed: Seeds tasks, actions and the tiny model.
        advance: Called after each measurement.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(f"seconds = {seconds}; expected a positive number")
    results: list[Measurement] = []
    if part in ("env", "all"):
        for name, spec in TABLE.items():
            if spec.missing is None:
                results += environment(name, seconds, seed)
                # an engine's games take long to begin and to walk through
                tasks = 64 if spec.extra is None else 4
                results.append(bare_steps(name, seconds, seed, tasks))
            if spec.extra is None:  # an engine's memory is not Python's
                results += footprint(name, seed)
            advance()
    if part in ("textworld", "all"):
        results += textworld.measure(WALK, seed)
        advance()
    if part in ("sampling", "training", "all"):
        from .language_models import language_models

        whole = part == "all"
        results += language_models(
            seconds,
            seed,
            sampling=whole or part == "sampling",
            training=whole or part == "training",
        )
        advance()
    if part in ("demo", "all"):
        results += demo()
        advance()
    return results


def demo() -> list[Measurement]:
    """Time and peak memory of the demo in miniature, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "demo")
        command = [sys.executable, "-m", "algorithms.demo", "--smoke", "--out", out]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        spent = time.perf_counter() - began
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"expected the demo to succeed, got exit code {done.returncode}: {last}")
    peak = support.peak_memory_mib(children=True)
    return [
        {"what": "demo in miniature, time", "value": spent, "unit": "s"},
        {"what": "demo in miniature, peak memory", "value": peak, "unit": "MiB"},
    ]
