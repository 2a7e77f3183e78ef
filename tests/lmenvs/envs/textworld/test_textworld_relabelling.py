import numpy as np

from lmenvs.envs.textworld.relabel import (
    BACK,
    DIRECTIONS,
    ROOM_NAMES,
    Relabelling,
    draw_relabelling,
)
from tests.lmenvs.envs.textworld.playing import make


def test_a_relabelled_episode_is_the_plain_one_in_other_words():
    plain, other = make(), make(relabel=True, admissible=True)
    changed = 0
    for seed in range(12):
        generator = np.random.default_rng(seed)
        other.reset(seed=seed)
        text, _ = plain.reset(options={"game": other.game_number})
        labels = other._labels
        assert labels is not None
        shown = other.observation.split("\nCommands: ")[0]
        assert shown == labels.show(text)
        changed += shown != text
        done = False
        while not done:
            actions = other.admissible_actions() or []
            assert sorted(labels.read(action) for action in actions) == plain.admissible_actions()
            assert labels.read(other.expert_action()).split()[0] in ("go", "take")
            action = str(generator.choice(actions))
            a, b = other.step(action), plain.step(labels.read(action))
            assert a[0].split("\nCommands: ")[0] == labels.show(b[0])
            assert a[1:] == b[1:]
            done = a[2]
        assert labels.read(str(other.answer())) == plain.answer()
    assert changed >= 11


def test_relabelling_is_a_bijection_that_reads_what_it_shows():
    for seed in range(20):
        labels = draw_relabelling(np.random.default_rng(seed))
        assert sorted(labels.directions) == list(DIRECTIONS)
        assert sorted(labels.rooms) == list(ROOM_NAMES)
        for text in (
            *DIRECTIONS,
            *ROOM_NAMES,
            "go east",
            "-= Laundry Place =- to the NORTH, Dish-Pit",
        ):
            assert labels.read(labels.show(text)) == text


def test_relabelling_leaves_other_words_alone():
    labels = Relabelling(("west", "north", "south", "east"), ROOM_NAMES[::-1])
    text = "The southern barn has a bathrobe; studying northwest of kitchenware."
    assert labels.show(text) == text


def test_every_room_of_the_shipped_games_can_be_renamed():
    env = make()
    for number in range(0, 256, 5):
        env.reset(options={"game": number})
        rooms = {i.name for i in env.game.logic().infos.values() if i.type == "r"}
        assert rooms <= set(ROOM_NAMES)


def test_opposites_stay_opposite_and_all_eight_turns_of_the_map_are_drawn():
    drawn = set()
    for seed in range(200):
        labels = draw_relabelling(np.random.default_rng(seed))
        image = dict(zip(DIRECTIONS, labels.directions, strict=True))
        assert all(image[BACK[name]] == BACK[image[name]] for name in DIRECTIONS)
        drawn.add(labels.directions)
    assert len(drawn) == 8
