"""Games by number: a recipe makes the same game on every machine; a compiled one is found again.

A `Recipe` (family, parameters, number) is turned into a `Game` in this order: from memory, from the
package's own archive, from the cache folder, by generating and compiling it. Two hashes name a
game: `task` is that of its world and quest without any wording, and decides the split; `key` is
that of the source the compiler gets, and names the cache file.
"""

import json
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lmenvs.splits import split_of

from . import archive, cache
from .engine import textworld
from .houses import coin_house

GENERATOR = "textworld-1.7"  # part of every recipe: another generator makes other games
_LOCK = threading.RLock()


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a game is made from: its family, the family's numbers, and the game's own number."""

    family: archive.Family
    parameters: archive.Parameters
    number: int

    @property
    def name(self) -> str:
        """A readable name that no other recipe has."""
        numbers = "-".join(f"{name}{value}" for name, value in self.parameters)
        return f"{GENERATOR}/{self.family}/{numbers}/{self.number}"


class Game:
    """A compiled game: what is known without running it, and its parts when they are needed.

    Args:
        key: The content hash of its source.
        task: The content hash of its world and quest, without any wording.
        sheet: Its logic as JSON bytes (`sheet_of`).
        knowledge: Which rules it uses: a family, or "own" for those inside the sheet.
        load_rom: Returns the compiled story; called each time an interpreter needs it.
    """

    def __init__(
        self, key: str, task: str, sheet: bytes, knowledge: str, load_rom: Callable[[], bytes]
    ):
        self.key = key
        self.task = task
        self.sheet = sheet
        self.knowledge = knowledge
        self.rom = load_rom

    @property
    def split(self) -> Literal["train", "test"]:
        """Which half of all games it belongs to."""
        return split_of(self.task)

    @property
    def has_logic(self) -> bool:
        """Its rules are known: admissible commands, facts and the quest can be told."""
        return bool(self.sheet)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return json.loads(self.sheet) if self.sheet else {}

    @property
    def objective(self) -> str:
        """The game's own words for its objective; they spell out every step."""
        return " ".join((self._facts.get("objective") or "").split())

    @property
    def walkthrough(self) -> tuple[str, ...]:
        """Commands that win the game, or nothing if none are known."""
        return tuple(self._facts.get("metadata", {}).get("walkthrough") or ())

    def logic(self) -> Any:
        """A `textworld.Game` with the world, the rules and the quests."""
        return _logic(self.key, self.sheet, self.knowledge)


@lru_cache(maxsize=128)
def _logic(key: str, sheet: bytes, knowledge: str) -> Any:
    textworld()
    from textworld.generator.data import KnowledgeBase
    from textworld.generator.game import EntityInfo, Quest
    from textworld.generator.game import Game as Logic
    from textworld.generator.world import World

    facts = json.loads(sheet)
    with _quiet():
        rules = (
            KnowledgeBase.deserialize(facts["KB"]) if knowledge == "own" else rules_of(knowledge)
        )
        logic = Logic(World.deserialize(facts["world"], kb=rules))
    logic.quests = tuple(Quest.deserialize(quest) for quest in facts["quests"])
    logic.infos.update({name: EntityInfo.deserialize(info) for name, info in facts["infos"]})
    logic.metadata = dict(facts["metadata"])
    logic.objective = facts["objective"]
    return logic


@lru_cache(maxsize=8)
def rules_of(family: str) -> Any:
    """The knowledge base of a family, read from the installed package only.

    TextWorld's own loader prefers a folder `textworld_data` in the working directory and reads the
    rule files in the order of the file system; both would make games depend on the machine.
    """
    textworld()
    from textworld.challenges.tw_coin_collector import coin_collector
    from textworld.generator import data
    from textworld.logic import GameLogic

    if family == "coin_collector":
        root = Path(coin_collector.KB_PATH)
        rules, words = root / "logic", root / "text_grammars"
    else:
        rules, words = Path(data.LOGIC_DATA_PATH), Path(data.TEXT_GRAMMARS_PATH)
    with _quiet():
        paths = sorted(str(path) for path in rules.glob("*.twl"))
        return data.KnowledgeBase(GameLogic.load(paths), str(words))


@contextmanager
def _quiet() -> Generator[None]:
    """No warnings of the generator's, and numpy's and random's global streams left as they were."""
    import random

    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


@contextmanager
def _own_rules() -> Generator[None]:
    """TextWorld's default rules are those of the package, whatever the working directory holds."""
    from textworld.generator import data

    given, data.KB = data.KB, rules_of("quest")
    try:
        yield
    finally:
        data.KB = given


def generate(recipe: Recipe) -> Any:
    """The `textworld.Game` of a recipe, not compiled: the same in every process.

    Raises:
        ValueError: if the generator finds no game for this number.
    """
    package = textworld()
    from textworld.generator import make_game

    options = package.GameOptions()
    options.kb = rules_of(recipe.family)
    options.seeds = recipe.number
    for name, value in recipe.parameters:
        setattr(options, name, value)
    with _LOCK, _quiet(), _own_rules():
        try:
            if recipe.family == "coin_collector":
                options.grammar.allowed_variables_numbering = True
                return coin_house(options)
            return make_game(options)
        # whatever the generator stumbles over, the answer is that this number has no game
        except Exception as error:
            raise ValueError(f"no game {recipe.name}: {type(error).__name__} {error}") from error


def sheet_of(logic: Any) -> bytes:
    """What playing needs of a `textworld.Game`, as JSON: no rules, no grammar, no descriptions."""
    full = logic.serialize()
    infos = [
        [name, {part: info[part] for part in ("id", "type", "name")}]
        for name, info in full["infos"]
    ]
    sheet = {
        "world": full["world"],
        "quests": full["quests"],
        "infos": infos,
        "metadata": {"walkthrough": list(logic.walkthrough or ())},
        "objective": logic.objective,
    }
    return json.dumps(sheet, sort_keys=True, separators=(",", ":")).encode()


def task_hash(logic: Any) -> str:
    """The content hash of a game's world and quests, blind to names and wording."""
    facts = sorted(str(fact) for fact in logic.world.facts)
    quests = [
        [
            quest.reward,
            *(sorted(str(fact) for fact in event.condition.preconditions) for event in events),
        ]
        for quest in logic.quests
        for events in (quest.win_events, quest.fail_events)
    ]
    return _digest(json.dumps([facts, quests]).encode())


def source_of(logic: Any) -> str:
    """The Inform 7 source of a game."""
    from textworld.generator import generate_inform7_source

    with _quiet():
        return generate_inform7_source(logic)


def source_hash(source: str) -> str:
    """The content hash of a game's source."""
    return _digest(source.encode())


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def compile_source(source: str) -> bytes:
    """Compile Inform 7 source to a story; half a second.

    Raises:
        ValueError: if the compiler refuses it (a world too large for the format).
    """
    import tempfile

    textworld()
    from textworld.generator.inform7 import CouldNotCompileGameError, compile_inform7_game

    with tempfile.TemporaryDirectory(prefix="lmenvs") as folder:
        target = Path(folder) / "story.z8"
        try:
            compile_inform7_game(source, str(target))
        except CouldNotCompileGameError as error:
            raise ValueError(
                "the game does not compile: its world is too large for a .z8 story; "
                "ask for fewer rooms or objects"
            ) from error
        rom = bytearray(target.read_bytes())
    rom[0x12:0x18] = b"000000"  # the day of compilation: the same game has the same bytes
    return bytes(rom)


@lru_cache(maxsize=4096)
def find_game(recipe: Recipe) -> Game:
    """The game of a recipe. It is compiled only when an interpreter first asks for its story.

    Raises:
        ValueError: if the generator finds no game for this number.
    """
    shipped = archive.find(recipe.family, recipe.parameters, recipe.number)
    if shipped is not None:
        return Game(shipped.key, shipped.task, shipped.sheet, recipe.family, shipped.rom)
    entry = cache.read_recipe(recipe.name)
    if entry is None:
        logic = generate(recipe)
        entry = cache.Entry(source_hash(source_of(logic)), task_hash(logic), sheet_of(logic))
        cache.write_recipe(recipe.name, entry)
    key = entry.key

    def load_rom() -> bytes:
        rom = cache.read_rom(key)
        if rom is None:
            rom = compile_source(source_of(generate(recipe)))
            cache.write_rom(key, rom)
        return rom

    return Game(key, entry.task, entry.sheet, recipe.family, load_rom)
