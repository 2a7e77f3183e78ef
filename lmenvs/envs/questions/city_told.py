"""The facts about a city that are told in a sentence."""

from collections.abc import Callable, Mapping, Sequence

from .book import NO, YES
from .city_facts import NOT_SURE, PEOPLE, City, side, values

WITH_ARTICLE = frozenset(
    (
        *("Netherlands", "Philippines", "United Arab Emirates", "United Kingdom"),
        *("United States", "Czech Republic", "Middle East", "Caribbean"),
    )
)


def listed(words: Sequence[str]) -> str:
    """Words in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _the(name: str) -> str:
    return "the " + name if name in WITH_ARTICLE else name


def _certain(city: City, facet: str) -> list[str]:
    return [value for value in values(city, facet) if not value.endswith("?")]


def _told_languages(city: City) -> str:
    return f"People there speak {listed(_certain(city, 'language'))}."


def _told_places(city: City, facet: str) -> str:
    places = [_the(place) for place in _certain(city, facet)]
    return f"It is in {' and in '.join(places)}." if places else NOT_SURE


def _told_value(city: City, facet: str, sentence: str) -> str:
    found = _certain(city, facet)
    return sentence.format(listed(found)) if found else NOT_SURE


def _told_river(city: City) -> str:
    rivers = city.own["rivers"]
    if rivers in ("?", "none", "own"):
        return {
            "?": NOT_SURE,
            "none": "No large river flows through it.",
            "own": "A river flows through it.",
        }[rivers]
    names = [name if name[:3] == "St " else "the " + name for name in _certain(city, "river")]
    if not names:
        return NOT_SURE
    told = listed(names)
    return f"{told[0].upper()}{told[1:]} flow{'' if len(names) > 1 else 's'} through it."


def _told_sea(city: City) -> str:
    sea = city.own["sea"]
    if sea == "none":
        return "It is not on a coast."
    if "?" in sea:
        return NOT_SURE if sea.startswith("?") else "It is on a coast."
    return f"It is on the {sea}."


def _told_people(city: City) -> str:
    low, high = city.people
    told = [text for least, most, text in PEOPLE if least <= low and high <= most]
    return told[0] if told else NOT_SURE


def _told_kind(city: City) -> str:
    kind = city.own["landmark_kind"]
    article = "" if kind.endswith("walls") else "an " if kind[0] in "aeiou" else "a "
    return f"It is known for {article}{kind}, among other things."


def _told_latitude(city: City) -> str:
    low = int(abs(city.latitude) // 10) * 10
    side = "north" if city.latitude > 0 else "south"
    return f"Between {low} and {low + 10} degrees {side}."


def _told_hemisphere(city: City) -> str:
    north, east = side(city.latitude, 1), side(city.longitude, 1)
    parts = [
        {YES: "northern", NO: "southern"}.get(north),
        {YES: "eastern", NO: "western"}.get(east),
    ]
    told = " and the ".join(part for part in parts if part)
    return f"It is in the {told} hemisphere."


def _told_olympics(city: City) -> str:
    years = city.own["olympics"].split()
    return f"In {listed(years)}." if years else "It has not hosted the Summer Olympics."


TOLD: Mapping[str, Callable[[City], str]] = {
    "country": lambda city: f"It is in {_the(city.land['name'])}.",
    "continent": lambda city: _told_places(city, "continent"),
    "region": lambda city: _told_places(city, "region"),
    "language": _told_languages,
    "currency": lambda city: _told_value(city, "currency", "The currency is the {}."),
    "population": _told_people,
    "climate": lambda city: _told_value(city, "climate", "It has a {} climate."),
    "river": _told_river,
    "sea": _told_sea,
    "landmark": _told_kind,
    "latitude": _told_latitude,
    "hemisphere": _told_hemisphere,
    "olympics": _told_olympics,
    "driving": lambda city: f"People drive on the {city.land['drives']}.",
}

RARER_TOLD: Mapping[str, Callable[[City], str]] = {
    "state": lambda city: _told_places(city, "state"),
}
"""What is told to those who ask, but is no admissible action."""
