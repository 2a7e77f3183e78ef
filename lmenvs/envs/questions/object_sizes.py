"""Comparisons of size and weight, with things and with numbers, and the colours."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from .book import DEPENDS, NO, YES, Question, make_question
from .lexicon import basic

Range = tuple[float, float]

COLOURS: Mapping[str, str] = {
    **{name: name for name in ("red", "orange", "yellow", "green", "blue", "purple", "pink")},
    **{name: name for name in ("brown", "black", "white", "grey")},
    "gray": "grey",
    "violet": "purple",
    "grey or silver": "grey",
    "gray or silver": "grey",
}
"""Colours that may be asked for, and the name that the facts use."""

LENGTHS_CM: Mapping[str, Range] = {
    "fingernail": (0.8, 1.8),
    "coin": (1.5, 3.5),
    "golf ball": (4.2, 4.3),
    "finger": (5, 10),
    "fist": (8, 12),
    "tennis ball": (6.5, 6.9),
    "hand": (16, 21),
    "book": (15, 35),
    "shoebox": (30, 36),
    "breadbox": (35, 45),
    "microwave": (44, 62),
    "backpack": (40, 60),
    "suitcase": (50, 80),
    "washing machine": (80, 95),
    "refrigerator": (150, 200),
    "door": (195, 215),
    "person": (150, 195),
    "house": (800, 2000),
    "whale": (300, 3000),
    "skyscraper": (10000, 83000),
    "stadium": (15000, 40000),
}
"""Longest dimension of things that are not in the table of objects."""

WEIGHTS_KG: Mapping[str, Range] = {
    "feather": (0.00001, 0.005),
    "coin": (0.002, 0.012),
    "book": (0.15, 2),
    "brick": (2, 4),
    "person": (50, 110),
    "house": (30000, 400000),
}

_SAME: Mapping[str, str] = {
    "shoe box": "shoebox",
    "bread box": "breadbox",
    "bread bin": "breadbox",
    "microwave oven": "microwave",
    "fridge": "refrigerator",
    "human": "person",
    "adult human": "person",
    "adult person": "person",
    "adult human being": "person",
    "adult": "person",
    "human being": "person",
    "grown man": "person",
    "man": "person",
    "me": "person",
    "you": "person",
    "you are": "person",
    "human hand": "hand",
    "football": "soccer ball",
    "automobile": "car",
    "bike": "bicycle",
    "phone": "smartphone",
    "cell phone": "smartphone",
    "tv": "television",
    "couch": "sofa",
    "plane": "airplane",
    "jet": "airplane",
    "lorry": "truck",
    "family house": "house",
    "home": "house",
}
_NUMBERS = {
    **{"zero": 0.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0},
    **{"seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0, "eleven": 11.0, "twelve": 12.0},
    **{"twenty": 20.0, "thirty": 30.0, "fifty": 50.0, "hundred": 100.0, "thousand": 1000.0},
    "half": 0.5,
}
_CM = {
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1.0),
    **dict.fromkeys(("m", "meter", "metre"), 100.0),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 0.1),
    **dict.fromkeys(("km", "kilometer", "kilometre"), 100_000.0),
    **dict.fromkeys(("inch", "in"), 2.54),
    **dict.fromkeys(("foot", "feet", "ft"), 30.48),
    **dict.fromkeys(("yard",), 91.44),
}
_KG = {
    **dict.fromkeys(("kg", "kilo", "kilogram", "kilogramme"), 1.0),
    **dict.fromkeys(("g", "gram", "gramme"), 0.001),
    **dict.fromkeys(("pound", "lb", "lbs"), 0.45359237),
    **dict.fromkeys(("ounce", "oz"), 0.0283495),
    **dict.fromkeys(("ton", "tonne"), 1000.0),
}
SIZE_ASKED = " ".join(
    (*LENGTHS_CM, *WEIGHTS_KG, *_SAME, *_NUMBERS, *_CM, *_KG, "size weigh bigger weight length")
)
"""Every word that a comparison may hold, for the forms of words."""

_MORE = (
    r"(?:bigger|larger|longer|greater in size|bigger in size|larger in size|greater than that of"
)
_COMPARISONS = (
    ("length", True, re.compile(rf"^be (?:{_MORE[3:]})(?: than|) (.+?)(?: long| in length"
     "| in size)?$")),
    ("length", False, re.compile(
        r"^be (?:smaller|shorter|tinier|smaller in size|less long) than (.+?)(?: in size)?$")),
    ("weight", True, re.compile(r"^be heavier than (.+?)$")),
    ("weight", False, re.compile(r"^be lighter than (.+?)$")),
    ("weight", True, re.compile(r"^it weigh (?:more than|over|above|at least) (.+?)$")),
    ("weight", False, re.compile(r"^it weigh (?:less than|under|below) (.+?)$")),
    ("weight", True, re.compile(r"^be (?:more than|over|at least) ([0-9_]+ \w+)(?: in weight)?$")),
    ("weight", False, re.compile(r"^be (?:less than|under) ([0-9_]+ \w+)(?: in weight)?$")),
    ("length", True, re.compile(r"^be (?:more than|over|at least) (.+?) (?:long|in length)$")),
    ("length", False, re.compile(r"^be (?:less than|under) (.+?) (?:long|in length)$")),
)  # fmt: skip


class Sized(Protocol):
    """What has a name, a length and a weight."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def length_cm(self) -> Range | None: ...  # noqa: D102
    @property
    def weight_kg(self) -> Range | None: ...  # noqa: D102


def read_range(text: str) -> Range | None:
    """`2-5` as numbers; `-` is none.

    >>> read_range("0.5-12"), read_range("-")
    ((0.5, 12.0), None)
    """
    low, _, high = text.partition("-")
    return (float(low), float(high)) if low else None


def compare(value: Range | None, other: Range, more: bool) -> str:
    """Whether a thing of this range is greater (or smaller) than one of the other.

    >>> compare((3, 4), (1, 2), True), compare((1, 3), (2, 4), True)
    ('Yes.', 'It depends.')
    """
    if value is None:
        return DEPENDS
    if value[0] > other[1]:
        return YES if more else NO
    if value[1] < other[0]:
        return NO if more else YES
    return DEPENDS


def size_question(form: str, things: Sequence[Sized], forms: Mapping[str, str]) -> Question | None:
    """The question of a normal form (its words by `forms`) that compares sizes or weights."""
    for what, more, pattern in _COMPARISONS:
        match = pattern.match(form)
        if match is None:
            continue
        name = _SAME.get(match[1], match[1])
        other = _reference(what, name, things, forms)
        if other is None:
            continue
        if other[0] == other[1]:
            name = f"{other[0]:g} {'cm' if what == 'length' else 'kg'}"
        values = [thing.length_cm if what == "length" else thing.weight_kg for thing in things]
        answers = [compare(value, other, more) for value in values]
        word = {("length", True): "bigger", ("length", False): "smaller"}.get(
            (what, more), "heavier" if more else "lighter"
        )
        return make_question(f"{word} {name}", f"Is it {word} than {name}?", answers)
    return None


def _reference(
    what: str, name: str, things: Sequence[Sized], forms: Mapping[str, str]
) -> Range | None:
    """The range of a thing's length or weight, or of a number with its unit."""
    known = LENGTHS_CM if what == "length" else WEIGHTS_KG
    for each, size in known.items():
        if name in (each, basic(each, forms)):
            return size
    for thing in things:
        if name in (thing.name, basic(thing.name, forms)):
            return thing.length_cm if what == "length" else thing.weight_kg
    words = name.split()
    units = _CM if what == "length" else _KG
    if not words or len(words) > 2 or words[-1] not in units:
        return None
    number = _number(words[0]) if len(words) == 2 else 1.0
    if number is None:
        return None
    value = number * units[words[-1]]
    return value, value


def _number(word: str) -> float | None:
    plain = word.replace("_", ".", 1)
    if len(plain) <= 9 and plain.replace(".", "", 1).isdecimal():
        return float(plain)
    return _NUMBERS.get(word)
