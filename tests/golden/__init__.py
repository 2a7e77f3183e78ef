"""Golden transcripts: whole episodes as text, so that a change of behaviour shows as a diff.

A file changes only in a commit whose message says why behaviour changed;
`python -m tests.golden.make` writes them anew.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import lmenvs

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Game:
    """One golden transcript: which file, environment, seed and player.

    `policy` is "expert", "random" (uniform over the admissible actions, seeded by the game's seed),
    or the actions themselves, of which the last ones may be left unused.
    """

    file: str
    env: str
    seed: int = 0
    policy: str | Sequence[str] = "expert"
    options: dict[str, Any] = field(default_factory=dict)


def play(
    env_string: str,
    seed: int,
    policy: str | Sequence[str],
    options: dict[str, Any] | None = None,
    turns: int = 200,
) -> str:
    """An episode as text: what was said, and everything the environment answered.

    Observations are shown with `|` at the start of every line, actions as JSON behind `>`, so that
    blanks at the ends and unusual characters can be seen.
    """
    env = lmenvs.make(env_string)
    observation, info = env.reset(seed=seed, options=options)
    said = iter(() if isinstance(policy, str) else policy)
    generator = np.random.default_rng((seed, 2))
    lines = [f"{env_string} seed {seed}" + (f" options {options}" if options else "")]
    lines += _block("instructions", env.instructions)
    lines += [*_block("observation", observation), *_state(env, info)]
    for turn in range(1, turns + 1):
        action = _choose(env, policy, said, generator)
        if action is None:
            break
        observation, reward, terminated, truncated, info = env.step(action)
        lines += [
            f"--- turn {turn}",
            f"> {json.dumps(action)}",
            *_block("observation", observation),
        ]
        lines += [f"reward {reward:g}", *_state(env, info)]
        if terminated or truncated:
            lines.append("terminated" if terminated else "truncated")
            break
    return "\n".join(lines) + "\n"


def _choose(
    env: lmenvs.TextEnv, policy: str | Sequence[str], said: Any, generator: np.random.Generator
) -> str | None:
    if policy == "expert":
        return env.expert_action()
    if policy == "random":
        actions = env.admissible_actions()
        assert actions, "a random player needs admissible actions"
        return actions[int(generator.integers(len(actions)))]
    return next(said, None)


def _state(env: lmenvs.TextEnv, info: dict[str, Any]) -> list[str]:
    shown = {key: value for key, value in sorted(info.items()) if key != "admissible_actions"}
    actions = env.admissible_actions()
    count = "" if actions is None else f", {len(actions)} admissible"
    return [
        f"info {json.dumps(shown)}",
        f"progress {env.progress():.4f}, key {json.dumps(env.state_key())}{count}",
    ]


def _block(title: str, text: str) -> list[str]:
    return [title, *(f"| {line}" for line in text.split("\n"))]
