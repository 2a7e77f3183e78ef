"""Do memory and open files stay flat over a long run? The whole training loop, with a micro model.

Every iteration collects, updates, logs and saves, as `lmenvs train turn_ppo` does; what the process
holds is read from the log that the run itself writes (`memory/resident_mib`, `memory/open_files`).
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import behaviour_cloning, turn_ppo

MICROWAVE = "lmenvs/Microwave-v0"


def measure_leaks(iterations: int = 1000, early: int = 100, seed: int = 0) -> dict[str, Any]:
    """Train a micro model and compare what the process holds early with what it holds at the end.

    Args:
        iterations: How many in all; each ends with a checkpoint.
        early: The iteration to compare with: by then caches and pools have their size.
        seed: Of the model, the tasks and the training.

    Returns:
        Plain data: `early` and `late` (each with `iteration`, `resident_mib`, `open_files`),
        `grown_mib`, `grown_files`, `bytes_per_iteration` and `seconds`.
    """
    if not 0 < early < iterations:
        raise ValueError(f"early {early}; expected an iteration between 0 and {iterations}")
    with tempfile.TemporaryDirectory(prefix="lmenvs-leaks-") as folder:
        clone = behaviour_cloning.Config(
            seed=seed, demonstrator="random", episodes=32, epochs=1, batch_size=16
        )
        tiny = behaviour_cloning.TinyConfig(hidden=16, layers=1, heads=2, context=512, clone=clone)
        start = behaviour_cloning.pretrain(MICROWAVE, Path(folder, "start"), tiny)
        config = turn_ppo.Config(
            seed=seed, iterations=iterations, episodes=4, max_new_tokens=8, save_every=1
        )
        run = turn_ppo.train(MICROWAVE, start, Path(folder, "run"), config)
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return compared([json.loads(line) for line in lines], early)


def compared(rows: Sequence[Mapping[str, float]], early: int) -> dict[str, Any]:
    """What `measure_leaks` returns, from the lines of a run's metrics.

    Raises:
        ValueError: if they do not say what the process held.
    """
    if "memory/resident_mib" not in rows[0]:
        raise ValueError("expected a system that tells a process its memory; measure on Linux")
    first, last = (
        {
            "iteration": int(row["iteration"]),
            "resident_mib": row["memory/resident_mib"],
            "open_files": int(row["memory/open_files"]),
        }
        for row in (rows[early], rows[-1])
    )
    grown = last["resident_mib"] - first["resident_mib"]
    return {
        "early": first,
        "late": last,
        "grown_mib": round(grown, 3),
        "grown_files": int(last["open_files"] - first["open_files"]),
        "bytes_per_iteration": round(grown * 2**20 / (last["iteration"] - first["iteration"])),
        "seconds": rows[-1]["time"],
    }
