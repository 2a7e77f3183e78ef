"""Twelve functions on strings of letters, named f1 to f12 for ever, and how they are composed."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from string import ascii_lowercase

from lmenvs.decoration import bare

_NEXT = str.maketrans(ascii_lowercase, ascii_lowercase[1:] + "a")
_PREVIOUS = str.maketrans(ascii_lowercase, "z" + ascii_lowercase[:-1])
_VOWELS = str.maketrans("aeiou", "eioua")


def _swap_ends(text: str) -> str:
    return text[-1] + text[1:-1] + text[0] if len(text) > 1 else text


def _swap_pairs(text: str) -> str:
    swapped = "".join(text[at + 1] + text[at] for at in range(0, len(text) - 1, 2))
    return swapped + text[len(swapped) :]


_DESCRIBED: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("writes it backwards", lambda text: text[::-1]),
    ("moves the first letter to the end", lambda text: text[1:] + text[0]),
    ("moves the last letter to the front", lambda text: text[-1] + text[:-1]),
    ("swaps the first and the last letter", _swap_ends),
    ("replaces each letter by the next one of the alphabet, z by a", lambda t: t.translate(_NEXT)),
    (
        "replaces each letter by the one before it in the alphabet, a by z",
        lambda text: text.translate(_PREVIOUS),
    ),
    (
        "replaces each vowel by the next vowel (a e i o u, then a)",
        lambda text: text.translate(_VOWELS),
    ),
    ("puts the letters in alphabetical order", lambda text: "".join(sorted(text))),
    ("swaps the letters of each pair from the left; an odd last letter stays", _swap_pairs),
    (
        "writes the letters at odd places, then those at even places",
        lambda text: text[::2] + text[1::2],
    ),
    ("writes the first letter twice", lambda text: text[0] + text),
    ("writes it and then its mirror image", lambda text: text + text[::-1]),
)

NAMES: tuple[str, ...] = tuple(f"f{number}" for number in range(1, len(_DESCRIBED) + 1))
MEANINGS: tuple[str, ...] = tuple(meaning for meaning, _ in _DESCRIBED)
FUNCTIONS: tuple[Callable[[str], str], ...] = tuple(function for _, function in _DESCRIBED)
GROWTH = 2  # no function makes a string more than so many times as long

_ROOM = 200  # characters around an answer

Composition = tuple[int, ...]
"""The functions' places in `NAMES`, in the order in which they are applied."""


def applied(composition: Sequence[int], text: str) -> str:
    """The string after all the functions.

    >>> applied((0, 1), "abcd")
    'cbad'
    """
    for place in composition:
        text = FUNCTIONS[place](text)
    return text


def written(composition: Sequence[int], text: str) -> str:
    """The composition as it is asked for, the last function outermost.

    >>> written((0, 1), "abcd")
    'f2(f1(abcd))'
    """
    names = "(".join(NAMES[place] for place in reversed(composition))
    return f"{names}({text}{')' * len(composition)}" if composition else text


def content(composition: Sequence[int]) -> str:
    """What tells a composition apart, for the split: `f1 f2`, in the order of application."""
    return " ".join(NAMES[place] for place in composition)


@lru_cache(maxsize=4096)
def candidates(text: str) -> tuple[str, ...]:
    """What each of the functions would give, in alphabetical order, without repetitions."""
    return tuple(sorted({function(text) for function in FUNCTIONS}))


def parse_letters(text: str, most: int) -> str | None:
    """The string of letters that a text gives, in lower case, or None; of an equation the right.

    Read are `abc`, `f1(cba) = abc` and `answer: abc`, however decorated (`decoration.bare`).

    >>> parse_letters("'ABC'.", 9), parse_letters("f1(cba) = abc", 9), parse_letters("a b", 9)
    ('abc', 'abc', None)
    """
    if len(text) > most + _ROOM:
        return None
    letters = bare(text.rpartition("=")[2])
    for lead in ("answer:", "result:"):
        letters = bare(letters.removeprefix(lead))
    return letters if letters.isascii() and letters.isalpha() and len(letters) <= most else None
