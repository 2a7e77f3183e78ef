"""TextWorld's speed beside textworld.gym's: the same games, commands and information, one run.

The commands are drawn beforehand; what is timed is the turns alone, in seconds of the processor
(both run in this process), the best of three. "First time" forgets every answer before each turn,
so that each asks the interpreter and the logic; "again" has them from memory.

What each backend gives: a .z8 story on the interpreter has the game's texts, and is what lmenvs
plays; with the logic in the .json beside it, it has the commands, the plan and the facts too.
textworld.gym also plays the .json alone, which is faster and has placeholders in place of texts.
"""

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmenvs.registration import make

from .measurement import REPEATS, Measurement

if TYPE_CHECKING:
    from lmenvs.envs.textworld.base import TextWorldEnv

LONG = 10_000  # a turn limit that no walk meets
GAMES = (
    ("coin collector", "lmenvs/TextWorldCoinCollector-v0?level=104&games=1", False),
    ("quest w2-o3-q4", "lmenvs/TextWorldQuest-v0?games=1&first_game=1", True),
    ("quest w4-o6-q8", "lmenvs/TextWorldQuest-v0?games=1&rooms=4&objects=6&quest_length=8", True),
)
"""(name, environment, whether TextWorld's plan is part of the information)."""

Walks = Sequence[Sequence[str]]


def measure(turns: int, seed: int) -> list[Measurement]:
    """Turns a second of each game in each way, and their ratios.

    Args:
        turns: The length of each of the four walks through a game.
        seed: Seeds the walks.
    """
    rows: list[Measurement] = []
    for game, name, planned in GAMES:
        rows += _compare(game, name, planned, turns, seed)
    return rows


def _compare(game: str, name: str, planned: bool, turns: int, seed: int) -> list[Measurement]:
    from lmenvs.envs.textworld.base import TextWorldEnv

    env = make(name, turn_limit=LONG)
    assert isinstance(env, TextWorldEnv)
    walks = _draw(env, turns, seed)
    with tempfile.TemporaryDirectory() as folder:
        files = _write(env, Path(folder))
        ways: dict[str, Callable[[], float]] = {
            "lmenvs, first time": lambda: _ours(env, walks, planned, forget=True),
            "lmenvs, again": lambda: _ours(env, walks, planned, forget=False),
            "textworld.gym .z8": lambda: _theirs(files[0], walks, planned),
            "textworld.gym .json, no text": lambda: _theirs(files[1], walks, planned),
        }
        best = dict.fromkeys(ways, 0.0)
        for _ in range(REPEATS):  # in turn, so that a busy moment of the machine hits all alike
            for way, rate in ways.items():
                best[way] = max(best[way], rate())
    env.close()
    what = f"{game}, commands, score{', plan' if planned else ''}"
    rows: list[Measurement] = [
        {"what": f"{what}: {way}", "value": value, "unit": "turns/s"} for way, value in best.items()
    ]
    base = best["textworld.gym .z8"]
    for way in ("lmenvs, first time", "lmenvs, again"):
        ratio = best[way] / base
        rows.append({"what": f"{what}: {way} / textworld.gym .z8", "value": ratio, "unit": "times"})
    return rows


def _draw(env: "TextWorldEnv", turns: int, seed: int) -> Walks:
    """Four random walks that do not end."""
    generator = np.random.default_rng(seed)
    walks: list[list[str]] = []
    for _ in range(4):
        env.reset(seed=seed)
        walk: list[str] = []
        while len(walk) < turns:
            before = env.snapshot()
            actions = env.admissible_actions() or ["look"]
            walk.append(actions[int(generator.integers(len(actions)))])
            if env.step(walk[-1])[2]:
                env.restore(before)
                walk.pop()
        walks.append(walk)
    return walks


def _write(env: "TextWorldEnv", folder: Path) -> tuple[Path, Path]:
    """The game as the files that textworld.gym reads."""
    from lmenvs.envs.textworld.recipes import generate

    story, logic = folder / "game.z8", folder / "game.json"
    story.write_bytes(env.game.rom())
    generate(env.recipe).save(str(logic))
    return story, logic


def _ours(env: "TextWorldEnv", walks: Walks, planned: bool, forget: bool) -> float:
    if not forget:  # what the others forgot is known again
        _ours_once(env, walks, planned, forget=False)
    return sum(map(len, walks)) / _ours_once(env, walks, planned, forget)


def _ours_once(env: "TextWorldEnv", walks: Walks, planned: bool, forget: bool) -> float:
    from lmenvs.envs.textworld.play import PLAYER

    spent = 0.0
    for walk in walks:
        env.reset(seed=0)
        for action in walk:
            if forget:
                PLAYER.forget_answers()
            began = time.process_time()
            env.step(action)
            env.admissible_actions()
            if planned:
                env.progress()
            spent += time.process_time() - began
    return spent


def _theirs(file: Path, walks: Walks, planned: bool) -> float:
    import textworld.gym
    from textworld import EnvInfos

    infos = EnvInfos(
        admissible_commands=True,
        score=True,
        won=True,
        lost=True,
        policy_commands=planned,
        intermediate_reward=planned,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = textworld.gym.register_game(str(file), infos, max_episode_steps=LONG)
        env = textworld.gym.make(name)
        spent = 0.0
        for walk in walks:
            env.reset()
            began = time.process_time()
            for action in walk:
                env.step(action)
            spent += time.process_time() - began
        env.close()
    return sum(map(len, walks)) / spent
