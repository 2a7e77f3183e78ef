"""Games by recipe: what is known of a game, and where it is found before it is made.

A `Recipe` (family, parameters, number) is turned into a `Game` in this order: from memory, from the
package's own archive, from the cache folder, by generating and compiling it. Two hashes name a
game: `task` is that of its world and quest without any wording, and decides the split; `key` is
that of the source the compiler gets, and names the cache file.
"""

import json
from collections.abc import Callable
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from lmenvs.splits import split_of

from . import archive, cache
from .engine import textworld
from .names import mistakable
from .recipes import Recipe, generate, quiet, rules_of


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

    @property
    def recipe(self) -> str:
        """What the cookbook of a cooking game says, or nothing."""
        return str(self._facts.get("metadata", {}).get("recipe") or "")

    @cached_property
    def max_score(self) -> int:
        """The score of a game that is won."""
        return sum(quest["reward"] for quest in self._facts.get("quests", ()))

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
    with quiet():
        rules = (
            KnowledgeBase.deserialize(facts["KB"]) if knowledge == "own" else rules_of(knowledge)
        )
        logic = Logic(World.deserialize(facts["world"], kb=rules))
    logic.quests = tuple(Quest.deserialize(quest) for quest in facts["quests"])
    logic.infos.update({name: EntityInfo.deserialize(info) for name, info in facts["infos"]})
    logic.metadata = dict(facts["metadata"])
    logic.objective = facts["objective"]
    return logic


def sheet_of(logic: Any) -> bytes:
    """What playing needs of a `textworld.Game`, as JSON: no rules, no grammar, no descriptions."""
    full = logic.serialize()
    infos = [
        [name, {part: info[part] for part in ("id", "type", "name")}]
        for name, info in full["infos"]
    ]
    metadata: dict[str, object] = {"walkthrough": list(logic.walkthrough or ())}
    if "recipe" in logic.metadata:
        metadata["recipe"] = logic.metadata["recipe"]
    sheet = {
        "world": full["world"],
        "quests": full["quests"],
        "infos": infos,
        "metadata": metadata,
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

    with quiet():
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
        ValueError: if the generator finds no game for this number, or one whose things the
            interpreter cannot tell apart.
    """
    shipped = archive.find(recipe.family, recipe.parameters, recipe.number)
    if shipped is not None:
        return Game(shipped.key, shipped.task, shipped.sheet, recipe.knowledge, shipped.rom)
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

    game = Game(key, entry.task, entry.sheet, recipe.knowledge, load_rom)
    if (pair := mistakable(game.logic())) is not None:
        raise ValueError(
            f"no game {recipe.name}: where {pair[0]!r} and {pair[1]!r} are in one place, the "
            "interpreter cannot tell which one the first name means; take another number"
        )
    return game
