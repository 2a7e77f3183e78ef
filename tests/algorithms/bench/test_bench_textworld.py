from typing import Any

from algorithms.bench import textworld


def test_each_game_is_timed_in_both_packages_on_the_same_commands(monkeypatch):
    monkeypatch.setattr(textworld, "GAMES", textworld.GAMES[:1])
    rows = {row["what"].partition(": ")[2]: row for row in textworld.measure(6, seed=0)}
    first, again = rows["lmenvs, first time"], rows["lmenvs, again"]
    theirs = rows["textworld.gym .z8"]
    assert {first["unit"], again["unit"], theirs["unit"]} == {"turns/s"}
    assert rows["textworld.gym .json, no text"]["value"] > 10
    ratio = rows["lmenvs, first time / textworld.gym .z8"]
    assert ratio["value"] == first["value"] / theirs["value"] and ratio["unit"] == "times"
    assert again["value"] > first["value"]  # an answer from memory costs no interpreter


def test_every_turn_of_the_first_time_asks_the_interpreter():
    from lmenvs.envs.textworld.play import PLAYER
    from lmenvs.registration import make

    env: Any = make(textworld.GAMES[0][1], turn_limit=textworld.LONG)
    walks = [["go east", "go west"] * 5]
    asked = []
    for forget in (True, False, False):
        before = PLAYER.misses
        textworld._ours_once(env, walks, planned=False, forget=forget)
        asked.append(PLAYER.misses - before)
    assert asked[0] == 10 and asked[2] == 0


def test_walks_are_repeatable_and_do_not_end_the_game():
    from lmenvs.registration import make

    env: Any = make(textworld.GAMES[0][1], turn_limit=textworld.LONG)
    walks = textworld._draw(env, 30, seed=1)
    assert walks == textworld._draw(env, 30, seed=1)
    assert [len(walk) for walk in walks] == [30] * 4
    for walk in walks:
        env.reset(seed=1)
        assert not any(env.step(action)[2] for action in walk)
