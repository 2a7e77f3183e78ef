"""Jericho: the classics of interactive fiction, from the player's own story files."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from lmenvs.arguments import check_choice, check_path
from lmenvs.core import OnInvalid

from ..textworld.file import EXAMPLE, load_game
from .base import ReplayEnv
from .jericho_commands import read_command
from .jericho_world import (
    LOOKED,
    StoryWorld,
    check_story,
    is_known,
    known_games,
    walkthrough_of,
)
from .replay import REPLAYS, Answer, State

TURN_LIMIT = 100
SEEDS = 2**31 - 1


class Story:
    """A story file with one seed of its chance; see `replay.Game`."""

    def __init__(self, rom: bytes, path: str | None, content: str, seed: int | None):
        self.key = f"{content}/{seed}"
        self.seed = seed
        self._rom, self._path = rom, path

    def open(self) -> StoryWorld:
        """A running world at the start."""
        return StoryWorld(self._rom, self._path, self.seed)


class _File:
    """A story file, read and checked once."""

    def __init__(self, path: str):
        self.path = None if path == EXAMPLE else path
        if path == EXAMPLE:
            self.rom = load_game(EXAMPLE).rom()
            self.walkthrough = load_game(EXAMPLE).walkthrough
        else:
            if not Path(path).is_file():
                raise FileNotFoundError(
                    f"path={path!r}: there is no such file; expected a Z-machine story, your own "
                    "or a free game of the IF Archive (or path='example')"
                )
            self.rom = Path(path).read_bytes()
            check_story(self.rom, path)
            self.walkthrough = walkthrough_of(self.rom)
        self.known = is_known(self.rom)
        self.content = blake2b(self.rom, digest_size=12).hexdigest()


@lru_cache(maxsize=64)
def _open_file(path: str, stamp: float) -> _File:
    return _File(path)


class Jericho(ReplayEnv[Story]):
    """Play a text adventure from its story file, on the real Z-machine interpreter.

    Description:
        Any Z-machine story (.z3, .z4, .z5, .z8): Zork, Detective, Anchorhead, your own. No game
        comes with the package, but for a small one to try out. Of the games that jericho knows by
        their hash it tells the score, the end, a walkthrough and the valid actions; any other
        story is asked for its score in its own words, and is over when it offers to restart.

    Actions:
        The game's own commands, one a turn; an empty text is the key where the game waits for one.
        What is not one line of printable ASCII characters of at most 198, or has a backslash, is
        `unsafe`; words that leave the game or touch files (`restart`, `save`, `quit`, `undo`,
        `script`, ...), several commands in one line, and what the parser says it does not
        understand are `malformed`; things that it says are not here are `inadmissible`. Invalid
        texts take no time of the story. If the parser asks back ("Which do you mean, ..."), the
        next text may answer.

    Observations:
        What the interpreter prints, without prompt and status line.

    Rewards:
        The difference of the game's score. An invalid text costs its turn under "penalise" (the
        default) and "noop".

    Episode end:
        Terminated when the game is won (success), lost or over otherwise, and at the turn limit.
        Never truncated.

    Arguments:
        path: The story file; "example" is a coin collector made with TextWorld.
        chance: "fixed" plays every episode with the same random numbers (jericho's, with which its
            walkthroughs work), "drawn" with those of the episode's seed.
        walkthrough: Commands for the expert, where jericho has none.
        turn_limit: 100 by default.

    Capability:
        That of the game: exploration, puzzles, long memory. The expert is privileged: it follows
        the walkthrough as long as the player has, and looks around elsewhere.
        `admissible_actions()` are what jericho's detector finds, which takes seconds a state; for
        games that it does not know they are unknown.

    Source:
        The user's file; Jericho (Hausknecht et al., 2020).

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/Jericho-v0
        Jericho-v0?path=example
            min 0: by the rules
            max 1: by the rules
            expert 1 +- 0: the expert, seeds 0 to 9

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        chance: str = "fixed",
        walkthrough: Sequence[str] | None = None,
        turn_limit: int = TURN_LIMIT,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            turn_limit=turn_limit,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )
        if path is None:
            raise ValueError(
                "path=None; expected a Z-machine story file, such as 'zork1.z5'; none comes with "
                "this package: use your own, or one of the free games of the IF Archive"
            )
        check_path("path", path)
        check_choice("chance", chance, ("fixed", "drawn"))
        if not isinstance(walkthrough, list | tuple | None):
            raise ValueError(
                f"walkthrough={walkthrough!r}; expected a list of commands, such as ['north']"
            )
        known_games()
        self._path = os.fspath(path)
        self._drawn = chance == "drawn"
        file = self._file()
        given = file.walkthrough if walkthrough is None else tuple(walkthrough)
        self._walkthrough = tuple(map(str, given))
        self._way: dict[str, str] = {}  # the expert's command, by the key of the state
        self._way_of = ""  # the key of its game
        self._steps: list[str] = []
        self._end: tuple[State, tuple[str, ...]] = (State(""), ())
        self.instructions = _instructions(turn_limit)

    def _file(self) -> _File:
        here = Path(self._path)
        return _open_file(self._path, here.stat().st_mtime if here.is_file() else 0.0)

    def _draw_game(self, task: np.random.Generator, options: Mapping[str, Any]) -> Story:
        return self._find_game(1 + int(task.integers(SEEDS)) if self._drawn else None)

    def _find_game(self, name: Any) -> Story:
        file = self._file()
        return Story(file.rom, file.path, file.content, name)

    def _name_game(self) -> int | None:
        return self.game.seed

    def _read(self, action: str) -> tuple[str, str | None, str]:
        # where a story waits for a key, the world plays an empty command
        return read_command(action) if action.strip(" ") else ("", None, "")

    def admissible_actions(self) -> list[str] | None:
        """What jericho's detector finds; None for games that it does not know."""
        if not self._file().known:
            return None
        found = () if self._state.over else self._tell("actions") or ()
        return sorted({text for text, error, _ in map(read_command, found) if error is None})

    def expert_action(self) -> str:
        """The next command of the walkthrough; privileged. `look` off its path.

        Raises:
            ValueError: if there is no walkthrough.
        """
        if not self._walkthrough:
            raise ValueError(
                f"no expert for {self._path!r}: jericho has no walkthrough for it; pass "
                "walkthrough=[...]"
            )
        if self._way_of != self.game.key:
            self._way, self._way_of = {}, self.game.key
            self._end, self._steps = (self._first, ()), list(self._walkthrough)
        here = self._state.key
        while self._steps and (here not in self._way or here == self._end[0].key):
            self._take_step(self._steps.pop(0))
        return self._way.get(here, LOOKED)

    def _take_step(self, step: str) -> None:
        """Go one step further on the walkthrough than the player asked so far."""
        command, error, _ = self._read(step)
        state, commands = self._end
        if error is not None:
            return
        after: Answer = REPLAYS.answer(self.game, state, commands, command)
        if after.state.key != state.key:  # else it changes nothing
            self._way[state.key] = command
            self._end = after.state, (*commands, command)

    def answer(self) -> str | None:
        """The commands of the walkthrough, one after the other."""
        return ", ".join(self._walkthrough) or None

    def progress(self) -> float:
        """The share of the possible score, where the game tells it; below 1 until it is won."""
        if self._state.won:
            return 1.0
        possible = float((self._tell("possible") or ("0",))[0])
        share = self._state.score / possible if possible > 0 else 0.0
        return min(max(share, 0.0), 0.99)


def _instructions(turn_limit: int) -> str:
    return (
        "You play a text adventure. Answer with one command a turn and nothing else, such as: look,"
        " inventory, north, open the mailbox, take lamp, put coin in box. You have "
        f"{turn_limit} turns."
    )
