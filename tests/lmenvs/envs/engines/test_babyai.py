from typing import Any

import pytest

import lmenvs

pytest.importorskip("minigrid")

from lmenvs.envs.engines.babyai_rules import (
    ACTIONS,
    begin_level,
    describe,
    levels,
    list_objects,
    make_level,
    parse_action,
)

LAYOUTS = ("GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal", "UnlockPickup", "GoToSeq")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("turn left", 0),
        (" Turn\tRIGHT ", 1),
        ("go forward", 2),
        ("pick up", 3),
        ("drop", 4),
        ("TOGGLE", 5),
        ("done", None),
        ("left", None),
        ("turn left.", None),
        ("", None),
        ("turn\x00left", None),
        ("pick up" + " " * 100_000, None),
    ],
)
def test_an_action_is_read_in_any_case_and_spacing(text, number):
    assert parse_action(text) == number


def test_the_view_is_told_in_steps_from_the_player():
    level = make_level("GoToLocal")
    image = begin_level(level, 5) * 0 + 1  # all seen, all empty
    assert describe(image, None) == "You see: nothing but floor.\nYou carry nothing."
    image[3, 2] = (2, 5, 0)  # a wall four steps ahead
    image[2, 6] = (2, 5, 0)  # one step to the left
    image[4, 4] = (5, 0, 0)  # a red key, two ahead and one to the right
    image[3, 5] = (4, 2, 2)  # a locked blue door right ahead
    assert describe(image, None).split("\n")[0] == (
        "You see: a wall 4 steps forward, a wall 1 step left, a locked blue door 1 step forward, "
        "a red key 2 steps forward and 1 step right."
    )


def test_words_and_grid_agree():
    env: Any = lmenvs.make("lmenvs/BabyAI-v0?level=PickupLoc")
    generator = __import__("numpy").random.default_rng(0)
    for seed in range(5):
        env.reset(seed=seed)
        for _ in range(20):
            observation, _, done, _, _ = env.step(ACTIONS[int(generator.integers(6))])
            grid, seen = env._engine.gen_obs_grid()
            told = sum(observation.count(kind) for kind in (" key ", " ball ", " box ", " door "))
            things = [
                grid.get(i, j)
                for i in range(7)
                for j in range(7)
                if seen[i, j] and (i, j) != (3, 6) and grid.get(i, j) is not None
            ]
            assert told == sum(thing.type != "wall" for thing in things)
            if done:
                break


@pytest.mark.parametrize("level", LAYOUTS)
def test_the_expert_solves_every_world(level):
    env = lmenvs.make("lmenvs/BabyAI-v0", level=level, turn_limit=400)
    for seed in range(5):
        env.reset(seed=seed)
        done, info, total = False, {}, 0.0
        while not done:
            _, reward, done, _, info = env.step(env.expert_action())
            total += reward
        assert info["success"] and total == 1.0 and env.progress() == 1.0


def test_a_timed_reward_falls_by_nine_tenths_over_the_limit():
    env = lmenvs.make("lmenvs/BabyAI-v0?reward=timed&turn_limit=20")
    env.reset(seed=0)
    for _ in range(6):
        env.step("drop")  # nothing in hand: only time passes
    done, reward, info = False, 0.0, {}
    while not done:
        _, reward, done, _, info = env.step(env.expert_action())
    assert info["success"] and reward == pytest.approx(1 - 0.9 * env.turn / 20)


def test_time_runs_out():
    env = lmenvs.make("lmenvs/BabyAI-v0?turn_limit=3")
    env.reset(seed=1)
    told = [env.step("turn left") for _ in range(3)]
    assert [done for _, _, done, _, _ in told] == [False, False, True]
    assert told[-1][4]["success"] is False and told[-1][3] is False


def test_half_a_sequence_is_half_the_progress():
    env = lmenvs.make("lmenvs/BabyAI-v0?level=GoToSeq&turn_limit=400")
    seen = set()
    for seed in range(4):
        env.reset(seed=seed)
        done = False
        while not done:
            _, _, done, _, _ = env.step(env.expert_action())
            seen.add(env.progress())
    assert {0.5, 1.0} <= seen


def test_the_expert_goes_on_from_a_snapshot_in_another_copy():
    env = lmenvs.make("lmenvs/BabyAI-v0?level=UnlockPickup")
    env.reset(seed=3)
    for _ in range(7):
        env.step(env.expert_action())
    other = lmenvs.make("lmenvs/BabyAI-v0?level=UnlockPickup")
    other.restore(env.snapshot())
    assert other.state_key() == env.state_key()
    for _ in range(5):
        action = env.expert_action()
        assert other.expert_action() == action
        assert env.step(action) == other.step(action)


def test_the_key_sees_what_is_inside_a_box_and_which_of_two_equal_things_is_carried():
    level = make_level("GoToLocal")
    begin_level(level, 0)
    assert len(list_objects(level)) == 8
    env = lmenvs.make("lmenvs/BabyAI-v0")
    keys = set()
    for seed in range(20):
        env.reset(seed=seed)
        keys.add(env.state_key())
    assert len(keys) == 20


def test_an_opened_box_leaves_the_expert_without_advice_and_nothing_breaks():
    env = lmenvs.make("lmenvs/BabyAI-v0?level=GoToLocal&turn_limit=400")
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        for turn in range(60):
            if "box 1 step forward," in observation or "box 1 step forward." in observation:
                observation, _, done, _, _ = env.step("toggle")
                if not done:
                    assert env.expert_action() in ACTIONS
                    return
            observation, _, done, _, _ = env.step(("go forward", "turn right")[turn % 3 == 2])
            if done:
                break
    pytest.fail("no box was met; choose other seeds")


def test_every_level_of_minigrid_can_begin():
    assert len(levels()) > 60
    for level in ("BossLevel", "KeyCorridorS3R1", "MoveTwoAcrossS5N2", "OneRoomS8"):
        env = lmenvs.make("lmenvs/BabyAI-v0", level=level)
        assert env.reset(seed=0)[0].startswith("Mission: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "GoToLocl"}, "such as 'GoToLocal'"),
        ({"level": 3}, "expected a BabyAI level"),
        ({"reward": "dense"}, "one of 'sparse', 'timed'"),
        ({"turn_limit": 0}, "turn_limit=0"),
        ({"split": "dev"}, "split='dev'"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        lmenvs.make("lmenvs/BabyAI-v0", **arguments)
    assert "\n" not in str(caught.value)
