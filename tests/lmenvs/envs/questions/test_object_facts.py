"""Rules that a second reading of the table of objects gave."""

import pytest

from lmenvs.envs.questions.book import NO, Question
from lmenvs.envs.questions.object_questions import object_book, read_things

THINGS = {thing.name: thing for thing in read_things()}
BODY = ("worn_head", "worn_feet", "worn_hand", "worn_neck", "worn_finger")


def sure(key: str, sign: str = "y") -> set[str]:
    return {name for name, thing in THINGS.items() if thing.signs[key] == sign}


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        *(("artwork", "art"), ("art_supply", "art"), ("paint_tool", "art_supply")),
        *(("boat", "vehicle"), ("boat", "on_water"), ("aircraft", "fly"), ("two_wheels", "wheels")),
        *(("footwear", "worn_feet"), *((part, "worn") for part in (*BODY, "worn_legs"))),
        *(
            ("farm_animal", "animal"),
            ("farm_animal", "farm"),
            ("wild_animal", "wild"),
            ("quadruped", "four_legs"),
        ),
        *(("toolbox", "tool"), ("hand_tool", "tool"), ("bake", "cook"), ("fuel", "motor")),
        *(("appliance", "machine"), ("machine", "moving_parts"), ("loud", "noise")),
        *(("fruit", "from_plant"), ("vegetable", "from_plant"), ("grown", "from_plant")),
        *(("fruit", "edible"), ("vegetable", "edible"), ("raw", "edible"), ("cooked", "edible")),
        *(("sweet", "edible"), ("sour", "edible"), ("peel", "edible"), ("edible", "nature")),
        *(("electronic", "electricity"), ("plug", "electricity"), ("battery", "electricity")),
        *(("screen", "electricity"), ("string_instrument", "strings"), ("brass", "metal")),
        *(("amphibian", "cold_blooded"), ("reptile", "cold_blooded"), ("fish", "cold_blooded")),
        *(("insect", "cold_blooded"), ("cold_blooded", "animal"), ("jewelry", "worn")),
        *(("clothing", "worn"), ("team", "sport"), ("animal", "animal_shape")),
    ],
)
def test_what_may_be_the_narrow_thing_may_be_the_wide_one(narrow: str, wide: str):
    order = {"n": 0, "?": 1, "y": 2}
    falling = [
        name
        for name, thing in THINGS.items()
        if order[thing.signs[narrow]] > order[thing.signs[wide]]
    ]
    assert falling == []


def test_an_animal_is_warm_blooded_or_cold_blooded():
    assert sure("warm_blooded") | sure("cold_blooded") == sure("animal")
    assert not sure("warm_blooded") & sure("cold_blooded")


def test_nothing_that_flows_or_cannot_be_touched_is_called_hard():
    """The parser answers "Is it hard?" with the opposite of `soft`."""
    hard = sure("soft", "n")
    assert not hard & (sure("water_made") | sure("touch", "n"))


def test_what_has_several_colours_at_once_is_not_of_one_colour():
    for thing in THINGS.values():
        assert not thing.all_colours or thing.signs["multicoloured"] != "n", thing.name


def test_food_is_eaten_raw_or_cooked():
    eaten = sure("edible") | (sure("edible", "?") & sure("animal"))
    assert not eaten & sure("raw", "n") & sure("cooked", "n")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Is it a boat?", ("rubber duck", "airplane")),
        ("Is it a farm animal?", ("tractor", "carrot")),
        ("Is it a wild animal?", ("tree", "carrot")),
        ("Is it an aircraft?", ("eagle", "butterfly")),
        ("Is it a machine?", ("saxophone", "violin")),
        ("Is it cold-blooded?", ("apple", "car")),
        ("Is it footwear?", ("anklet",)),
        ("Is it worn in winter?", ("snowflake", "ski")),
        ("Does it keep you warm?", ("snowflake", "ice skate")),
        ("Is it powered by petrol?", ("blender", "electric drill")),
        ("Does it walk on four legs?", ("table", "chair")),
        ("Is it a kitchen appliance?", ("fork", "spoon")),
        ("Would you find it in a toolbox?", ("ladder", "axe")),
        ("Is it used for baking?", ("kettle",)),
        ("Is it a land vehicle?", ("sailboat", "airplane")),
        ("Is it found on a desk?", ("chair", "desk")),
    ],
)
def test_a_question_gets_no_yes_that_belongs_to_a_wider_one(text: str, names: tuple[str, ...]):
    book = object_book()
    found = book.read(text)
    assert isinstance(found, Question)
    assert [found.answers[book.names.index(name)] for name in names] == [NO] * len(names)
