"""What every training loop needs and none should have to think about; nothing algorithmic.

Seeds and threads, the optimizer step, Ctrl-C, progress, and the run folder (`Run`, `open_run`, from
runs.py). torch is imported when it is used, so that scripted policies need none.
"""

import contextlib
import logging
import random
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from agents.threads import set_threads
from agents.workers import keep_workers

from .provenance import commit, machine, versions
from .runs import Run, open_run

if TYPE_CHECKING:
    import torch

log = logging.getLogger("lmenvs")

__all__ = [
    "Diverged",
    "Interrupted",
    "Run",
    "Stop",
    "commit",
    "interruptible",
    "iterations",
    "machine",
    "open_run",
    "optimizer_step",
    "peak_memory_mib",
    "progress",
    "seed_all",
    "set_threads",
    "until",
    "versions",
]


MOST_SKIPPED = 10  # in a row; a single bad batch is passed over, a broken model is not
_SKIPPED = "skipped steps in a row"  # kept in the optimizer's state, so that resuming goes on
_reached: ContextVar[Callable[[Run], bool]] = ContextVar("reached", default=lambda _: False)


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; the checkpoint is written."""


class Diverged(ValueError):
    """Steps without a finite gradient, or values that cannot be; the checkpoint is as it was."""


def seed_all(seed: int) -> None:
    """Seed every global generator: random, numpy, torch. The only place that does so."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    with contextlib.suppress(ImportError):  # without torch there is nothing of torch to seed
        import torch

        torch.manual_seed(seed)


def peak_memory_mib(*, children: bool = False) -> float:
    """The most memory this process (or the largest of its finished children) has held, in MiB."""
    import resource  # not on Windows

    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    # Linux counts in KiB, macOS in bytes
    return resource.getrusage(who).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def optimizer_step(
    optimizer: "torch.optim.Optimizer", parameters: Iterable["torch.Tensor"], max_norm: float
) -> float:
    """Clip the gradient to `max_norm`, step, clear the gradient; returns the norm before clipping.

    A norm that is not finite (of a loss that is not, for example) would destroy the model: the step
    is left out, a warning says so, and the norm that is returned (inf or nan) tells the caller;
    `metrics.update_metrics` counts it.

    Raises:
        Diverged: when that happened `MOST_SKIPPED` times in a row.
    """
    import torch

    norm = float(torch.nn.utils.clip_grad_norm_(list(parameters), max_norm))
    state = cast("dict[Any, Any]", optimizer.state)
    if np.isfinite(norm):
        optimizer.step()
        state.pop(_SKIPPED, None)
    else:
        state[_SKIPPED] = state.get(_SKIPPED, 0) + 1
        log.warning("gradient norm is %s: this optimizer step is left out", norm)
    optimizer.zero_grad(set_to_none=True)
    if state.get(_SKIPPED, 0) >= MOST_SKIPPED:
        raise Diverged(
            f"expected a finite gradient, got {norm} in {MOST_SKIPPED} optimizer steps in a row; "
            "the last checkpoint in --out is kept: begin anew from it (--model OUT --out ANOTHER) "
            "with a smaller learning rate or smaller rewards"
        )
    return norm


@dataclass
class Stop:
    """Whether the user asked to stop; a loop looks at `requested` when an iteration ends."""

    requested: bool = False


@contextlib.contextmanager
def interruptible() -> Generator[Stop]:
    """Turn the first Ctrl-C (or SIGTERM) into a request to stop; the second stops at once.

    The loop checks `requested` after each iteration, saves and leaves; `Interrupted` is raised when
    the context ends, so that the caller knows the run is not complete.
    """
    stop = Stop()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        print("stopping after this iteration; Ctrl-C again stops at once", file=sys.stderr)

    before: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):  # outside the main thread signals belong to others
            before[number] = signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.requested:
        raise Interrupted("stopped on request; the checkpoint is saved")


@contextlib.contextmanager
def until(reached: Callable[[Run], bool]) -> Generator[None]:
    """Within, a training ends, with its checkpoint, after the iteration that `reached` says it of.

    `reached` is given the run once it has logged (`run.logged`, and metrics.jsonl with all before):

        with until(lambda run: run.logged["rollout/return"] > 0.9):
            archer.train(env, model, out)
    """
    token = _reached.set(reached)
    try:
        yield
    finally:
        _reached.reset(token)


def iterations(
    run: Run,
    what: str,
    total: int,
    start: int,
    save_every: int,
    save: Callable[[int], None],
    enough: Callable[[], bool] = lambda: False,
) -> Generator[int]:
    """The iterations from `start`: shown as they go, saved when due, stopped on request.

    An iteration has to log to `run`. `save` is told how many iterations are complete: after every
    `save_every`, after the last, after the one that was `enough` or that `until` waited for, and
    after the one in which Ctrl-C came.

    Raises:
        Interrupted: after Ctrl-C, once the checkpoint is saved.
    """
    with interruptible() as stop, keep_workers(), progress(what, total) as advance:
        advance(start)
        for iteration in range(start, total):
            if enough():
                break
            yield iteration
            advance(1, **_glance(run.logged))
            complete = iteration + 1
            reached = _reached.get()(run)
            last = stop.requested or reached or enough() or complete == total
            if last or complete % save_every == 0:
                with run.phase("save"):
                    save(complete)
            if stop.requested or reached:
                break


def _glance(logged: Mapping[str, float]) -> dict[str, float]:
    """What the progress shows of an iteration: success, where something was played."""
    played = logged.get("rollout/success")
    return {} if played is None else {"success": played}


@contextlib.contextmanager
def progress(what: str, total: int | None = None) -> Generator[Callable[..., None]]:
    """Show that long work moves; yields a function that is told how much was done.

    On a terminal it draws a bar (with the extra `cli`); elsewhere it prints a line about every ten
    seconds. Both go to stderr, so that stdout holds results only. In use:

        with progress("train", total=40) as advance:
            advance(1, success=0.5)
    """
    if sys.stderr.isatty():
        try:
            from rich.progress import Progress, TextColumn, TimeElapsedColumn
        except ImportError:
            pass  # plain lines serve where the extra `cli` is absent
        else:
            from rich.console import Console

            columns = [*Progress.get_default_columns(), TimeElapsedColumn()]
            columns.append(TextColumn("{task.fields[shown]}"))
            with Progress(*columns, console=Console(stderr=True)) as bar:
                task = bar.add_task(what, total=total, shown="")

                def draw(count: int = 1, **values: float) -> None:
                    bar.update(task, advance=count, shown=_shown(values))

                yield draw
            return
    finished, last = 0, time.monotonic()

    def write(count: int = 1, **values: float) -> None:
        nonlocal finished, last
        finished += count
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            of = "" if total is None else f"/{total}"
            print(f"{what}: {finished}{of} {_shown(values)}".rstrip(), file=sys.stderr, flush=True)

    yield write


def _shown(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in values.items())
