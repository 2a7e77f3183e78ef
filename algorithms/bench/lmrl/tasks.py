"""The tasks of the comparison: what is played, what data there is, how large the model is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lmenvs.envs.word.word_lists import reference_name

WORDS = "LMENVS_LMRL_WORDS"
"""The environment variable with the path of LMRL-Gym's word list, which is not shipped."""


TITLES = (
    *("maze, full view", "maze, partial view", "wordle, their 431 words"),
    *("text nav, full view", "text nav, partial view", "twenty questions", "guess my city"),
    *("chess endgames", "car dealer", "chess"),
)
"""All rows, in the order in which they are run."""


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the table.

    Attributes:
        env: What the data is played on and the online methods train on.
        held_out: What everything is evaluated on, with other seeds.
        player: Whose play the data is.
        episodes: Of the data.
        evaluations: Held-out episodes.
        theirs: The env string with LMRL-Gym's figures, where they are of the same task.
        hidden: The model's width.
        layers: Its blocks.
        context: Its window.
        epochs: Of cloning the data.
        spelled: Whether the model's words begin as sums of their letters (agents/tiny.py).
        rate: The learning rate of cloning.
        batch: Episodes in one of its steps.
        longest_action: Tokens.
        iterations: Of 50 steps, of the methods that learn values from the file.
        turn_budget: Environment turns of the online methods.
        max_turns: Online training episodes are truncated here.
        collected: Episodes of an online iteration; None for each method's own number.
    """

    env: str
    held_out: str
    player: str
    episodes: int
    evaluations: int = 256
    theirs: str = ""
    hidden: int = 96
    layers: int = 2
    context: int = 2048
    epochs: int = 2
    spelled: bool = False
    rate: float = 2e-3
    batch: int = 16
    longest_action: int = 12
    iterations: int = 40
    turn_budget: int = 60_000
    max_turns: int | None = None
    collected: int | None = None


def tasks() -> Mapping[str, Task]:
    """All tasks in the order in which they are run; Wordle only where its list is at hand."""
    maze = "lmenvs/Maze-v0"
    nav = "lmenvs/TextNav-v0"
    found = {
        f"maze, {view} view": Task(
            f"{maze}{arguments}",
            f"{maze}{arguments}",
            "expert?noise=0.85",
            2000,
            theirs=f"{maze}{arguments}",
            hidden=64,
            turn_budget=25_000,
            max_turns=60,
            collected=32,
        )
        for view, arguments in (("full", ""), ("partial", "?observability=partial"))
    }
    if path := os.environ.get(WORDS):
        if not Path(path).is_file():
            raise ValueError(f"{WORDS}={path}: expected LMRL-Gym's word list, found no such file")
        wordle = f"lmenvs/Wordle-v0?feedback=lmrl&words={path}&split=all&shows=letters"
        found["wordle, their 431 words"] = Task(
            wordle,
            wordle,
            "script:lmenvs.envs.word.wordle_policies:dataset",
            100_000,
            evaluations=4310,
            theirs=f"lmenvs/Wordle-v0?feedback=lmrl&words={reference_name(path)}",
            hidden=128,
            spelled=True,
            rate=1e-3,
            batch=32,
            epochs=3,
            turn_budget=400_000,
        )
    for view in ("full", "partial"):
        found[f"text nav, {view} view"] = Task(
            f"{nav}?observability={view}",
            f"{nav}?observability={view}&split=test",
            "expert?noise=0.5",
            4000,
        )
    for name, env in (
        ("twenty questions", "TwentyQuestions-v0"),
        ("guess my city", "GuessMyCity-v0"),
    ):
        string = f"lmenvs/{env}?split=all"
        found[name] = Task(string, string, "expert?noise=0.6", 10_000, hidden=128, epochs=4)
    found["chess endgames"] = Task(
        *("lmenvs/ChessEndgame-v0", "lmenvs/ChessEndgame-v0", "expert?noise=0.4", 4000)
    )
    found["car dealer"] = Task(
        "lmenvs/CarDealer-v0",
        "lmenvs/CarDealer-v0",
        "script:lmenvs.envs.dialogue.car_dealer_seller:dataset",
        4000,
        longest_action=48,
    )
    found["chess"] = Task("lmenvs/Chess-v0", "lmenvs/Chess-v0", "expert?noise=0.2", 500)
    return found
