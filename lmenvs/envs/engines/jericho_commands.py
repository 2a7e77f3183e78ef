"""What a player may type into a story: one line, one command, nothing to the interpreter itself.

The interpreter must be shielded. It hangs on a backslash, takes a line break as a second command,
and writes files on `save` and `script`.
"""

import re

LONGEST = 198  # the interpreter's input buffer in bytes; it cuts what is longer
FORBIDDEN = re.compile(
    r"(?:save|quit|undo|recording|replay)\Z|[#$][a-z]|"
    r"restar|restor|script|unscri|noscri|transc|verify"
)
"""Words that leave the game or reach for files; no command may have them, wherever they stand. A
story knows only the first six or nine letters of a word."""
FIRST = frozenset(("q", "die"))
_PUNCTUATION = ",\"'?!"
ESCAPE = "\\"  # the interpreter takes what follows as a command to itself, and may never return
EMPTY = "Please type a command."
_UNSAFE = (
    f"Please type one line of printable ASCII characters without backslash, at most {LONGEST}."
)


def read_command(action: str) -> tuple[str, str | None, str]:
    r"""A player's text as (command, error, the answer to an error).

    >>> read_command("  Open the  MAILBOX. ")
    ('open the mailbox', None, '')
    >>> [read_command(text)[1] for text in ("", "n. quit", "please save", "a\nb")]
    ['malformed', 'malformed', 'malformed', 'unsafe']
    """
    plain = len(action) <= LONGEST and action.isascii() and action.isprintable()
    if not plain or ESCAPE in action:
        return "", "unsafe", _UNSAFE
    text = " ".join(action.lower().split()).rstrip(".!").rstrip()
    if not text:
        return "", "malformed", EMPTY
    words = re.split(r"[\s,\"'?!]+", text.strip(_PUNCTUATION))
    if words[0] in FIRST or any(FORBIDDEN.match(word) for word in words):
        return "", "malformed", "That is not a command of this game."
    if "." in text or ("then" in words and "," not in text):
        return "", "malformed", "Please type one command at a time."
    return text, None, ""
