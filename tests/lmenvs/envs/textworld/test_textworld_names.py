"""Games whose things the interpreter cannot tell apart are not played."""

import pytest

import lmenvs
from lmenvs.envs.textworld.engine import textworld
from lmenvs.envs.textworld.games import Recipe, find_game
from lmenvs.envs.textworld.names import mistakable
from lmenvs.envs.textworld.recipes import rules_of

QUEST = (("nb_rooms", 2), ("nb_objects", 3), ("quest_length", 4))
AMBIGUOUS = 1432050491
"""A chest and an American chest in one room: `take American keycard from chest` is not understood,
which the quest needs."""


def house(here, there, door="oak door"):
    """A kitchen and a cellar with things in them, given as (type, name), and a door between."""
    package = textworld()
    options = package.GameOptions()
    options.kb = rules_of("quest")
    options.seeds = 1
    maker = package.GameMaker(options)
    kitchen, cellar = maker.new_room("kitchen"), maker.new_room("cellar")
    path = maker.connect(kitchen.east, cellar.west)
    maker.new_door(path, name=door)
    maker.set_player(kitchen)
    for room, things in ((kitchen, here), (cellar, there)):
        for kind, name in things:
            room.add(maker.new(type=kind, name=name))
    return maker.build(validate=False)


@pytest.mark.parametrize(
    ("here", "there", "pair"),
    [
        ([("c", "chest"), ("c", "old chest")], [], ("chest", "old chest")),
        ([("c", "chest")], [("c", "old chest")], None),  # neither can be moved
        ([("k", "key")], [("k", "old key")], ("key", "old key")),
        ([("o", "chest")], [("c", "old chest")], ("chest", "old chest")),
        ([("c", "red chest")], [("c", "old chest")], None),
        ([("c", "door")], [], ("door", "oak door")),
        ([("f", "Old Cheese")], [("f", "cheese")], ("cheese", "Old Cheese")),
        ([("o", "kitchen")], [("o", "cellar key")], None),  # rooms are not called by name
    ],
)
def test_a_name_within_another_is_mistakable_where_the_things_can_meet(here, there, pair):
    assert mistakable(house(here, there)) == pair


def test_a_game_that_the_interpreter_cannot_understand_is_no_game():
    with pytest.raises(ValueError, match="'chest' and 'American chest'.*another number") as raised:
        find_game(Recipe("quest", QUEST, AMBIGUOUS))
    assert "\n" not in str(raised.value)


def test_a_reset_draws_another_game_instead():
    env = lmenvs.make(f"lmenvs/TextWorldQuest-v0?games=2&first_game={AMBIGUOUS}")
    for seed in range(6):
        env.reset(seed=seed)
        assert env.snapshot().state["game"] == AMBIGUOUS + 1
