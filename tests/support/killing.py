"""Training runs in processes that can be killed; a server that has torch already forks them."""

import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from algorithms import (
    archer,
    behaviour_cloning,
    cli,
    reinforce,
    single_stream,
    support,
    tppo,
    turn_ppo,
)
from tests.support.training import MICROWAVE, assert_same_run, cloning

ITERATIONS = 6
_ROOT = str(Path(__file__).resolve().parents[2])


SETTINGS: dict[str, tuple[Callable[..., Path], object]] = {
    "archer": (
        archer.train,
        archer.Config(
            iterations=ITERATIONS,
            episodes=4,
            warmup_iterations=1,
            critic_steps=2,
            actor_steps=2,
            batch_size=4,
            max_new_tokens=8,
            save_every=2,
        ),
    ),
    "behaviour_cloning": (
        behaviour_cloning.train,
        cloning(demonstrator="expert", episodes=20, batch_size=8, epochs=ITERATIONS),
    ),
    "reinforce": (
        reinforce.train,
        reinforce.Config(
            iterations=ITERATIONS, groups=2, group_size=3, max_new_tokens=8, save_every=1
        ),
    ),
    "single_stream": (
        single_stream.train,
        single_stream.Config(
            iterations=ITERATIONS, tasks=8, episodes=6, max_new_tokens=8, save_every=1
        ),
    ),
    "tppo": (
        tppo.train,
        tppo.Config(
            iterations=ITERATIONS, episodes=6, window=2, warmup=2, max_new_tokens=8, save_every=1
        ),
    ),
    "turn_ppo": (
        turn_ppo.train,
        turn_ppo.Config(iterations=ITERATIONS, episodes=6, max_new_tokens=8, save_every=1),
    ),
}


def train(name: str, model: str, out: str) -> None:
    """One small run, from its last checkpoint on; the target of a child process."""
    support.set_threads(1)
    algorithm, config = SETTINGS[name]
    algorithm(MICROWAVE, model, out, config, resume=True)


def train_on_a_small_disk(limit: int, model: str, out: str, said: str) -> None:
    """`lmenvs train` where no file may be longer than `limit` bytes; the target of a process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    arguments = ["train", "reinforce", "--env", MICROWAVE, "--model", model, "--out", out]
    arguments += ["--iterations", "2", "--groups", "2", "--save-every", "1", "--resume"]
    with open(said, "w", encoding="utf-8") as file, redirect_stderr(file):
        code = cli.main(arguments)
    sys.exit(code)


def server() -> ForkServerContext:
    """A context whose children have imported torch when they begin."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.killing"])
    # the server looks for the module to preload where a fresh interpreter would
    os.environ["PYTHONPATH"] = os.pathsep.join([_ROOT, os.environ.get("PYTHONPATH", "")])
    return context


def killed_and_resumed(name: str, model: Path, folder: Path, kills: int, seed: int) -> list[int]:
    """Kill a run at random moments and resume it until `kills` have struck, then let it finish.

    A run that finishes before its next kill is compared, and another begins. Every finished run
    must be the uninterrupted one to the bit.

    Returns:
        How many iterations the run had logged at each kill.
    """
    context, chance = server(), random.Random(seed)

    def begin(out: Path) -> ForkServerProcess:
        child = context.Process(target=train, args=(name, str(model), str(out)))
        child.start()
        return child

    def finish(out: Path) -> float:
        began = time.monotonic()
        child = begin(out)
        child.join(120)
        assert child.exitcode == 0, f"{name}: the run ended with {child.exitcode}"
        return time.monotonic() - began

    finish(folder / "first")  # the server starts now; the next one has the usual speed
    whole, seconds = folder / "whole", finish(folder / "whole")
    assert_same_run(folder / "first", whole)
    struck: list[int] = []
    runs = 0
    while len(struck) < kills:
        runs += 1
        out = folder / str(runs)
        while len(struck) < kills:
            child = begin(out)
            child.join(chance.uniform(0.05, 0.85) * seconds)
            child.kill()
            child.join()
            if child.exitcode == 0:  # it was done before
                break
            assert child.exitcode == -signal.SIGKILL
            log = out / "metrics.jsonl"
            struck.append(log.read_bytes().count(b"\n") if log.exists() else 0)
        finish(out)
        assert_same_run(out, whole)
    print(f"{name}: {runs} runs of {seconds:.2f} s, killed behind {struck}", file=sys.stderr)
    return struck
