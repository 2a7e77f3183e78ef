"""How a yes-or-no question about a city is asked that holds a name or a number."""

import re

_THERE = r"(?: there)?"
_MORE = (
    r"(?:more than|over|above|at least|greater than|larger than|bigger than|higher than|exceeding)"
)
_LESS = r"(?:less than|under|below|fewer than|smaller than|lower than)"
_FOLK = r"(?: people| inhabitants| residents| citizens)?"
_PLACED = r"(?:on|by|near|next to|at|along|close to|beside)"


def _counts(size: str) -> str:
    return (
        rf"does it have (?:population )?(?:of )?{size} (.+?){_FOLK}"
        rf"|do {size} (.+?){_FOLK} live{_THERE}"
        rf"|is (?:population|number of people) (?:of it )?{size} (.+?){_FOLK}"
        rf"|is it home to {size} (.+?){_FOLK}|are there {size} (.+?){_FOLK}"
        rf"(?: living| who live)?{_THERE}"
        rf"|does population exceed (.+?){_FOLK}"
        if size == _MORE
        else rf"does it have (?:population )?(?:of )?{size} (.+?){_FOLK}"
        rf"|do {size} (.+?){_FOLK} live{_THERE}|is population (?:of it )?{size} (.+?){_FOLK}"
    )


def _one_blank(pattern: str) -> list[str]:
    """The alternatives of a pattern with one blank each, so that the blank is always group 1."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(pattern):
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and depth == 0:
            parts.append(pattern[start:at])
            start = at + 1
    return [*parts, pattern[start:]]


_SLOTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("more",), _counts(_MORE)),
    (("less",), _counts(_LESS)),
    (("north",), r"is it (?:further |farther |more )?north(?:ern)? (?:of|than) (.+)"),
    (("south",), r"is it (?:further |farther |more )?south(?:ern)? (?:of|than) (.+)"),
    (
        ("continent", "region", "country", "state"),
        r"is it (?:in|from|part of|within|inside) (.+)|is country (.+)|is country it is in (.+)"
        r"|is country called (.+)|is country in (.+)|is it in country (?:of |called )?(.+)"
        r"|is it (?:in|on) continent of (.+)|is continent (.+)|is it on (.+) continent",
    ),
    (
        ("state",),
        r"is it (?:in|from|part of) (?:us |american )?(?:state|province|region) "
        r"(?:of |called )?(.+)",
    ),
    (
        ("continent", "region", "group"),
        r"is it (?:in|from|part of|within) (.+?) (?:country|nation|region|area|part of world)"
        r"|is country (.+?)(?: country| nation)|is it (.+?) (?:city|country)",
    ),
    (("group",), r"is it (?:in|from|part of|within) (.+)|is country in (.+)"),
    (
        ("continent", "country"),
        r"is it (.+) (?:city|town|capital city)|is it (.+)|is it in (.+) city",
    ),
    (
        ("language",),
        rf"do people (?:mainly |mostly )?speak (.+?)(?: as (?:first|main|native|primary"
        rf"|official) (?:language|tongue))?{_THERE}"
        rf"|is (.+?) (?:widely |mainly |mostly )?"
        rf"(?:spoken|used){_THERE}|is language(?: spoken)?{_THERE} (.+)|do people there speak (.+)"
        rf"|is (?:main|official|primary|local|native) language(?: spoken)?{_THERE} (.+)"
        rf"|is (.+?) (?:main |official |primary |local |native "
        rf"|spoken )?language(?: spoken)?{_THERE}(?: of it)?"
        rf"|is (.+?) one of (?:main |official )?languages(?: spoken)?{_THERE}"
        rf"|is it (.+?) speaking(?: city| country| place)?|is it in (.+?) speaking (?:country"
        rf"|place)",
    ),
    (
        ("currency",),
        rf"do people (?:use|pay with|pay in|spend) (.+?){_THERE}|is (?:local |official )?currency "
        rf"(?:called )?(.+)|is (.+?) (?:used|local currency|currency|official currency){_THERE}"
        rf"|does (?:it|country) use (.+?)(?: as (?:official )?currency)?",
    ),
    (
        ("climate",),
        rf"is climate (.+?){_THERE}|does it have (.+?) climate|is it in (.+?) climate(?: zone)?"
        rf"|is (?:it in|it) (desert)(?: city)?|is it surrounded by (desert)",
    ),
    (
        ("sea",),
        rf"is it {_PLACED} (.+?)(?: coast)?|does it border (.+)|is sea (.+)|is it in (.+?) coast",
    ),
    (
        ("river",),
        rf"is it {_PLACED} (?:river )?(.+?)(?: river)?|does (?:river )?(.+?)(?: river)? (?:run"
        rf"|flow|go"
        rf"|pass) (?:through|by|along|past)(?: it| there)?|is (?:river )?(.+?)(?: river)? there"
        rf"|is river (.+)",
    ),
    (
        ("kind",),
        rf"is it (?:most |best )?(?:famous|known|well known) for (?:famous |large |big )?(.+)"
        rf"|does it have (?:famous|well known|iconic) (.+?){_THERE}|is there famous (.+?){_THERE}"
        rf"|is it known for its (.+)",
    ),
    (
        ("landmark",),
        rf"does it have (.+?){_THERE}|is (.+?) there|is it home to (.+)|is (.+?) in it"
        rf"|is it (?:most |best )?(?:famous|known|well known) for (.+)|is it where (.+?) is"
        rf"|(?:can|could|would) people (?:find|see|visit|go to) (.+?){_THERE}|is it city (?:with"
        rf"|of) (.+)"
        rf"|is it with (.+)|is there (.+?){_THERE}|does (.+?) stand there",
    ),
)
SLOTS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (facets, re.compile(alternative))
    for facets, pattern in _SLOTS
    for alternative in _one_blank(pattern)
)
"""Yes-or-no questions with one blank, and the facets whose values may fill it."""

_NUMBERS = {
    **{"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8},
    **{"ten": 10, "fifteen": 15, "twenty": 20, "half": 0.5, "hundred": 100},
}
_TIMES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "millions": 1e6, "billion": 1e9}


def read_number(text: str) -> float | None:
    """A number of people: digits or a word, with thousand or million.

    >>> read_number("2_5 million"), read_number("million"), read_number("ten cats")
    (2500000.0, 1000000.0, None)
    """
    words = text.split()
    times = _TIMES.get(words[-1], 0.0) if words else 0.0
    words = words[:-1] if times else words
    if len(words) > 1 or (not words and not times):
        return None
    word = words[0].replace("_", ".", 1) if words else "one"
    if len(word) <= 12 and word.replace(".", "", 1).isdecimal():
        return float(word) * (times or 1.0)
    value = _NUMBERS.get(word)
    return None if value is None else value * (times or 1.0)
