"""What a player writes for a move: standard algebraic notation (SAN) or UCI, read from text."""

import re

LONGEST = 40  # characters; no way of writing one move is longer

_PREFIX = re.compile(
    r"(?:my )?(?:move|play)(?: is)? ?[:=]? ?|\d{1,3} ?\.(?:\.\.)? ?", re.IGNORECASE
)
_SUFFIX = "+#!?."
_QUOTES = "\"'`*() "
_UCI = re.compile(r"[a-h][1-8][a-h][1-8][nbrq]?")
_SAN = re.compile(r"([NBRQK]?)([a-h]?)([1-8]?)[x:-]?([a-h][1-8])=?([NBRQnbrq])?")
_CASTLES = {"o-o": "O-O", "0-0": "O-O", "o-o-o": "O-O-O", "0-0-0": "O-O-O"}


def parse_move(text: str) -> str | None:
    """The one move that a text writes, in UCI or SAN without decoration, or None.

    Read are SAN (`Nf3`, `exd5`, `O-O`, `e8=Q+`), SAN with both squares (`Ng1-f3`) and UCI
    (`g1f3`, `e7e8q`), also behind a move number or `move:`, in quotes, with check or quality marks,
    or with blanks between the characters. Pieces are capital letters, UCI may be in any case.
    Whether the move is legal, or fits one piece only, is not decided here.

    >>> parse_move("Nf3"), parse_move("1. e4!"), parse_move("E2E4"), parse_move("e 8 = Q #")
    ('Nf3', 'e4', 'e2e4', 'e8=Q')
    >>> parse_move("0-0"), parse_move("nf3"), parse_move("e4 or d4")
    ('O-O', None, None)
    """
    if len(text) > LONGEST or not text.isascii():
        return None
    said = " ".join(text.split()).lstrip(_QUOTES).rstrip(_QUOTES + _SUFFIX)
    if prefix := _PREFIX.match(said):
        said = said[prefix.end() :].lstrip(_QUOTES)
    words = said.split()
    if len(words) > 1 and any(len(word) > 1 for word in words):
        return None  # two moves, or a move among words
    word = "".join(words)
    lower = word.lower()
    if lower in _CASTLES:
        return _CASTLES[lower]
    if _UCI.fullmatch(word):
        return word
    parts = _SAN.fullmatch(word)  # before UCI in capitals: B3e2 is the bishop on the third rank
    if parts is None:
        return lower if _UCI.fullmatch(lower) else None
    piece, file, rank, target, becomes = parts.groups()
    return f"{piece}{file}{rank}{target}" + (f"={becomes.upper()}" if becomes else "")


def is_uci(move: str) -> bool:
    """Whether a move that `parse_move` read is in UCI; `e7e8=Q` is SAN with both squares.

    >>> is_uci("e7e8q"), is_uci("e7e8=Q"), is_uci("e4")
    (True, False, False)
    """
    return _UCI.fullmatch(move) is not None
