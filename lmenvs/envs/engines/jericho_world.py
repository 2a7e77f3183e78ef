"""One running Z-machine story, driven through jericho's bindings.

What jericho knows of a game (score, end, walkthrough, valid actions) it knows by the file's hash.
Of any other story the score is asked in the story's own words: `score` is typed, the answer read,
and the interpreter's whole memory put back, so that asking leaves no trace.
"""

import ctypes
import hashlib
import os
import re
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from .jericho_actions import find_actions
from .jericho_commands import EMPTY
from .replay import Answer, State

VERSIONS = {3: 2, 4: 4, 5: 4, 8: 8}
"""The versions of the Z-machine that are played, and the unit of the length in their header."""
HEADER = 0x40  # bytes; the checksum of a story covers what follows
SCORE = "score"
LOOKED = "look"

PAD = re.compile(r"\s{20,}")
"""What the interpreter puts between an answer and the status line that it appends."""
THEN = re.compile(r"(?i)\s+then\s+")
SCORED = re.compile(r"(?i)\b(?:scored|score (?:is|of|was))\s+(?:now\s+)?(-?\d+)")
POSSIBLE = re.compile(r"(?i)\b(?:out of|possible|total of|maximum of)\D{0,30}?(\d+)")
ENDING = re.compile(r"\*\*\* *(.+?) *\*\*\*")
ENDED = re.compile(r"(?i)would you like to\s+(?:restart|start over)|\brestart, restore")
WON = re.compile(r"(?i)\bwon\b|\bwin\b|victor|congratulations")
AFTER_END = re.compile(r"\n[^\n]*would you like to\s+restart.*\Z", re.IGNORECASE | re.DOTALL)
NOT_UNDERSTOOD = re.compile(
    r"""(?ix)\W*(?:
    (?:sorry,\ )?i\ (?:didn't|don't|can't|do\ not|did\ not)\ understand
    |i\ only\ understood|i\ (?:don't|do\ not)\ know\ (?:the\ word|how\ to)
    |i\ beg\ your\ pardon|(?:what|huh|pardon)\?\W*\Z
    |(?:i'm\ sorry,\ )?that's\ not\ (?:a\ verb|something\ you\ need)|that\ noun\ did\ not\ make
    |you\ (?:used\ the\ word|seem\ to\ have\ said|excepted\ something)
    |you\ can't\ (?:use\ multiple|begin\ with)
    |the\ word\ .{1,60}\ isn't\ in\ the\ vocab|this\ story\ can't\ understand|nothing\ to\ do!
    |there\ (?:was\ no|aren't\ any)\ verbs?|there\ (?:seems\ to\ be\ a|were\ too\ many)\ noun
    |that\ sentence\ isn't|please\ try\ to\ express|sorry,\ that\ can't\ be\ corrected)"""
)
"""How parsers begin when they understand nothing. More than one paragraph is the story's answer."""
NOT_HERE = re.compile(
    r"(?i)\W*(?:you can't see (?:any such thing|any .{1,60} here)|.{1,60} isn't here!\W*\Z)"
)
SHIELDED = (("op0_opcodes", 5, 6), ("ext_opcodes", 0, 1), ("ext_opcodes", 10, 1))
"""In the interpreter's tables of instructions, the places of SAVE in old stories, of SAVE and
RESTORE_UNDO in new ones, and of the RESTORE that each becomes."""
KEY_WAIT = 0xF6
"""The number of the instruction that waits for a single key, in place of a line."""


def check_story(rom: bytes, name: str) -> None:
    """Refuse a damaged file: the interpreter ends the whole process on one.

    Raises:
        ValueError: if it is not a whole story; the line says what is expected.
    """
    if is_known(rom):
        return
    unit = VERSIONS.get(rom[0], 0) if len(rom) > HEADER else 0
    size = int.from_bytes(rom[0x1A:0x1C], "big") * unit
    told = int.from_bytes(rom[0x1C:0x1E], "big")
    if not HEADER < size <= len(rom) or sum(rom[HEADER:size]) % 65536 != told:
        raise ValueError(
            f"path={name!r}: expected a whole Z-machine story (.z3, .z4, .z5 or .z8) with a "
            "checksum, or one that jericho knows, got something else or a damaged file"
        )


@lru_cache(maxsize=1)
def known_games() -> dict[str, dict[str, Any]]:
    """What jericho knows of games, by the MD5 hash of their files.

    Raises:
        ImportError: if jericho is not installed; the line says what to install.
    """
    try:
        from jericho import defines
    except ModuleNotFoundError as error:
        raise ImportError(
            f"this environment needs the package {error.name}; pip install 'lmenvs[textworld]'"
        ) from error
    return defines.BINDINGS_DICT


def _digest(rom: bytes) -> str:
    return hashlib.md5(rom, usedforsecurity=False).hexdigest()


def is_known(rom: bytes) -> bool:
    """Whether jericho knows a story."""
    return _digest(rom) in known_games()


def walkthrough_of(rom: bytes) -> tuple[str, ...]:
    """The walkthrough that jericho has for a story, or nothing."""
    facts = known_games().get(_digest(rom), {})
    told = str(facts.get("walkthrough", ""))
    return tuple(
        command
        for step in (told.split("/") if told else ())  # an empty one is a key
        for command in ([step] if "," in step else THEN.split(step))
    )


def _open(rom: bytes, path: str | None, seed: int | None) -> Any:
    import jericho

    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="lmenvs") as folder:
        warnings.simplefilter("ignore")  # that jericho does not know the game
        if path is None:
            path = os.path.join(folder, "story.z8")
            Path(path).write_bytes(rom)
        story: Any = jericho.FrotzEnv.__new__(jericho.FrotzEnv)
        story.frotz_lib = jericho.jericho._load_frotz_lib()  # pyright: ignore[reportPrivateUsage]
        _shield(story.frotz_lib)
        story._cache, story._bindings = {}, {}
        # without a seed the interpreter would take the clock for one
        story.load(path, seed if seed is not None or is_known(rom) else 1)
    return story


def _shield(library: Any) -> None:
    """Make a copy of the interpreter fail to save and to undo.

    A story may save at words that only it knows, which would write a file; and undoing can crash
    the process. RESTORE has the same form as both, and fails where there is no file.
    """
    for table, place, restore in SHIELDED:
        instructions: Any = (ctypes.c_void_p * (place + restore + 1)).in_dll(library, table)
        instructions[place] = instructions[restore]


class StoryWorld:
    """A running story; see `replay.World`."""

    def __init__(self, rom: bytes, path: str | None, seed: int | None):
        self._story: Any = _open(rom, path, seed)
        self._known = bool(self._story.is_fully_supported)
        self._intro = self._story.frotz_lib.get_narrative_text().decode("cp1252", "replace")
        self._start = self._story.get_state()
        self.prefix: tuple[str, ...] = ()
        self._possible = 0
        self._state = State("")
        self._first = self.begin()

    def begin(self) -> Answer:
        """Go back to the start: the story's first words."""
        if self._story._emulator_halted():
            self._story.reset()  # else it would never answer again
        self._story.set_state(self._start)
        self.prefix = ()
        self._state = self._situation(self._intro)
        return Answer(clean(self._intro), self._state)

    def run(self, command: str) -> Answer:
        """Type one command; one that is not understood, or names what is not here, is undone."""
        if not command and self._story.frotz_lib.get_opcode() != KEY_WAIT:
            return Answer(EMPTY, self._state, "malformed")
        before = self._story.get_state()
        raw = self._type(command)
        if not self._over(raw):
            told = clean(raw)
            error = error_of(told)
            if error is not None:
                self._story.set_state(before)
                return Answer(told, self._state, error)
        state = self._situation(raw)
        if state.key != self._state.key:
            self.prefix = (*self.prefix, command)
            self._state = state
        return Answer(clean(raw), self._state)

    def tell(self, question: str) -> tuple[str, ...] | None:
        """The "actions" that jericho detects as valid, or the "possible" score."""
        if question == "possible":
            return (str(self._possible),)
        assert question == "actions", question
        return tuple(find_actions(self._story, lambda told: error_of(clean(told)) is None))

    def close(self) -> None:
        """Free the interpreter."""
        self._story = None

    def _type(self, command: str) -> str:
        # decoded here, since jericho stops at bytes that its code page lacks
        return self._story.frotz_lib.step(command.encode() + b"\n").decode("cp1252", "replace")

    def _over(self, raw: str) -> bool:
        if self._story._emulator_halted():
            return True
        if self._known:
            return self._story.game_over() or self._story.victory()
        return ENDED.search(raw) is not None

    def _situation(self, raw: str) -> State:
        key, over = self._key(), self._over(raw)
        if self._known:
            self._possible = int(self._story.get_max_score())
            score = float(self._story.get_score())
            full = 0 < self._possible <= score
            won = over and (self._story.victory() or full or _says_won(raw))
            return State(key, score, over, won)
        told = raw if over else self._asked()
        found, possible = SCORED.search(told), POSSIBLE.search(told)
        score = float(found[1]) if found else self._state.score
        if possible:
            self._possible = int(possible[1])
        full = 0 < self._possible <= score
        return State(key, score, over, over and (full or _says_won(raw)))

    def _asked(self) -> str:
        before = self._story.get_state()
        told = self._type(SCORE)
        self._story.set_state(before)
        return told

    def _key(self) -> str:
        ram, stack, *rest = self._story.get_state()[:-1]
        digest = hashlib.blake2b(ram.tobytes(), digest_size=12)
        digest.update(stack.tobytes())
        digest.update(repr([int(x) if not isinstance(x, tuple) else x for x in rest]).encode())
        return digest.hexdigest()


def error_of(told: str) -> str | None:
    """What was wrong with the command that has this answer, as far as the parser says."""
    if "\n\n" in told:
        return None
    if NOT_HERE.match(told):
        return "inadmissible"
    return "malformed" if NOT_UNDERSTOOD.match(told) else None


def _says_won(raw: str) -> bool:
    ending = ENDING.search(raw)
    return ending is not None and WON.search(ending[1]) is not None


def clean(raw: str) -> str:
    r"""The interpreter's words without prompt, status line and the questions after the end.

    >>> clean("\nTaken.\n\n>" + " " * 60 + "Kitchen1/3")
    'Taken.'
    """
    last = raw.rfind("\n")
    pads = (pad.start() for pad in PAD.finditer(raw) if pad.end() > last)
    text = AFTER_END.sub("", raw[: next(pads, None)].rstrip().removesuffix(">"))
    lines = [line.rstrip() for line in text.strip().split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
