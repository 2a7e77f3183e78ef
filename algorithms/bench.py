"""Speeds of this machine: environment steps, sampled and trained tokens a second, and memory.

`env` steps every installed id with legal actions drawn at random; asking for the legal actions is
part of what is timed, and the speed of steps alone stands beside it. Games in pure Python also tell
a reset's time and a thousand's memory.
`textworld` sets its games beside textworld.gym. `sampling` and `training` use a tiny model made on
the spot on episodes of the maze; `demo` runs the demo in miniature. Each rate is the best of three:
other work on the machine only ever makes a run slower.
"""

import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

import gymnasium
import numpy as np

from lmenvs.core import TextEnv
from lmenvs.registration import TABLE, make
from lmenvs.types import Episode

from . import bench_textworld, support

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from agents.chat import Chat

Part = Literal["env", "textworld", "sampling", "training", "demo", "all"]
REPEATS = 3
WALK = 60  # turns of each walk through a game of TextWorld
LM_ENV = "lmenvs/Maze-v0"


class Measurement(TypedDict):
    """One measured number."""

    what: str
    value: float
    unit: str


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
    if seconds <= 0:
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
        results += bench_textworld.measure(WALK, seed)
        advance()
    if part in ("sampling", "training", "all"):
        results += language_model(part, seconds, seed)
        advance()
    if part in ("demo", "all"):
        results += demo()
        advance()
    return results


def environment(name: str, seconds: float, seed: int) -> list[Measurement]:
    """Steps a second of one environment; a second pass over known tasks for those that cache."""
    spec, env = TABLE[name], make(name)
    rates: list[Measurement] = []
    try:
        if "textworld" in spec.tags:
            for task in range(2):
                env.reset(seed=seed + task)  # compiles the game where that was never done
            # cold: the interpreter answers; warm: the same tasks and actions again, from memory
            began = time.perf_counter()
            turns = _steps(env, seed, tasks=2)
            cold = turns / (time.perf_counter() - began)
            rates.append({"what": f"{name}, first time", "value": cold, "unit": "steps/s"})
        tasks = 2 if "textworld" in spec.tags else 8
        rate = best_rate(lambda: _steps(env, seed, tasks), seconds)
    finally:
        env.close()
    return [*rates, {"what": name, "value": rate, "unit": "steps/s"}]


def bare_steps(name: str, seconds: float, seed: int, tasks: int = 64) -> Measurement:
    """Steps a second through `gymnasium.make`, resets and the choice of actions left out."""
    env = gymnasium.make(name, **TABLE[name].kwargs)
    walks = [_walk(env, seed + task) for task in range(tasks)]
    rates: list[float] = []
    for _ in range(REPEATS):
        turns, spent = 0, 0.0
        while spent < seconds / REPEATS:
            for task, walk in enumerate(walks):
                env.reset(seed=seed + task)
                began = time.perf_counter()
                for action in walk:
                    env.step(action)
                spent += time.perf_counter() - began
                turns += len(walk)
        rates.append(turns / spent)
    return {"what": f"{name}, steps alone", "value": max(rates), "unit": "steps/s"}


def _walk(env: gymnasium.Env[str, str], seed: int) -> list[str]:
    """Random legal actions to the end of a task."""
    game = env.unwrapped
    assert isinstance(game, TextEnv)
    generator, actions, over = np.random.default_rng(seed), [], False
    env.reset(seed=seed)
    while not over:
        legal = game.admissible_actions() or [game.expert_action()]
        actions.append(legal[generator.integers(len(legal))])
        _, _, terminated, truncated, _ = env.step(actions[-1])
        over = terminated or truncated
    return actions


def footprint(name: str, seed: int, count: int = 1000) -> list[Measurement]:
    """How long a reset takes on average, and what `count` environments hold in memory together."""
    tracemalloc.start()
    envs = [make(name) for _ in range(count)]
    for task, env in enumerate(envs):
        env.reset(seed=seed + task)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    began = time.perf_counter()
    for task, env in enumerate(envs):
        env.reset(seed=seed + task)
    spent = time.perf_counter() - began
    return [
        {"what": f"{name}, reset", "value": 1e3 * spent / count, "unit": "ms"},
        {"what": f"{name}, {count} of them", "value": held / 2**20, "unit": "MiB"},
    ]


def _steps(env: TextEnv, seed: int, tasks: int) -> int:
    """Play some tasks with random legal actions; returns the turns taken."""
    generator = np.random.default_rng(seed)
    turns = 0
    for task in range(tasks):
        env.reset(seed=seed + task)
        over = False
        while not over:
            actions = env.admissible_actions() or [env.expert_action()]
            _, _, terminated, truncated, _ = env.step(actions[generator.integers(len(actions))])
            over = terminated or truncated
            turns += 1
    return turns


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


def language_model(
    part: Part, seconds: float, seed: int, conversations: int = 64
) -> list[Measurement]:
    """Sampled and trained tokens a second of a tiny model (torch)."""
    from agents import make_policy, tiny
    from agents.chat import Chat
    from agents.lm import LMPolicy
    from agents.rollout import collect
    from agents.sampling import Sampling

    played = collect(LM_ENV, make_policy("expert"), range(seed, seed + 32), record=False)
    texts = [t for e in played for turn in e.turns for t in (turn.observation, turn.action.text)]
    tokenizer = tiny.make_tokenizer([*texts, played[0].instructions])
    model = tiny.make_model(tokenizer, seed=seed)
    chat = Chat(tokenizer)
    size = sum(weights.numel() for weights in model.parameters()) / 1e6
    results: list[Measurement] = []
    if part in ("sampling", "all"):
        policy = LMPolicy(model, chat, Sampling(max_new_tokens=8))

        def sample() -> int:
            episodes = collect(
                LM_ENV,
                policy,
                range(seed, seed + conversations),
                width=64,
                max_turns=8,
                record=False,
            )
            return sum(len(turn.action.token_ids) for e in episodes for turn in e.turns)

        rate = best_rate(sample, seconds)
        what = (
            f"sampled, {size:.1f} M parameters, {conversations} conversations of 8 turns, "
            "reading included"
        )
        results.append({"what": what, "value": rate, "unit": "tokens/s"})
    if part in ("training", "all"):
        what = f"trained, {size:.1f} M parameters, every token of the episodes"
        rate = best_rate(_training_step(model, chat, played, seed), seconds)
        results.append({"what": what, "value": rate, "unit": "tokens/s"})
    return results


def _training_step(
    model: "PreTrainedModel", chat: "Chat", episodes: Sequence[Episode], seed: int
) -> Callable[[], int]:
    """A function that takes one optimizer step on the episodes; returns the tokens in them."""
    import torch

    from .batch import make_batch
    from .behaviour_cloning import Config, update

    batch = make_batch(episodes, chat)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    config = Config(seed=seed)
    tokens = int(batch.lengths.sum())

    def step() -> int:
        update(model, optimizer, batch, config)
        return tokens

    return step


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
