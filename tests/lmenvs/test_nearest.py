from dataclasses import dataclass

from lmenvs.envs.nearest import ALIKE, nearest


@dataclass(frozen=True)
class Engine:
    prefix: tuple[str, ...]


START, EAST, WEST = Engine(()), Engine(("e", "e")), Engine(("w",) * 9)


def test_the_engine_that_is_there_or_least_far_behind_goes_on():
    assert nearest([START, EAST, WEST], ("e", "e"), worth=3, room=True) is EAST
    assert nearest([START, EAST, WEST], ("e", "e", "n"), worth=1, room=True) is EAST
    assert nearest([WEST, START, EAST], ("n",) * 9, worth=1, room=True) is START


def test_a_short_way_is_played_again_and_a_long_one_by_a_new_engine():
    assert nearest([WEST, EAST], ("n",) * 3, worth=3, room=True) is WEST
    assert nearest([WEST, EAST], ("n",) * 4, worth=3, room=True) is None
    assert nearest([], (), worth=3, room=True) is None


def test_without_room_the_one_that_rested_longest_is_put_back():
    assert nearest([WEST, EAST], ("n",) * 4, worth=3, room=False) is WEST
    assert nearest([WEST] * ALIKE, ("n",) * 4, worth=3, room=True) is WEST
    assert nearest([], ("n",) * 4, worth=3, room=False) is None
