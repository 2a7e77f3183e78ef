import itertools
from collections import Counter

import pytest

from lmenvs.envs.questions.book import DEPENDS, NO, YES, Question
from lmenvs.envs.questions.city_facts import PART_OF, read_cities, values
from lmenvs.envs.questions.city_names import spoken
from lmenvs.envs.questions.city_questions import city_book
from lmenvs.envs.questions.city_told import TOLD

CITIES = {city.name: city for city in read_cities()}


def test_there_are_100_cities_or_more_on_six_continents():
    assert len(CITIES) == 123
    assert len({city.land["continent"] for city in CITIES.values()}) == 6


def test_a_country_has_one_capital_at_most():
    capitals = Counter(city.land["name"] for city in CITIES.values() if city.own["capital"] == "y")
    assert max(capitals.values()) == 1 and capitals["France"] == 1
    assert capitals["South Africa"] == capitals["Brazil"] - 1 == 0


def test_a_landlocked_country_has_no_coast_and_no_island():
    for city in CITIES.values():
        if city.land["landlocked"] == "y":
            assert city.own["sea"] == "none" and city.land["island"] == "n"


CLIMATES = {"tropical", "desert", "dry", "Mediterranean", "temperate", "continental"}
BOXES = {
    "Europe": (35, 72, -25, 41),
    "Asia": (-11, 56, 26, 146),
    "Africa": (-35, 38, -18, 52),
    "North America": (7, 72, -168, -52),
    "South America": (-56, 13, -82, -34),
    "Oceania": (-47, 0, 113, 180),
}


def test_coordinates_lie_on_the_continent():
    for city in CITIES.values():
        if city.name == "Honolulu":  # far from the continent of its country
            assert TOLD["continent"](city) == "I am not sure."
            continue
        low, high, west, east = BOXES[city.land["continent"]]
        assert low <= city.latitude <= high and west <= city.longitude <= east, city.name


def test_cities_of_one_country_lie_near_each_other():
    for one, other in itertools.combinations(CITIES.values(), 2):
        if one.land["name"] == other.land["name"] and "Honolulu" not in (one.name, other.name):
            assert abs(one.latitude - other.latitude) < 26, (one.name, other.name)
            assert abs(one.longitude - other.longitude) < 55, (one.name, other.name)


def test_columns_of_cities_hold_what_they_may():
    for city in CITIES.values():
        fewest, most = city.people
        assert 0 < fewest < most < 5e7 and most < 8 * fewest + 7e5, city.name
        assert city.own["largest"] in "yn?"
        assert city.own["capital"] in "yn?" and city.own["high"] in "yn" + "?"
        climates = city.own["climate"].split("|")
        assert {climate.rstrip("?") for climate in climates} <= CLIMATES
        assert len(climates) == 1 or all(climate.endswith("?") for climate in climates)
        years = [int(year) for year in city.own["olympics"].split()]
        assert years == sorted(years) and all(1896 <= y <= 2024 and y % 4 == 0 for y in years)
        assert city.land["drives"] in ("left", "right")
        assert city.own["climate"] != "tropical" or abs(city.latitude) < 27


def test_the_summer_olympics_of_the_table_are_the_known_ones():
    hosts = {
        int(year): city.name for city in CITIES.values() for year in city.own["olympics"].split()
    }
    known = {1896: "Athens", 1936: "Berlin", 1964: "Tokyo", 1988: "Seoul", 2000: "Sydney"}
    known |= {2008: "Beijing", 2012: "London", 2016: "Rio de Janeiro", 2024: "Paris"}
    assert {year: hosts[year] for year in known} == known
    assert not {1904, 1916, 1920, 1940, 1944, 1996} & set(hosts)  # elsewhere, or not held
    assert sum(len(c.own["olympics"].split()) for c in CITIES.values()) == len(hosts) == 27


def test_no_answer_holds_the_name_of_the_hidden_city():
    for city in CITIES.values():
        for key, tell in TOLD.items():
            told = f" {spoken(tell(city)).strip('.')} ".replace(",", "").replace(".", "")
            for name in (city.name, *city.aliases):
                assert f" {spoken(name)} " not in told, (city.name, key, told)


def test_no_two_cities_have_the_same_answers():
    for yes_no in (False, True):
        questions = city_book(yes_no).questions
        rows = set(zip(*(question.answers for question in questions), strict=True))
        assert len(rows) == len(CITIES)


def test_istanbul_is_on_two_continents():
    assert values(CITIES["Istanbul"], "continent") == ("Europe", "Asia")
    assert TOLD["continent"](CITIES["Istanbul"]) == "It is in Europe and in Asia."


def answer(text: str, name: str) -> str:
    book = city_book(True)
    found = book.read(text)
    assert isinstance(found, Question), text
    return found.answers[book.names.index(name)]


def test_a_city_is_known_for_what_its_landmarks_are():
    kinds = [kind for kind in city_book(True).questions if kind.key.startswith("kind ")]
    assert len(kinds) == 52
    for city in CITIES.values():
        for question in kinds:
            kind = question.key.removeprefix("kind ")
            if any(landmark.endswith(" " + kind) for landmark in values(city, "landmark")):
                index = list(CITIES).index(city.name)
                assert question.answers[index] != NO, (city.name, kind)


def test_unsure_facts_leave_only_what_may_be_true():
    for city in CITIES.values():
        for facet, most in (("climate", 3), ("currency", 2), ("sea", 3), ("region", 4)):
            assert len(values(city, facet)) <= most, (city.name, facet)
    assert answer("Does it have a desert climate?", "Vienna") == NO
    assert answer("Is it on the Danube?", "Athens") == NO
    assert answer("Is it on the Caribbean Sea?", "Athens") == NO
    assert answer("Is it in the Caribbean?", "Istanbul") == NO
    assert answer("Do more than 10 million people live there?", "Geneva") == NO
    assert answer("Do more than 2 million people live there?", "Geneva") == NO
    assert answer("Do more than 800,000 people live there?", "Geneva") == DEPENDS


def test_a_sea_is_perhaps_its_ocean_and_no_other():
    seas = {value.strip("?") for city in CITIES.values() for value in values(city, "sea")}
    assert set(PART_OF) <= seas
    assert answer("Is it on the Pacific Ocean?", "Shanghai") == DEPENDS
    assert answer("Is it on the Mediterranean Sea?", "Venice") == DEPENDS
    assert answer("Is it on the Atlantic Ocean?", "Shanghai") == NO


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Is it in Scotland?", "London", NO),
        ("Is it in Scotland?", "Edinburgh", YES),
        ("Is it in England?", "Edinburgh", NO),
        ("Is it in Great Britain?", "Edinburgh", YES),
        ("Is it Edinburgh, Scotland?", "Edinburgh", YES),
        ("Is it on an island?", "Honolulu", YES),
        ("Is it in an island nation?", "Honolulu", NO),
        ("Has it hosted the Olympics?", "Vancouver", YES),
        ("Has it hosted the Summer Olympics?", "Vancouver", NO),
        ("Is it landlocked?", "Berlin", YES),
        ("Is the country landlocked?", "Berlin", NO),
        ("Is it known for its museum?", "Paris", YES),
        ("Is it known for its beach?", "Rio de Janeiro", YES),
        ("Is it in the tropics?", "Sao Paulo", DEPENDS),
    ],
)
def test_a_question_about_the_city_is_not_taken_for_one_about_its_country(
    text: str, name: str, expected: str
):
    assert answer(text, name) == expected


def test_whatever_city_has_an_opera_house_does_not_deny_it():
    for city in CITIES.values():
        if any(kind.startswith("opera house") for kind in values(city, "kind")):
            assert answer("Does it have an opera house?", city.name) != NO, city.name


def test_canonical_questions_have_one_article_where_one_belongs():
    texts = {question.text for question in city_book(False).questions}
    assert {"Do people there speak Czech?", "Is it on the Caribbean Sea?"} <= texts
    assert {"Is it in the Czech Republic?", "Is it in the Caribbean?"} <= texts
    assert not any(" the the " in text for text in texts)
