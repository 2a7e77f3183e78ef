import itertools
from collections import Counter

import pytest

from lmenvs.envs.questions.book import DEPENDS, NO, YES
from lmenvs.envs.questions.lexicon import read_data, read_lexicon
from lmenvs.envs.questions.object_questions import DERIVED, Thing, object_book, read_things

THINGS = {thing.name: thing for thing in read_things()}
CLASSES = ("mammal", "bird", "fish", "insect", "amphibian", "reptile")
BODY = ("worn_head", "worn_feet", "worn_hand", "worn_neck", "worn_finger")


def sure(key: str, sign: str = "y") -> set[str]:
    return {name for name, thing in THINGS.items() if thing.signs[key] == sign}


def test_there_are_158_objects_or_more_in_17_categories_with_40_facts_or_more():
    assert len(THINGS) == 177
    categories = Counter(thing.category for thing in THINGS.values())
    assert len(categories) == 17 and min(categories.values()) >= 10
    assert all(len(thing.signs) >= 200 for thing in THINGS.values())


def test_every_column_is_defined_and_every_definition_has_its_column():
    keys = {entry.key for entry in read_lexicon("object_questions.txt")}
    columns = set(next(iter(THINGS.values())).signs)
    assert keys == columns | set(DERIVED)


def test_the_files_are_plain_ascii_so_that_every_platform_reads_the_same():
    for name in ("objects.csv", "cities.csv", "countries.csv", "object_questions.txt"):
        assert read_data(name).isascii()


@pytest.mark.parametrize("category", sorted({thing.category for thing in THINGS.values()}))
def test_a_category_is_what_its_members_are(category: str):
    members = {name for name, thing in THINGS.items() if thing.category == category}
    allowed = members | (sure("nature") if category == "nature" else set())
    assert members <= sure(category) <= allowed


def test_animals_of_a_class_are_animals_and_of_one_class_only():
    for key in CLASSES:
        assert sure(key) <= sure("animal")
    for one, other in itertools.combinations(CLASSES, 2):
        assert not sure(one) & sure(other)
    every = {name for key in CLASSES for name in sure(key)}
    assert every == sure("animal")


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("animal", "living"),
        ("animal", "heart"),
        ("flower", "plant"),
        ("plant", "living"),
        ("feathers", "bird"),
        ("bird", "wings"),
        ("bird", "beak"),
        ("bird", "eggs"),
        ("bird", "warm_blooded"),
        ("mammal", "warm_blooded"),
        ("water_life", "swim"),
        ("four_legs", "legs"),
        ("two_wheels", "wheels"),
        ("many_people", "several_people"),
        ("many_people", "transport"),
        ("rails", "vehicle"),
        ("ball", "ball_game"),
        ("ball", "round"),
        ("kick", "ball"),
        ("citrus", "fruit"),
        ("tree_fruit", "fruit"),
        ("stone_fruit", "tree_fruit"),
        ("root", "underground"),
        ("bulb", "underground"),
        ("blow", "instrument"),
        ("struck", "instrument"),
        ("bow", "strings"),
        ("brass", "blow"),
        ("melody", "instrument"),
        ("broadcast", "electricity"),
        ("internet", "electricity"),
        ("screen", "electronic"),
        ("worn_finger", "worn_hand"),
        ("weather", "nature"),
        ("sky", "nature"),
        ("large_landform", "nature"),
        ("eat_with", "kitchenware"),
        ("fry", "cook"),
        ("prongs", "handle"),
        ("furniture", "man_made"),
    ],
)
def test_whatever_is_the_narrow_thing_is_the_wide_one(narrow: str, wide: str):
    assert sure(narrow) <= sure(wide)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("artwork", "art"),
        ("art_supply", "art"),
        ("paint_tool", "art_supply"),
        ("battery", "electricity"),
        ("plug", "electricity"),
        ("two_wheels", "wheels"),
        ("four_legs", "legs"),
        ("worn_finger", "worn_hand"),
        ("kick", "ball"),
        ("ball", "play"),
        ("boil", "cook"),
        ("fry", "cook"),
        ("string_instrument", "instrument"),
        ("wind_instrument", "instrument"),
    ],
)
def test_what_may_be_the_narrow_thing_may_be_the_wide_one(narrow: str, wide: str):
    assert not (sure(narrow) | sure(narrow, "?")) & sure(wide, "n")


def test_a_picture_has_no_body_and_not_the_shape_of_what_it_shows():
    body = ("legs", "arms", "tail", "wings", "eyes", "animal_shape", "human_shape", "heart")
    for name in ("painting", "mural", "mosaic", "tapestry", "photograph"):
        assert {THINGS[name].signs[key] for key in body} == {"n"}


def test_what_is_worn_somewhere_is_worn():
    for key in BODY:
        assert sure(key) <= sure("worn") | sure("worn", "?")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("man_made", "living"),
        ("man_made", "animal"),
        ("man_made", "nature"),
        ("edible", "man_made"),
        ("fruit", "vegetable"),
        ("sweet", "sour"),
        ("hot", "cold"),
        ("raw", "cooked"),
        ("soft", "sharp"),
        ("sky", "touch"),
    ],
)
def test_opposites_have_no_common_thing(one: str, other: str):
    assert not sure(one) & sure(other)


def test_made_mostly_of_one_material_is_not_made_mostly_of_another():
    materials = ("metal", "wood", "plastic", "glass", "fabric", "paper", "stone")
    for one, other in itertools.combinations(materials, 2):
        assert not sure(one) & sure(other), (one, other)


def test_sizes_are_ranges_and_agree_with_pockets_and_hands():
    for thing in THINGS.values():
        for value in (thing.length_cm, thing.weight_kg):
            assert value is None or 0 < value[0] <= value[1]
    for name in sure("pocket"):
        length, weight = THINGS[name].length_cm, THINGS[name].weight_kg
        assert length is not None and weight is not None
        assert length[0] <= 15 and weight[1] < 1
        assert DERIVED["big"](THINGS[name]) == NO and DERIVED["heavy"](THINGS[name]) == NO
    for thing in THINGS.values():
        if DERIVED["one_hand"](thing) == YES:
            assert DERIVED["carry"](thing) == YES and DERIVED["heavy"](thing) == NO


def test_comparisons_of_size_never_contradict_each_other():
    read = object_book().read
    ladder = ("a hand", "a shoebox", "a person", "a car", "a bus", "a mountain")
    order = {YES: 2, DEPENDS: 1, NO: 0}
    rows = [read(f"Is it bigger than {thing}?").answers for thing in ladder]  # type: ignore[union-attr]
    for answers in zip(*rows, strict=True):
        falling = [order[answer] for answer in answers]
        assert falling == sorted(falling, reverse=True)
    smaller = read("Is it smaller than a person?").answers  # type: ignore[union-attr]
    assert all({a, b} != {YES} for a, b in zip(rows[2], smaller, strict=True))


def test_no_two_objects_have_the_same_answers():
    questions = object_book().questions
    rows = set(zip(*(question.answers for question in questions), strict=True))
    assert len(rows) == len(THINGS)


def test_a_name_means_one_object_only():
    names = [name for thing in THINGS.values() for name in (thing.name, *thing.aliases)]
    assert len(names) == len(set(names))
    assert not {part for thing in THINGS.values() for part in thing.partly} & {
        thing.name for thing in THINGS.values() if not part_of_others(thing)
    }


def part_of_others(thing: Thing) -> bool:
    return any(thing.name in other.partly for other in THINGS.values())


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("dog", "bark pet mammal fur tail four_legs", "fly wheels man_made feathers"),
        ("piano", "instrument keys strings legs melody", "blow living edible reed"),
        ("apple", "fruit tree_fruit edible round seeds", "citrus vegetable wheels"),
        ("submarine", "vehicle motor metal inside on_water", "fly road pet living"),
        ("penguin", "bird swim wings eggs feathers", "fly mammal pet fur"),
        ("moon", "sky space nature stone round", "man_made living edible worn"),
        ("trumpet", "brass blow metal noise", "strings reed wood struck"),
        ("bicycle", "two_wheels pedals human_power ride", "fly animal edible"),
    ],
)
def test_some_facts_as_everybody_knows_them(name: str, yes: str, no: str):
    signs = THINGS[name].signs
    assert [signs[key] for key in yes.split()] == ["y"] * len(yes.split())
    assert [signs[key] for key in no.split()] == ["n"] * len(no.split())
