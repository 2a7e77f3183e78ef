"""Questions as language models word them: what is understood of them is answered rightly.

A reader who had not seen the phrases wrote them, sixty at a time; the phrases were mended after
each sixty, so this is no held-out measure (that stands in data/SOURCES.md).
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lmenvs.envs.questions.book import DEPENDS, NO, YES, Book, Question, make_question
from lmenvs.envs.questions.city_facts import GROUPS, read_cities
from lmenvs.envs.questions.city_questions import city_book
from lmenvs.envs.questions.object_questions import ObjectReader, object_book
from lmenvs.envs.questions.plainer import both

HERE = Path(__file__).parent
BOOKS: dict[str, Callable[[], Book]] = {"objects": object_book, "cities": lambda: city_book(False)}
LETTERS = {YES: "Y", NO: "N", DEPENDS: "D"}


def asked(name: str) -> list[tuple[str, str, str]]:
    """(item, letters of the right answers or a part of what is told, question)."""
    text = (HERE / f"asked_{name}.txt").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines()]
    return [(item, right, question) for item, right, question in rows]


# Much of what is declined asks for what the tables do not hold ("Is it famous for jazz?").
@pytest.mark.parametrize("name", BOOKS)
def test_three_quarters_of_wordy_questions_are_understood_and_all_of_those_answered_rightly(
    name: str,
):
    book, understood, wrong = BOOKS[name](), 0, list[str]()
    rows = asked(name)
    for item, right, text in rows:
        found = book.read(text)
        if isinstance(found, Question):
            understood += 1
            answer = found.answers[book.names.index(item)]
            letter = LETTERS.get(answer)
            if not (letter in set(right) if letter else right.lower() in answer.lower()):
                wrong.append(f"{item}: {text} {answer}")
    assert wrong == []
    assert len(rows) >= 180 and understood >= 0.75 * len(rows)


def answer(name: str, text: str, item: str) -> str:
    book = BOOKS[name]()
    found = book.read(text)
    assert isinstance(found, Question), text
    return found.answers[book.names.index(item)]


@pytest.mark.parametrize(
    ("text", "item", "expected"),
    [
        ("Is it a machine with an engine?", "car", YES),
        ("Is it a machine with an engine?", "blender", YES),
        ("Is it a machine with an engine?", "hat", NO),
        ("Is it a bird that can't fly?", "penguin", YES),
        ("Is it a bird that can't fly?", "eagle", NO),
        ("Is it a bird that can't fly?", "cow", NO),
        ("Is it a red fruit?", "strawberry", YES),
        ("Is it a red fruit?", "apple", DEPENDS),
        ("Is it a red fruit?", "banana", NO),
        ("Is it a domesticated animal?", "cow", YES),
        ("Is it a domesticated animal?", "lion", NO),
        ("Is it a domesticated animal?", "hammer", NO),
        ("Is it a toy made of wood?", "rocking horse", YES),
        ("Is it man-made rather than natural?", "fork", YES),
        ("Is it bigger than a bowling ball?", "piano", YES),
        ("Is it smaller than a human being?", "fork", YES),
        ("Is it heavier than 10 lbs?", "piano", YES),
    ],
)
def test_a_question_in_two_parts_is_answered_by_both(text: str, item: str, expected: str):
    assert answer("objects", text, item) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Is it a large fruit?",  # large for a fruit is small for a thing
        "Is it taller than a person?",  # only longest dimensions are known
        "Is it a member of the cat family?",
        "Is it used as a weapon?",
        "Is it a tool for cutting hair?",
        "Is it a machine that makes coffee?",
        "Is it not a machine with an engine?",
        "Is it a toy dog?",
        "Is it an animal with a driving licence?",
    ],
)
def test_a_part_that_is_not_understood_leaves_the_whole_unanswered(text: str):
    assert not isinstance(object_book().read(text), Question)


def test_both_is_no_if_one_is_no_and_yes_if_both_are():
    signs = (YES, DEPENDS, NO)
    one = make_question("a", "", [first for first in signs for _ in signs])
    other = make_question("b", "", [second for _ in signs for second in signs])
    assert both(one, other).answers == (YES, DEPENDS, NO, DEPENDS, DEPENDS, NO, NO, NO, NO)


def test_every_size_can_be_compared_with_every_object():
    for name in object_book().names:
        article = "" if name.endswith("s") else "a "
        for text in (f"Is it bigger than {article}{name}?", f"Is it smaller than the {name}?"):
            assert isinstance(object_book().read(text), Question), text


def test_one_word_for_each_meaning_loses_nothing_that_may_be_asked():
    reader = ObjectReader()
    assert set(reader.plain_phrases.values()) == set(reader.phrases.values())


@pytest.mark.parametrize(
    ("text", "item", "expected"),
    [
        ("Is it the capital of France?", "Paris", YES),
        ("Is it the capital of France?", "Lyon", NO),
        ("Is it the largest city in its country?", "Istanbul", YES),
        ("Is it the largest city in its country?", "Ankara", NO),
        ("Is it the largest city in Canada?", "Toronto", YES),
        ("Is it the largest city in Canada?", "Paris", NO),
        ("Is it a coastal city in Portugal?", "Porto", YES),
        ("Is it in Scandinavia?", "Oslo", YES),
        ("Is it in Scandinavia?", "Helsinki", DEPENDS),
        ("Is it in Latin America?", "Lima", YES),
        ("Is it in Latin America?", "Miami", NO),
        ("Is it on the west coast of the United States?", "Seattle", YES),
        ("Is it on the east coast of the US?", "Chicago", NO),
        ("Is it on the west coast of the US?", "Mumbai", NO),
        ("Do more than 5 million people live there?", "London", YES),
        ("Do more than 2 million people live there?", "Dubrovnik", NO),
        ("Is its population over 500,000?", "Salzburg", NO),
        ("What state is it in?", "Chicago", "It is in Illinois."),
        ("What state is it in?", "Paris", "I am not sure."),
    ],
)
def test_cities_answer_what_is_asked_of_them_most(text: str, item: str, expected: str):
    assert answer("cities", text, item) == expected


@pytest.mark.parametrize(
    "text", ["Is it the largest city in Europe?", "Is it the capital of California?"]
)
def test_what_is_compared_within_a_country_is_not_asked_of_other_places(text: str):
    assert not isinstance(city_book(False).read(text), Question)


def test_groups_of_countries_hold_countries_of_the_table():
    lands = {city.land["name"] for city in read_cities()}
    for group in GROUPS.values():
        assert {land.rstrip("?").replace("_", " ") for land in group.split()} <= lands


def test_a_country_has_one_largest_city_at_most():
    largest = Counter(c.land["name"] for c in read_cities() if c.own["largest"] == "y")
    assert max(largest.values()) == 1
