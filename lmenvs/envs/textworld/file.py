"""A user's own TextWorld game, from the file that `tw-make` or `textworld.make` wrote."""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lmenvs.arguments import check_path
from lmenvs.core import OnInvalid

from . import cache
from .base import Description, Objective, Reward, TextWorldEnv
from .coin_collector import rooms_of_level
from .engine import textworld
from .games import Game, Recipe, compile_source, find_game, source_of
from .quest import goal_sentence
from .recipes import quiet

EXAMPLE = "example"
_HEADER = 0x40  # bytes; the checksum of a story covers what follows


def read_story(path: Path) -> bytes:
    """A compiled story, checked: the interpreter ends the whole process on a broken one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a whole story of version 8.
    """
    if path.suffix == ".json":
        path = path.with_suffix(".z8")
    if path.suffix != ".z8":
        raise ValueError(
            f"game file {str(path)!r}: expected a .z8 story (its .json beside it), got "
            f"{path.suffix or 'no suffix'}; make one with `tw-make --format z8`"
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"game file {str(path)!r} does not exist; expected a .z8 story; make one with "
            "`tw-make --format z8`"
        )
    rom = path.read_bytes()
    size = int.from_bytes(rom[0x1A:0x1C], "big") * 8 if len(rom) > _HEADER else 0
    told = int.from_bytes(rom[0x1C:0x1E], "big")
    if not _HEADER < size <= len(rom) or rom[0] != 8 or sum(rom[_HEADER:size]) % 65536 != told:
        raise ValueError(
            f"game file {str(path)!r}: expected a whole Z-machine story of version 8, got "
            "something else or a damaged one; make it again with `tw-make --format z8`"
        )
    return rom


def read_sheet(path: Path) -> bytes:
    """The game's logic from the .json beside the story, or nothing if there is none.

    Raises:
        ValueError: if the .json is not a TextWorld game.
    """
    path = path.with_suffix(".json")
    if not path.is_file():
        return b""
    sheet = path.read_bytes()
    try:
        missing = {"world", "quests", "infos", "KB", "metadata", "objective"} - set(
            json.loads(sheet)
        )
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r}: expected the logic of a TextWorld game, got broken JSON ({error}); "
            "make the game again or move the file away to play without it"
        ) from error
    if missing:
        raise ValueError(
            f"{str(path)!r}: expected the logic of a TextWorld game, but {sorted(missing)} are "
            "missing; make the game again or move the file away to play without it"
        )
    return sheet


def _compiled(key: str, sheet: bytes) -> bytes:
    """The story of a game that came as a .json alone; kept in the cache folder."""
    rom = cache.read_rom(key)
    if rom is None:
        textworld()
        from textworld.generator.game import Game as Logic

        with quiet():
            logic = Logic.deserialize(json.loads(sheet))
        rom = compile_source(source_of(logic))
        cache.write_rom(key, rom)
    return rom


@lru_cache(maxsize=64)
def _load(path: str, stamp: tuple[float, ...]) -> Game:
    file = Path(path)
    if file.suffix == ".json" and file.is_file() and not file.with_suffix(".z8").is_file():
        sheet = read_sheet(file)
        key = blake2b(sheet, digest_size=16).hexdigest()
        return Game(key, key, sheet, "own", lambda: _compiled(key, sheet))
    rom, sheet = read_story(file), read_sheet(file)
    key = blake2b(rom + sheet, digest_size=16).hexdigest()
    return Game(key, key, sheet, "own", lambda: rom)


def load_game(path: str | os.PathLike[str]) -> Game:
    """The game of a file, or the example that comes with the package.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a TextWorld game.
    """
    if str(path) == EXAMPLE:
        length, rooms = rooms_of_level(104)
        return find_game(
            Recipe("coin_collector", (("quest_length", length), ("nb_rooms", rooms)), 0)
        )
    named = Path(path).name  # an empty one takes no suffix
    files = [Path(path).with_suffix(suffix) for suffix in (".z8", ".json") if named]
    stamp = tuple(file.stat().st_mtime for file in files if file.is_file())
    return _load(str(path), stamp)


class TextWorldFile(TextWorldEnv):
    """Play a TextWorld game from a file.

    Description:
        The story (.z8) of a game made with TextWorld. With its .json beside it, everything works as
        in the other TextWorld environments; without, the admissible commands, the dense reward, the
        expert and the progress are unknown, and every command that the parser can read counts as
        valid.

    Actions:
        The game's own commands, one a turn. A text that is not one line of printable characters of
        at most 198 is `unsafe`; a meta-command (`restart`, `save`, `undo`, ...), several commands
        in one line, a pronoun, or what the parser cannot read is `malformed`; a command that this
        state does not allow is `inadmissible`. Invalid texts change nothing.

    Observations:
        At first the goal (as `objective` says) and the room; then what the interpreter answers,
        without banner, status line and turn count.

    Rewards:
        "sparse": the difference of the game's score. "dense": TextWorld's intermediate reward. An
        invalid action costs nothing but its turn under "penalise" (the default) and "noop".

    Episode end:
        Terminated when the game is won (success) or lost, and at the turn limit. Never truncated.

    Arguments:
        path: The .z8 file, or its .json (a .json without its .z8 is compiled at the first reset
            and kept in the cache folder, since the logic alone has no texts to tell); "example" is
            a coin collector of the package. Other formats (.ulx, .z5) are refused in one line.
        reward: "sparse", or "dense" (needs the .json).
        objective: "goal", "full" or "none".
        description: "full", or "name" for the title line of a room only.
        admissible: End every observation with the line of admissible commands.
        relabel: Turn or mirror the map and exchange the usual room names, as drawn by the seed.
        turn_limit: 100 by default.

    Capability:
        That of the game. The expert is privileged: it follows TextWorld's own plan.

    Source:
        The user's file; TextWorld (Cote et al., 2018).

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/TextWorldFile-v0
        TextWorldFile-v0
            min 0: by the rules
            average 0.747 +- 0.014: uniform over legal actions, seeds 0 to 999
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    reset_options: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] = EXAMPLE,
        reward: Reward = "sparse",
        objective: Objective = "goal",
        description: Description = "full",
        admissible: bool = False,
        relabel: bool = False,
        turn_limit: int = 100,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        check_path("path", path)
        self._path = path
        super().__init__(
            family=None,
            parameters=(),
            turn_limit=turn_limit,
            reward=reward,
            objective=objective,
            description=description,
            admissible=admissible,
            relabel=relabel,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )
        if str(path) != EXAMPLE and reward == "dense" and not load_game(path).has_logic:
            raise ValueError(
                f"reward='dense' needs the .json beside {os.fspath(path)!r}; put it there or use "
                "reward='sparse'"
            )
        if str(path) != EXAMPLE:
            load_game(path)  # a broken file is told now, not in the middle of a training run

    def _draw_game(self, task: np.random.Generator, options: Mapping[str, Any]) -> tuple[int, Game]:
        return 0, load_game(self._path)

    def _find(self, number: int) -> Game:
        return load_game(self._path)

    def _games(self) -> list[tuple[int, Game]]:
        return [(0, load_game(self._path))]

    def _instructions(self) -> str:
        return (
            "You play a text adventure. Answer with one command a turn, such as: look, inventory, "
            f"go east, take key, open door. You have {self.turn_limit} turns."
        )

    def _goal(self) -> str:
        game = self.game
        return goal_sentence(game) if game.has_logic else "Goal: score all the points."

    def expert_action(self) -> str:
        """The next command of TextWorld's own plan; privileged. `look` where no plan is left.

        Raises:
            ValueError: if there is no .json beside the story.
        """
        if not self.game.has_logic:
            raise ValueError(
                f"no expert for {os.fspath(self._path)!r}: its .json is not beside it; put it there"
            )
        return self._planned()
