"""The interpreter: the lazy import of TextWorld, one running story, and its raw text made readable.

The C library is driven through jericho's bindings. A story is opened from memory; the library wants
a file's name, so one exists for the moment of opening. A story's whole memory (36 kB) can be taken
and put back, which is how a command that changes nothing leaves no trace.
"""

import os
import re
import tempfile
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

STATUS_LINE = re.compile(r"[ ]{20,}(?:-= (?P<title>[^\n]*?) =-)?[^\n]*\Z")
"""The pad and the status line that the interpreter appends to every answer."""
PROMPT = re.compile(r"\n?>\s*\Z")
EVENT = re.compile(r"\[([^\]]+)\]\n?")
SCORE = re.compile(r"<score>\s*(-?\d+)\s*</score>")
TAGS = re.compile(r"<(score|moves)>.*?</\1>", re.DOTALL)
ENDING = re.compile(r"\*\*\* *(.+?) *\*\*\*")
AFTER_END = re.compile(r"\n[^\n]*Would you like to RESTART.*\Z", re.DOTALL)
TALLY = re.compile(r"(?m)^In that game you scored .*$|^You scored .* turns?[.,].*$")
BANNER_LINE = re.compile(r"(?m)^[ \t]*[_|$\\/<>][ _|$\\/<>]*$")
TITLE_LINE = re.compile(r"(?m)^-= .* =-$")
NOT_UNDERSTOOD = re.compile(
    r"That's not a verb I recogni|I didn't understand|I only understood|You seem to have said too "
    r"little|I beg your pardon|You excepted something|Nothing to do!|What do you want|Which do you "
    r"mean|Who do you mean|Whom do you want"
)


def check_installed() -> None:
    """Refuse to make an environment that could not run; nothing is imported for it.

    Raises:
        ImportError: if TextWorld is not installed; the line says what to install.
    """
    if find_spec("textworld") is None:
        raise _missing("textworld")


def _missing(package: str | None) -> ImportError:
    return ImportError(
        f"this environment needs the package {package}; pip install 'lmenvs[textworld]'"
    )


def textworld() -> ModuleType:
    """The package textworld, imported when a game is first needed.

    Raises:
        ImportError: if it is not installed; the line says what to install.
    """
    import importlib

    state = np.random.get_state()  # the import draws from numpy's global stream
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for part in ("generator", "challenges", "envs"):
                importlib.import_module(f"textworld.{part}")
            return importlib.import_module("textworld")
    except ModuleNotFoundError as error:
        raise _missing(error.name) from error
    finally:
        np.random.set_state(state)


def open_story(rom: bytes) -> Any:
    """A running story (a `jericho.FrotzEnv`) from a compiled game."""
    textworld()
    import jericho
    from jericho import jericho as bindings

    # FrotzEnv() reads the file twice and looks for a walkthrough; these three lines do not
    story: Any = jericho.FrotzEnv.__new__(jericho.FrotzEnv)
    story.frotz_lib = bindings._load_frotz_lib()  # pyright: ignore[reportPrivateUsage]
    story._bindings = {}
    with tempfile.TemporaryDirectory(prefix="lmenvs") as folder:
        name = os.path.join(folder, "story.z8")
        with open(name, "wb") as file:
            file.write(rom)
        story._cache = {name: (rom, {}, None)}
        story.load(name, seed=1)
    return story


@dataclass(frozen=True, slots=True)
class Reply:
    """What the interpreter said, taken apart.

    Attributes:
        text: For the player: no pad, status line, banner, prompt, trace or turn count.
        title: The room's name in the status line, or "".
        score: The cumulative score, or None where the story does not tell it.
        events: The actions that succeeded, in the interpreter's words.
        ending: What stands between the stars when the game is over, or None.
        waits: The interpreter asks a question of its own instead of waiting for a command.
    """

    text: str
    title: str
    score: int | None
    events: tuple[str, ...]
    ending: str | None
    waits: bool

    @property
    def won(self) -> bool:
        """The game ended well."""
        ending = (self.ending or "").lower()
        return "the end" in ending or "won" in ending

    @property
    def lost(self) -> bool:
        """The game ended badly."""
        return self.ending is not None and not self.won


def read_reply(raw: str, traced: bool = True) -> Reply:
    r"""Take the interpreter's raw text apart; `traced` says that actions are marked in brackets.

    >>> reply = read_reply("\n[taking the coin]\nTaken.\n[taking the coin - succeeded]\n>")
    >>> reply.text, reply.events, reply.waits
    ('Taken.', ('taking the coin',), False)
    """
    status = STATUS_LINE.search(raw)
    title = (status.group("title") or "") if status else ""
    text = STATUS_LINE.sub("", raw)
    waits = PROMPT.search(text) is None
    text = PROMPT.sub("", text)
    score = SCORE.findall(text)
    text = TAGS.sub("", text)
    events: list[str] = []
    if traced:
        marks = [mark for mark in EVENT.findall(text) if mark.endswith(" - succeeded")]
        # a mark with parentheses is a rule inside an action, not an action
        events = [mark.removesuffix(" - succeeded") for mark in marks if "(" not in mark]
        text = EVENT.sub("", text)
    over = AFTER_END.search(text)
    text = TALLY.sub("", AFTER_END.sub("", text)) if over else text
    ending = ENDING.search(text) if over else None
    text = BANNER_LINE.sub("", text)
    lines = [line.strip() for line in text.strip().split("\n")]
    return Reply(
        text=re.sub(r"\n{3,}", "\n\n", "\n".join(lines)),
        title=title,
        score=int(score[-1]) if score else None,
        events=tuple(events),
        ending=ending.group(1) if ending else None,
        waits=waits,
    )


def split_start(text: str) -> tuple[str, str]:
    """The story's first text as (introduction, room)."""
    title = TITLE_LINE.search(text)
    return (text[: title.start()].strip(), text[title.start() :]) if title else ("", text)
