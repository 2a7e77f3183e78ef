"""What a text asks about a hidden city: the parser of Guess My City.

A text is cleaned and cut to one question (sentence.py); the city is called `it` and its people
`people`; the whole is then matched with the phrases below, whose blanks are filled by the names
that occur in the facts. What does not match as a whole is not answered.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache

from .book import NO, YES, Book, Question, Refusal, deny, make_question
from .city_facts import (
    FACTS,
    GROUPS,
    RARER_FACTS,
    REGIONS,
    City,
    has,
    more_people,
    north_of,
    read_cities,
    values,
)
from .city_names import CONTINENT_NAMES, GROUP_NAMES, adjective, spoken
from .city_phrases import CITY_WORDS, GUESSES, STATEMENT
from .city_phrases_named import SLOTS, read_number
from .city_phrases_open import CANONICAL_TOLD, OPEN
from .city_phrases_plain import CANONICAL_FACTS, PLAIN
from .city_told import RARER_TOLD, TOLD
from .plainer import both
from .sentence import clean, one_sentence, without_fillers

NOT_UNDERSTOOD = Refusal("malformed", "I don't understand the question.")
UNKNOWN = Refusal("unknown", "I don't know about that.")
NOT_YES_OR_NO = Refusal("inadmissible", "I can only answer questions with yes or no.")
NOT_ITS_NAME = Refusal("inadmissible", "I do not tell its name, nor anything about its name.")
_NAME = re.compile(
    r"\bname\b(?! of (?:river|country|sea|ocean|continent|language|currency))|\bletters?\b"
    r"|^(?:what|which) (?:city |place )?(?:is|are) (?:it|you|we)\b"
)
_QUESTION = re.compile(r"^(?:is|are|was|do|does|did|can|could|would|has|have|will)\b")
_OPEN_WORD = re.compile(r"^(?:in |on )?(?:what|which|where|when|who|how|why|tell|name|describe)\b")

FACETS: Mapping[str, str] = {
    "country": "Is it in {}?",
    "continent": "Is it in {}?",
    "region": "Is it in {}?",
    "state": "Is it in {}?",
    "group": "Is it in {}?",
    "language": "Do people there speak {}?",
    "currency": "Is the currency the {}?",
    "climate": "Does it have a {} climate?",
    "sea": "Is it on the {}?",
    "river": "Is it on the river {}?",
    "kind": "Is it known for its {}?",
    "landmark": "Is it home to the {}?",
}
"""The canonical question for a value of a facet."""

_WIDE = ("country", "continent", "region", "group", "island", "union", "kingdom")
_KIND_PLACES: Mapping[str, tuple[str, ...]] = {
    "largest": ("country",),
    "capital": _WIDE,
    **dict.fromkeys(("coast", "on_river", "high", "on_island"), (*_WIDE, "state")),
}
"""Facts that may be asked together with a place, and the places: a capital is none of a state."""
_KIND_AND_PLACE = re.compile(r"is it (.+?(?: city)?) (?:in|of) (.+)")

_ARTICLE = ("Netherlands", "Philippines", "United", "Czech", "Middle East", "Caribbean")


class CityReader:
    """What texts mean, for the cities of the table."""

    def __init__(self):
        self.cities = read_cities()
        told, facts = {**TOLD, **RARER_TOLD}, {**FACTS, **RARER_FACTS}
        self.told = {key: self._row(key, CANONICAL_TOLD[key], tell) for key, tell in told.items()}
        self.facts = {
            key: self._row(key, CANONICAL_FACTS[key], fact) for key, fact in facts.items()
        }
        self.guesses = tuple(self._guess(index, city) for index, city in enumerate(self.cities))

    def _row(self, key: str, text: str, answer: Callable[[City], str]) -> Question:
        return make_question(key, text, [answer(city) for city in self.cities])

    def _guess(self, index: int, city: City) -> Question:
        answers = [YES if other == index else NO for other in range(len(self.cities))]
        return make_question(f"guess {city.name}", f"Is it {city.name}?", answers, index)

    def valued(self, facet: str, value: str) -> Question:
        """The yes-or-no question for a value of a facet."""
        the = "the " if facet in ("country", "region") and value.startswith(_ARTICLE) else ""
        shown = value.title() if facet == "landmark" else the + value
        return self._row(
            f"{facet} {shown if facet == 'landmark' else value}",
            FACETS[facet].format(shown),
            lambda city: has(city, facet, value),
        )

    def all_values(self, facet: str) -> tuple[str, ...]:
        """Every value of a facet, in the order of the table."""
        if facet in ("region", "group"):
            return REGIONS if facet == "region" else tuple(GROUPS)
        found = (each for city in self.cities for each in values(city, facet))
        return tuple(dict.fromkeys(each.rstrip("?") for each in found))

    def people(self, number: float) -> Question:
        """Whether more people than this live there."""
        text = f"Do more than {number / 1e6:g} million people live there?"
        return self._row(f"more {number:.0f}", text, lambda city: more_people(city, number))

    @cached_property
    def names(self) -> Mapping[str, Mapping[str, str]]:
        """For each facet what its values are called."""
        names: dict[str, dict[str, str]] = {facet: {} for facet in FACETS}
        for facet in FACETS:
            for value in self.all_values(facet):
                names[facet][spoken(value)] = value
        names["region"] |= {"south east asia": "Southeast Asia", "near east": "Middle East"}
        for city in self.cities:
            for alias in (*city.land["aliases"].split("|"), spoken(city.land["adjective"])):
                if alias:
                    names["country"][spoken(alias)] = city.land["name"]
        for sea in list(names["sea"]):
            names["sea"].setdefault(re.sub(r" (?:sea|ocean)$", "", sea), names["sea"][sea])
        for name, continent in CONTINENT_NAMES.items():
            names["continent"][name] = continent
        for name in list(names["region"]):
            names["region"][adjective(name)] = names["region"][name]
        names["group"] |= GROUP_NAMES
        names["kind"] |= {name + "s": value for name, value in names["kind"].items()}
        names["currency"] |= {name + "s": value for name, value in names["currency"].items()}
        return names

    @cached_property
    def named(self) -> Mapping[str, int]:
        """The cities by all their names."""
        found: dict[str, int] = {}
        for index, city in enumerate(self.cities):
            for name in (city.name, *city.aliases):
                found[spoken(name)] = index
        return found

    def read(self, text: str) -> Question | Refusal:
        """What a text asks."""
        plain = clean(text)
        sentence = one_sentence(plain) if plain is not None else None
        if sentence is None:
            return NOT_UNDERSTOOD
        words = city_words(sentence)
        found = self._open(words) or self._guessed(words) or self._yes_or_no(words)
        if found is not None:
            return found
        if _NAME.search(words):
            return NOT_ITS_NAME
        asked = _QUESTION.match(words) or _OPEN_WORD.match(words)
        return UNKNOWN if asked and " " in words else NOT_UNDERSTOOD

    def _open(self, words: str) -> Question | None:
        for key, pattern in OPEN:
            if pattern.fullmatch(words):
                return self.told[key]
        return None

    def _guessed(self, words: str) -> Question | None:
        while (shorter := GUESSES.sub("", words, count=1)) != words:
            words = shorter
        index = self.named.get(words)
        if index is None:
            for city in (words.removesuffix(" " + spoken(land)) for land in self._lands(words)):
                index = self.named.get(city, index)
        return None if index is None else self.guesses[index]

    def _lands(self, words: str) -> list[str]:
        """The country or the part of it that the words end with: `london england`."""
        lands = (*self.names["country"], *self.names["state"])
        return [land for land in lands if words.endswith(" " + land)]

    def _yes_or_no(self, words: str) -> Question | None:
        words = STATEMENT.sub(r"is it \1", words)
        denied = " not " in words or " outside " in words
        if denied:
            words = words.replace(" not ", " ", 1).replace(" outside of ", " in ", 1)
            words = words.replace(" outside ", " in ", 1)
        found = self._plain(words) or self._slot(words) or self._placed(words)
        return deny(found) if found is not None and denied else found

    def _placed(self, words: str) -> Question | None:
        """Of what kind it is and where: "a coastal city in Portugal", "the capital of Japan"."""
        match = _KIND_AND_PLACE.fullmatch(words)
        if match is None:
            return None
        where = f"is it in {match[2]}"
        kind, place = self._plain(f"is it {match[1]}"), self._slot(where) or self._plain(where)
        if kind is None or place is None:
            return None
        facet = place.key.split(" ")[0]
        return both(kind, place) if facet in _KIND_PLACES.get(kind.key, ()) else None

    def _plain(self, words: str) -> Question | None:
        for key, opposite, pattern in PLAIN:
            if pattern.fullmatch(words):
                return deny(self.facts[key]) if opposite else self.facts[key]
        return None

    def _slot(self, words: str) -> Question | None:
        for facets, pattern in SLOTS:
            match = pattern.fullmatch(words)
            for facet in facets if match else ():
                found = self._filled(facet, match[1]) if match else None
                if found is not None:
                    return found
        return None

    def _filled(self, facet: str, blank: str) -> Question | None:
        if facet in ("more", "less"):
            number = read_number(blank)
            if number is None:
                return None
            return self.people(number) if facet == "more" else deny(self.people(number))
        if facet in ("north", "south"):
            index = self.named.get(blank)
            if index is None:
                return None
            other = self.cities[index]
            north = self._row(f"north {other.name}", "", lambda city: north_of(city, other))
            if facet == "north":
                return north
            answers = deny(north).answers
            return make_question(f"south {other.name}", f"Is it south of {other.name}?", answers)
        value = self.names[facet].get(blank)
        if value is None and facet == "landmark":
            value = self.names[facet].get(self._without_city(blank))
        return None if value is None else self.valued(facet, value)

    def _without_city(self, blank: str) -> str:
        """`sydney opera house` as `opera house`."""
        first = next((name for name in self.named if blank.startswith(name + " ")), "")
        return blank.removeprefix(first + " ")


def city_words(sentence: str) -> str:
    """A sentence about the city in few words: `it`, `people`, no articles."""
    words = sentence
    for pattern, replacement in CITY_WORDS:
        words = pattern.sub(replacement, words)
    return without_fillers(words)


@lru_cache(maxsize=2)
def city_book(yes_no: bool) -> Book:
    """The questions about cities and their answers, or only those that yes or no answers."""
    reader = CityReader()
    facets = ("continent", "region", "country", "language", "currency", "climate", "sea", "kind")
    valued = [reader.valued(facet, value) for facet in facets for value in reader.all_values(facet)]
    people = [reader.people(number) for number in (1e6, 4e6, 1e7)]
    told = () if yes_no else tuple(reader.told[key] for key in TOLD)
    facts = tuple(reader.facts[key] for key in FACTS)
    questions = (*told, *facts, *people, *valued)
    known = {question.text: question for question in (*questions, *reader.guesses)}

    def read(text: str) -> Question | Refusal:
        found = reader.read(text)
        open_question = isinstance(found, Question) and found.key in reader.told
        return NOT_YES_OR_NO if yes_no and open_question else found

    names = tuple(city.name for city in reader.cities)
    return Book(names, questions, reader.guesses, lru_cache(maxsize=4096)(read), known)
