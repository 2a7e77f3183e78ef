"""`lmenvs bench engine`: rollouts, training, overhead, phases and leaks, all in one run (torch).

What is measured stands in the neighbours: rollouts.py (against `generate` and against the
bare loop of limit.py), training.py (against a bare forward-backward loop and one row a
turn), phases.py (environments, whole iterations), leaks.py (memory and files over 1,000
iterations), large.py (half a billion parameters, on a GPU). Everything runs with one thread.

With a file to write to, each part is kept as soon as it is measured, in `<file>.partial`: the same
command goes on from there.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from agents.devices import find_device

from .. import support
from ..behaviour_cloning import TinyConfig
from . import large, leaks, phases, rollouts, training
from .kept import Kept

_FORCED = "TRANSFORMERS_SDPA_FORCE_GQA"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured; tests take less."""

    turns: Sequence[int] = rollouts.TURNS  # lengths of rollouts
    shape: Mapping[str, int] = field(default_factory=dict)  # of their model; empty: 2.0 M
    training: Mapping[str, int] = field(default_factory=dict)  # of training.training
    seconds: float = 20.0  # rollouts are repeated for so long, at least twice
    environments: Sequence[str] = (phases.MAZE, phases.COINS)
    tiny: TinyConfig = field(default_factory=TinyConfig)  # the model that plays them; 1.1 M
    episodes: int = 64  # of a rollout or an iteration there
    iterations: int = 3  # of a training, the first left out
    leaks: int = 1000  # iterations over which memory must stay flat
    large: Mapping[str, Any] = field(default_factory=dict)  # of large.large


def measure(
    device: str,
    seed: int,
    file: Path | None = None,
    advance: Callable[[int], None] = lambda count: None,
    sizes: Sizes = Sizes(),
) -> dict[str, Any]:
    """Measure every part; returns plain data, {part: what it gave}.

    Args:
        device: "cpu", or "cuda" for the large model and iterations on a GPU as well.
        seed: Seeds weights, tasks and samples.
        file: Results so far are kept beside it and taken from there.
        advance: Called with the number of parts that are done.
        sizes: How much.

    Raises:
        ValueError: if there is no such device, or the results so far are another run's.
    """
    find_device(device)
    origin = {
        "device": device,
        "seed": seed,
        "commit": support.commit(),
        "versions": support.versions(),
        "machine": {k: v for k, v in support.machine().items() if k != "threads"},
    }
    kept = Kept(file, origin)
    advance(len(kept.parts))
    with quietly(), tempfile.TemporaryDirectory(prefix="lmenvs-bench-") as folder:
        for name, part in parts(device, seed, Path(folder), sizes).items():
            if name not in kept.parts:
                kept.add(name, part())
                advance(1)
    return kept.parts


def count(device: str, sizes: Sizes = Sizes()) -> int:
    """How many parts there are."""
    return len(parts(device, 0, Path(), sizes))


def parts(device: str, seed: int, folder: Path, sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """What is measured, by name; each gives plain data.

    Args:
        device: See `measure`.
        seed: See `measure`.
        folder: Where models are made.
        sizes: How much.
    """
    found: dict[str, Callable[[], Any]] = {}
    for turns in sizes.turns:
        for regime in rollouts.REGIMES:
            found[f"rollout: {regime.name}, {turns} turns"] = partial(
                rollouts.rollout, regime, turns, seed, seconds=sizes.seconds, **sizes.shape
            )
    # one row a turn of 50 turns would take a quarter of an hour
    for turns in (turns for turns in sizes.turns if turns < rollouts.LONG):
        found[f"training: {turns} turns"] = partial(
            training.training, turns, seed, **{**sizes.shape, **sizes.training}
        )

    def start(env: str) -> Path:
        out = folder / str(sizes.environments.index(env))
        return phases.imitator(env, out, seed, sizes.tiny)

    for env in sizes.environments:
        found[f"overhead: {env}"] = lambda env=env: phases.overheads(
            env, start(env), seed, episodes=sizes.episodes
        )
    for env, where in product(sizes.environments[-1:], dict.fromkeys(["cpu", device])):
        for algorithm in ("turn_ppo", "archer"):
            found[f"iteration: {algorithm}, {where}"] = lambda a=algorithm, e=env, w=where: (
                phases.iterations(
                    a,
                    e,
                    start(e),
                    seed,
                    count=sizes.iterations,
                    episodes=sizes.episodes,
                    device=w,
                )
            )
    found["leaks"] = partial(leaks.measure_leaks, sizes.leaks, max(1, sizes.leaks // 10), seed)
    if device != "cpu":
        found["large"] = partial(large.large, torch.device(device), seed, **sizes.large)
    return found


def record(results: Mapping[str, Any], device: str, seed: int, command: Sequence[str]) -> str:
    """Results with where they come from, as JSON."""
    whole = {
        "command": " ".join(["lmenvs", *command[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": support.commit(),
        "machine": {**support.machine(), "threads": 1},
        "versions": support.versions(),
        "device": device,
        "seed": seed,
        "parts": results,
    }
    return json.dumps(whole, indent=1) + "\n"


def rows(results: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """(what, value, unit): the numbers to read first."""
    found: list[tuple[str, float, str]] = []
    for name, value in results.items():
        if name.startswith("rollout"):
            found.append((name, value["tokens_per_second"], "tokens/s"))
            if value["times_generate"] is not None:
                found.append((f"{name}: against generate", value["times_generate"], "times"))
            found.append((f"{name}: of the bare loop", value["of_limit"], "times"))
        elif name.startswith("training"):
            found.append((name, value["tokens_per_second"], "tokens/s"))
            found.append((f"{name}: of the bare loop", value["of_bare"], "times"))
            found.append((f"{name}: against one row a turn", value["times_row_per_turn"], "times"))
        elif name.startswith("overhead"):
            for row in value:
                found.append((f"{row['env']}: outside the model", 100 * row["outside_model"], "%"))
        elif name.startswith("iteration"):
            found += [(f"{name}: {phase}", s, "s") for phase, s in value["seconds"].items()]
        elif name == "large":
            for row in value:
                found.append((row["what"], row["tokens_per_second"], "tokens/s"))
                found.append((f"{row['what']}: of the peak", 100 * row["of_peak"], "%"))
        else:
            found += [
                (f"{name}: {k}", v, "") for k, v in value.items() if isinstance(v, int | float)
            ]
    return found


@contextlib.contextmanager
def quietly() -> Generator[None]:
    """One thread, and grouped heads without copies, for all sides alike."""
    threads, forced = torch.get_num_threads(), os.environ.get(_FORCED)
    support.set_threads(1)
    os.environ[_FORCED] = "1"
    try:
        yield
    finally:
        support.set_threads(threads)
        if forced is None:
            del os.environ[_FORCED]
        else:
            os.environ[_FORCED] = forced
