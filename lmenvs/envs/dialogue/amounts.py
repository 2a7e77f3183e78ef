"""Text in tokens, and the numbers in it, in figures and in words; linear in the text's length."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

LONGEST = 2000  # characters that are read; what comes after them is not heard


class Token(NamedTuple):
    """A word, a number or a mark, in lower case, and where it stands."""

    text: str
    start: int
    end: int


class Number(NamedTuple):
    """A number: its value, its first token, the token behind it, and how it was written."""

    value: float
    first: int
    after: int
    money: bool  # a currency stands with it
    scaled: bool  # "thousand", "grand" or "k" stands with it
    plain: bool  # figures only, with neither comma nor point


_TOKEN = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[a-z]+(?:'[a-z]+)?|[$€£%#/+.,;:!?\n-]")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "–": "-", "—": ";", "−": "-"})
_COMMAS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,2})?")
_POINTS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]{1,2})?")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def tokens(text: str) -> list[Token]:
    """The first `LONGEST` characters of a text in tokens; full-width figures count as figures.

    >>> [token.text for token in tokens("I can’t do $32,500!")]
    ['i', "can't", 'do', '$', '32,500', '!']
    """
    plain = text[:LONGEST].translate(_QUOTES)
    if not plain.isascii():
        plain = unicodedata.normalize("NFKC", plain)[:LONGEST].translate(_QUOTES)
    plain = plain.lower()
    return [Token(found.group(), found.start(), found.end()) for found in _TOKEN.finditer(plain)]


# ---- numbers ------------------------------------------------------------------------------------


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def _counted(text: str, first: int, step: int) -> dict[str, int]:
    return {word: first + step * place for place, word in enumerate(text.split())}


_ONES = _counted("one two three four five six seven eight nine", 1, 1)
_TEENS = _counted(
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10, 1
)
_TENS = _counted("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10)
CAR_WORDS = word_set("car cars number no # option vehicle model nr")
_THOUSANDS = word_set("thousand thousands grand k thou")
_MONEY_BEFORE = word_set("$ € £ usd dollars")
_MONEY_AFTER = word_set("$ € £ usd dollar dollars bucks euros pounds")


def numbers(line: Sequence[Token]) -> list[Number]:
    """All numbers of a line, in figures and in words, in their order."""
    words = [token.text for token in line]
    found: list[Number] = []
    place = 0
    while place < len(words):
        number = _figures(line, words, place) or _spelled(words, place)
        if number is None:
            place += 1
        else:
            found.append(number)
            place = number.after
    return found


def _value(figures: str) -> float | None:
    if _COMMAS.fullmatch(figures):
        return float(figures.replace(",", ""))
    if _POINTS.fullmatch(figures):
        return float(figures.replace(".", "").replace(",", "."))
    return float(figures) if _DECIMAL.fullmatch(figures) else None


def _figures(line: Sequence[Token], words: list[str], place: int) -> Number | None:
    if not words[place][0].isdigit():
        return None
    after, figures = place + 1, words[place]
    blank = (
        len(figures) <= 3
        and figures.isdigit()
        and after < len(words)
        and len(words[after]) == 3
        and words[after].isdigit()
        and line[after].start == line[place].end + 1
        and (place == 0 or words[place - 1] not in CAR_WORDS)
    )
    if blank:  # "32 500"
        figures, after = figures + words[after], after + 1
    value = _value(figures)
    if value is None:
        return Number(0.0, place, after, False, False, False)
    plain = figures.isdigit() and not blank
    scaled = after < len(words) and words[after] in _THOUSANDS
    if scaled:
        value, after = value * 1000, after + 1
    elif after < len(words) and words[after] in ("million", "m") and value < 100:
        value, after, scaled = value * 1_000_000, after + 1, True
    return _with_money(words, value, place, after, scaled, plain)


def _with_money(
    words: list[str], value: float, first: int, after: int, scaled: bool, plain: bool
) -> Number:
    before = first > 0 and words[first - 1] in _MONEY_BEFORE
    behind = after < len(words) and words[after] in _MONEY_AFTER
    return Number(value, first, after + behind, before or behind, scaled, plain)


def _spelled(words: list[str], place: int) -> Number | None:
    """A number in words: "thirty-two thousand five hundred", "thirty-two five", "a thousand"."""
    if words[place] in ("a", "another") and _at(words, place + 1) == "thousand":
        return _with_money(words, 1000.0, place, place + 2, True, True)
    value, at = _below_hundred(words, place)
    if value == 0:
        return None
    scaled = False
    nearly, behind = _hundreds(words, place)
    if _at(words, behind) in _THOUSANDS:
        rest, end = _hundreds(words, _skip(words, behind + 1, "and", "-", ","))
        if rest < 100 and _at(words, behind + 1) == ",":  # "thirty thousand, two keys"
            rest = 0
        value, at, scaled = nearly * 1000 + rest, (end if rest else behind + 1), True
    elif behind > at:
        value, at = nearly, behind
    elif value >= 10 and _at(words, at) in _ONES:  # "thirty-two five" is 32,500
        value, at, scaled = value * 1000 + _ONES[words[at]] * 100, at + 1, True
        at += _at(words, at) == "hundred"
    return _with_money(words, float(value), place, at, scaled, True)


def _at(words: list[str], place: int) -> str:
    return words[place] if place < len(words) else ""


def _skip(words: list[str], place: int, *these: str) -> int:
    return place + 1 if _at(words, place) in these else place


def _below_hundred(words: list[str], place: int) -> tuple[int, int]:
    word = _at(words, place)
    if word in _TENS:
        ones = _skip(words, place + 1, "-")
        if _at(words, ones) in _ONES:
            return _TENS[word] + _ONES[words[ones]], ones + 1
        return _TENS[word], place + 1
    value = _TEENS.get(word, _ONES.get(word, 0))
    return value, place + (value > 0)


def _hundreds(words: list[str], place: int) -> tuple[int, int]:
    value, at = _below_hundred(words, place)
    if value and _at(words, at) == "hundred":
        rest, end = _below_hundred(words, _skip(words, at + 1, "and", "-"))
        return value * 100 + rest, (end if rest else at + 1)
    return value, at
