"""Where the time of real rollouts and of whole training iterations goes (torch).

Both begin with a model of about 1 million parameters that has imitated random play, so that most of
its actions are legal ones: nonsense would be answered sooner than a game's own commands.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from agents.models import load_model
from agents.rollout import collect
from agents.sampling import Sampling

from .. import archer, behaviour_cloning, turn_ppo
from .rollouts import Timed, overhead

MAZE = "lmenvs/Maze-v0"
# of the games that come compiled: compiling one takes as long as an iteration
COINS = "lmenvs/TextWorldCoinCollector-v0?level=104&admissible=true&description=name&games=256"
TURNS = 15  # of an episode at most; the coin collector's own limit


class Overhead(TypedDict):
    """What of a rollout's time is not the model's."""

    env: str
    outside_model: float  # share outside forward and sampling
    shares: dict[str, float]


class Iteration(TypedDict):
    """A whole training iteration, by phase."""

    algorithm: str
    env: str
    seconds: dict[str, float]  # of each phase, the mean over iterations


def imitator(env: str, out: Path, seed: int, size: behaviour_cloning.TinyConfig) -> Path:
    """A run folder with a model that has seen random play; made where it is not there yet."""
    if out.exists():
        return out
    clone = behaviour_cloning.Config(seed=seed, demonstrator="random", episodes=64, epochs=2)
    return behaviour_cloning.pretrain(env, out, replace(size, clone=clone))


def overheads(
    env: str,
    start: Path,
    seed: int,
    *,
    episodes: int = 64,
) -> list[Overhead]:
    """The share of rollouts that is not spent in the model; of TextWorld also the first time.

    A text adventure is asked about every state once and answers from memory after that. "First
    time" forgets all answers beforehand; compiling the games is never part of it.
    """
    model, chat = load_model(start)
    seeds = range(seed, seed + episodes)
    policy = Timed(model, chat, Sampling(max_new_tokens=8))
    collect(env, policy, seeds, max_turns=TURNS)  # compiles games, grows the store of keys
    found: list[Overhead] = []
    if "TextWorld" in env:
        from lmenvs.envs.textworld.play import PLAYER

        PLAYER.forget()
        found.append(_overhead(f"{env}, first time", env, policy, seeds))
    found.append(_overhead(env, env, policy, seeds))
    return found


def _overhead(name: str, env: str, policy: Timed, seeds: range) -> Overhead:
    policy.reset()
    shares = overhead(env, policy, seeds, TURNS)
    return {
        "env": name,
        "outside_model": 1 - shares["forward"] - shares["sampling"],
        "shares": shares,
    }


def iterations(
    algorithm: str,
    env: str,
    start: Path,
    seed: int,
    *,
    count: int = 3,
    episodes: int = 64,
    device: str = "cpu",
) -> Iteration:
    """Train for some iterations; the first, which warms everything up, is left out of the means."""
    given: dict[str, Any] = {"seed": seed, "iterations": count, "episodes": episodes}
    given |= {"max_new_tokens": 8, "max_turns": TURNS, "save_every": 1}
    with tempfile.TemporaryDirectory(prefix="lmenvs-bench-") as folder:
        out = Path(folder) / "run"
        if algorithm == "archer":
            config = archer.Config(**given, warmup_iterations=1)
            archer.train(env, start, out, config, device=device)
        else:
            turn_ppo.train(env, start, out, turn_ppo.Config(**given), device=device)
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {"algorithm": algorithm, "env": env, "seconds": phases([*map(json.loads, lines)][1:])}


def phases(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean seconds of each phase, in the order of an iteration.

    >>> phases([{"time": 9.0, "time/collect": 2.0}, {"time/collect": 4.0, "time/save": 1.0}])
    {'collect': 3.0, 'save': 0.5}
    """
    names = dict.fromkeys(name for row in rows for name in row if name.startswith("time/"))
    return {
        name.removeprefix("time/"): sum(row.get(name, 0.0) for row in rows) / len(rows)
        for name in names
    }
