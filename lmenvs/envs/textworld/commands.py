"""What a player may type: one line, one command, in the words of the game.

The interpreter must be shielded. It hangs on NUL and on backslashes, takes a line break as a second
command, leaves the game on `restart`, writes files on `save` and `script`, and tells the whole
solution on `goal`. So a text reaches it only as one plain command; everything else is answered
here, without it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lmenvs.decoration import bare

LONGEST = 198  # the interpreter's input buffer in bytes; it cuts what is longer

META_VERBS = frozenset(
    {
        *("restart", "restore", "save", "quit", "q", "die", "undo", "again", "g", "oops", "o"),
        *("script", "transcript", "unscript", "verify", "version", "recording", "replay"),
        *("verbose", "brief", "superbrief", "long", "short", "normal", "notify", "pronouns"),
        *("nouns", "score", "fullscore", "full", "help", "info", "goal", "print_state", "enable"),
        *("disable", "restrict", "showme", "showverb", "trace", "rules", "actions", "scope"),
        *("tree", "gonear", "abstract", "purloin", "random", "test", "y", "yes", "no"),
    }
)
"""Words that talk to the interpreter instead of acting in the game, or that tell the solution."""

LETTERS = 9  # of a word that the interpreter compares; `transcripts` is `transcript` to it
_META = frozenset(verb[:LETTERS] for verb in META_VERBS)

PLAY_VERBS = frozenset(
    {
        *("go", "walk", "run", "n", "s", "e", "w", "north", "south", "east", "west"),
        *("take", "get", "pick", "drop", "put", "place", "insert", "open", "close", "shut"),
        *("lock", "unlock", "eat", "drink", "look", "l", "examine", "x", "inventory", "i", "inv"),
        *("cook", "slice", "chop", "dice", "cut", "prepare"),
    }
)
"""First words that reach the interpreter of a game whose rules are known."""

MANY_WORDS = frozenset(
    ("and", "then", "all", "everything", "both", "it", "them", "him", "her", "except", "but")
)
"""Words that make one line into several commands, or that mean what was said before."""

UNSAFE_REPLY = f"Please type one line of printable characters, at most {LONGEST}."
EMPTY_REPLY = "Please type a command."
UNKNOWN_REPLY = "That is not a command of this game."
MANY_REPLY = "Please name one thing and one command at a time."


@dataclass(frozen=True, slots=True)
class Command:
    """A text as the interpreter may have it, or why it may not.

    Attributes:
        text: The command in the game's spelling; empty if there is an error.
        error: None, "unsafe" or "malformed".
        reply: What the environment answers in place of the interpreter.
    """

    text: str = ""
    error: str | None = None
    reply: str = ""


def read_command(
    action: str,
    admissible: Mapping[str, str] | None = None,
    verbs: Collection[str] | None = None,
) -> Command:
    r"""Read a player's text.

    Args:
        action: Any string.
        admissible: The commands of this state, by their lower-case form; such a text always passes.
        verbs: The first words that may pass; None lets every word pass that is not a meta-verb.

    >>> read_command(" **Go   EAST.**\n", {"go east": "go east"})
    Command(text='go east', error=None, reply='')
    >>> read_command("restart").error, read_command("go east\ntake coin").error
    ('malformed', 'unsafe')
    """
    if len(action) > LONGEST or not action.strip().isprintable():
        return Command(error="unsafe", reply=UNSAFE_REPLY)
    text = bare(action)
    if not text:
        return Command(error="malformed", reply=EMPTY_REPLY)
    if admissible is not None and text in admissible:
        return Command(admissible[text])
    words = text.split()
    if not text.isascii() or not (verbs is None or words[0] in verbs):
        return Command(error="malformed", reply=UNKNOWN_REPLY)
    if words[0][:LETTERS] in _META or words[0].startswith("tw-"):
        return Command(error="malformed", reply=UNKNOWN_REPLY)
    if any(mark in text for mark in '.,;:!?"\\') or MANY_WORDS.intersection(words):
        return Command(error="malformed", reply=MANY_REPLY)
    return Command(text)
