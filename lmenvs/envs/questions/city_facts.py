"""The facts about cities and their countries, yes-or-no facts and values (told in city_told.py)."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from .book import DEPENDS, NO, SIGNS, YES
from .lexicon import read_data

NOT_SURE = "I am not sure."
CONTINENTS: Mapping[str, tuple[str, ...]] = {
    "Istanbul": ("Europe", "Asia"),
    "Honolulu": ("North America?", "Oceania?"),
}
"""Cities that are not simply on the continent of their country."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "Istanbul": ("Southeastern Europe?", "Eastern Europe?", "Southern Europe?", "Middle East?"),
    "Honolulu": (),
    "Marseille": ("Western Europe", "Southern Europe?"),
    "Nice": ("Western Europe", "Southern Europe?"),
}
"""The parts of the world of these cities, where they are not those of their country."""

OFF_COAST = frozenset(("Honolulu", "Washington"))
"""American cities of which it is arguable whether they are on a coast of the mainland."""

GROUPS: Mapping[str, str] = {
    "Latin America": "Argentina Brazil Chile Colombia Cuba Ecuador Mexico Peru Jamaica?",
    "Scandinavia": "Denmark Norway Sweden Finland? Iceland?",
    "Nordic countries": "Denmark Finland Iceland Norway Sweden",
    "Balkans": "Bulgaria Greece Serbia Croatia? Romania? Turkey?",
    "Iberia": "Portugal Spain",
    "Benelux": "Belgium Netherlands",
    "British Isles": "Ireland United_Kingdom",
    "Far East": "China Japan South_Korea Indonesia? Malaysia? Philippines? Thailand? Vietnam?",
    "Maghreb": "Morocco",
    "Sub-Saharan Africa": "Ethiopia Ghana Kenya Nigeria Senegal South_Africa",
    "Indian subcontinent": "Bangladesh India Nepal Pakistan",
    "Arabian Peninsula": "Saudi_Arabia United_Arab_Emirates",
}
"""Groups of countries that go by a name of their own, `X?` for one that some count to it."""

PEOPLE: tuple[tuple[float, float, str], ...] = (
    (0, 1e6, "Less than 1 million people live in and around it."),
    (1e6, 4e6, "Between 1 and 4 million people live in and around it."),
    (4e6, 1e7, "Between 4 and 10 million people live in and around it."),
    (1e7, 5e7, "More than 10 million people live in and around it."),
)
"""What is told of the number of people that lies between the two."""
TROPIC = 23.4
"""Degrees of latitude between which the tropics lie."""


@dataclass(frozen=True, slots=True)
class City:
    """A row of cities.csv together with its country's row.

    Attributes:
        name: Its English name.
        aliases: Other names, in lower case.
        own: Its columns as text.
        land: Its country's columns as text.
    """

    name: str
    aliases: tuple[str, ...]
    own: Mapping[str, str]
    land: Mapping[str, str]

    @property
    def latitude(self) -> float:
        """Degrees north."""
        return float(self.own["latitude"])

    @property
    def people(self) -> tuple[float, float]:
        """The fewest and the most people that usual counts give it."""
        low, high = self.own["millions"].split("-")
        return float(low) * 1e6, float(high) * 1e6

    @property
    def longitude(self) -> float:
        """Degrees east."""
        return float(self.own["longitude"])


@lru_cache(maxsize=1)
def read_cities() -> tuple[City, ...]:
    """The cities in the order of the file."""
    lands = {row["name"]: row for row in csv.DictReader(read_data("countries.csv").splitlines())}
    return tuple(
        City(row["name"], split(row["aliases"]), row, lands[row["country"]])
        for row in csv.DictReader(read_data("cities.csv").splitlines())
    )


def split(text: str, mark: str = "|") -> tuple[str, ...]:
    """The parts of a column, none for an empty one."""
    return tuple(part for part in text.split(mark) if part)


# ---- values: which of a facet's values a city has, perhaps has -----------------------------------


def values(city: City, facet: str) -> tuple[str, ...]:
    """A city's values of a facet in their own writing, `X?` for one that it has only perhaps."""
    if facet == "country":
        return (city.land["name"],)
    if facet == "continent":
        return CONTINENTS.get(city.name, (city.land["continent"],))
    if facet == "region":
        return PARTS.get(city.name, split(city.land["region"]))
    if facet == "group":
        return _groups(city)
    if facet == "state":
        return split(city.own["region"])
    if facet == "language":
        return _languages(city)
    if facet == "currency":
        return split(city.land["currency"])
    if facet == "sea":
        return _seas(city)
    if facet == "river":
        value = city.own["rivers"]
        return () if value in ("?", "own", "none") else split(value)
    if facet == "kind":
        return (city.own["landmark_kind"], *split(city.own["also_known"]))
    assert facet in ("climate", "landmark"), facet
    return split(city.own["climate" if facet == "climate" else "landmarks"])


REGIONS = (
    *("Western Europe", "Central Europe", "Eastern Europe", "Northern Europe", "Southern Europe"),
    *("Southeastern Europe", "Middle East", "South Asia", "Southeast Asia", "East Asia"),
    *("North Africa", "West Africa", "East Africa", "Southern Africa", "Central America"),
    "Caribbean",
)
"""Parts of the world that may be asked for by name."""
PART_OF: Mapping[str, tuple[str, ...]] = {
    "Adriatic Sea": ("Mediterranean Sea",),
    "Tyrrhenian Sea": ("Mediterranean Sea",),
    "North Sea": ("Atlantic Ocean",),
    "Irish Sea": ("Atlantic Ocean",),
    "Caribbean Sea": ("Atlantic Ocean",),
    "Gulf of Mexico": ("Atlantic Ocean",),
    "Arabian Sea": ("Indian Ocean",),
    "Persian Gulf": ("Indian Ocean",),
    "East China Sea": ("Pacific Ocean",),
    "South China Sea": ("Pacific Ocean",),
    "Gulf of Thailand": ("Pacific Ocean",),
    "Java Sea": ("Pacific Ocean",),
    "Sea of Japan": ("Pacific Ocean",),
    "Bass Strait": ("Pacific Ocean", "Indian Ocean"),
}
"""Larger waters that a sea is counted to: who is on the one is perhaps on the other."""


def _groups(city: City) -> tuple[str, ...]:
    land = city.land["name"].replace(" ", "_")
    found = {name: split(lands, " ") for name, lands in GROUPS.items()}
    sure = tuple(name for name, lands in found.items() if land in lands)
    if city.name == "Honolulu":  # in the country, but not in that part of the world
        return ()
    return (*sure, *(name + "?" for name, lands in found.items() if land + "?" in lands))


def _languages(city: City) -> tuple[str, ...]:
    country = split(city.land["languages"], " ")
    own = split(city.own["languages"], " ")
    if not own:
        return country
    # a language of the country that the city does not use officially
    return own + tuple(each.rstrip("?") + "?" for each in country if each.rstrip("?") not in own)


def _seas(city: City) -> tuple[str, ...]:
    """The sea of the city, and perhaps the larger waters that it is a part of."""
    found = city.own["sea"]
    if found == "none":
        return ()
    sea = found.strip("?")
    name = sea if sea == found else sea + "?"
    return (name, *(larger + "?" for larger in PART_OF.get(sea, ())))


def has(city: City, facet: str, value: str) -> str:
    """Whether a city has a value of a facet."""
    found = values(city, facet)
    return YES if value in found else DEPENDS if value + "?" in found else NO


# ---- yes-or-no facts ---------------------------------------------------------------------------


def _coast(city: City) -> str:
    sea = city.own["sea"]
    return NO if sea == "none" else DEPENDS if sea.startswith("?") else YES


def _on_river(city: City) -> str:
    rivers = split(city.own["rivers"])
    if all(river.endswith("?") for river in rivers):
        return DEPENDS
    return NO if rivers == ("none",) else YES


def _on_island(city: City) -> str:
    return SIGNS[city.own["on_island"] or city.land["island"]]


def _games(city: City) -> str:
    """Whether it has hosted Olympic Games of either season."""
    winter = city.own["winter_olympics"]
    return YES if city.own["olympics"] else SIGNS.get(winter, YES) if winter else NO


def _tropics(city: City) -> str:
    beyond = abs(city.latitude) - TROPIC
    return DEPENDS if abs(beyond) < 0.2 else YES if beyond < 0 else NO


def side(degrees: float, sign: int) -> str:
    """Whether it is on the side of a meridian or the equator; neither within 0.3 degrees."""
    return DEPENDS if abs(degrees) < 0.3 else YES if degrees * sign > 0 else NO


FACTS: Mapping[str, Callable[[City], str]] = {
    "capital": lambda city: SIGNS[city.own["capital"]],
    "coast": _coast,
    "on_river": _on_river,
    "hosted": lambda city: YES if city.own["olympics"] else NO,
    "games": _games,
    "high": lambda city: SIGNS[city.own["high"]],
    "snow": lambda city: SIGNS[city.own["snow"]],
    "union": lambda city: SIGNS[city.land["european_union"]],
    "kingdom": lambda city: SIGNS[city.land["kingdom"]],
    "island": lambda city: SIGNS[city.land["island"]],
    "on_island": _on_island,
    "landlocked": lambda city: SIGNS[city.land["landlocked"]],
    "left": lambda city: YES if city.land["drives"] == "left" else NO,
    "hemisphere north": lambda city: side(city.latitude, 1),
    "hemisphere south": lambda city: side(city.latitude, -1),
    "hemisphere east": lambda city: side(city.longitude, 1),
    "hemisphere west": lambda city: side(city.longitude, -1),
    "tropics": _tropics,
}

RARER_FACTS: Mapping[str, Callable[[City], str]] = {
    "largest": lambda city: SIGNS[city.own["largest"]],
    "west coast": lambda city: _american_coast(city, "Pacific Ocean"),
    "east coast": lambda city: _american_coast(city, "Atlantic Ocean"),
}
"""Facts that are told to those who ask, but are no admissible actions."""


def _american_coast(city: City, ocean: str) -> str:
    if city.land["name"] != "United States":
        return NO
    if city.name in OFF_COAST:
        return DEPENDS
    return YES if ocean in city.own["sea"] else NO


def more_people(city: City, number: float) -> str:
    """Whether more people than this live in and around the city."""
    low, high = city.people
    return YES if low >= number else NO if high <= number else DEPENDS


def north_of(city: City, other: City) -> str:
    """Whether a city lies north of another; neither within 0.2 degrees."""
    difference = city.latitude - other.latitude
    return DEPENDS if abs(difference) < 0.2 else YES if difference > 0 else NO
