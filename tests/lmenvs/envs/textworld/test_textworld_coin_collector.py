import re

import numpy as np
import pytest

from lmenvs.envs.textworld.coin_collector import distances, explore
from tests.lmenvs.envs.textworld.playing import make, walk


def test_the_expert_always_finds_the_coin_in_time():
    env = make()
    for seed in range(64):
        env.reset(seed=seed)
        done, info, reward = False, {}, 0.0
        while not done:
            assert reward == 0.0
            _, reward, done, _, info = env.step(env.expert_action())
        assert info["success"] and reward == 1.0 and env.progress() == 1.0


def test_the_expert_explores_from_where_others_left_the_player():
    env = make()
    for seed in range(20):
        generator = np.random.default_rng(seed)
        env.reset(seed=seed)
        env.turn_limit = 60
        done = bool([told for told in walk(env, generator, 6) if told[1][2]])
        while not done:
            *_, done, _, _ = env.step(env.expert_action())
        assert env.progress() == 1.0


def test_the_expert_sees_no_more_than_the_player():
    # the same exits seen so far give the same step, whatever the house behind them
    assert explore([["east", "north"], ["west"]], ["go east"]) == "west"
    assert (
        explore([["east", "north"], ["west"], ["east", "north"]], ["go east", "go west"]) == "north"
    )
    assert explore([["north"], ["south"]], ["go north"]) is None


def test_the_turn_limit_is_a_rule():
    assert [make(level=level).turn_limit for level in (1, 5, 104, 204)] == [3, 15, 12, 20]
    env = make()
    env.reset(seed=0)
    ends = [env.step("look")[2:4] for _ in range(12)]
    assert ends == [(False, False)] * 11 + [(True, False)]


def test_the_goal_does_not_tell_the_way_and_the_full_objective_does():
    for seed in range(20):
        goal, full, none = (make(objective=name) for name in ("goal", "full", "none"))
        texts = [env.reset(seed=seed)[0] for env in (goal, full, none)]
        room = texts[2]
        assert texts[0] == "Goal: find the coin and take it.\n\n" + room
        assert texts[1].endswith("\n\n" + room) and "coin" in texts[1].removesuffix(room)
        assert room.startswith("-= ") and "coin" not in room
        direction = str(full.answer()).split(",")[0].removeprefix("go ")
        assert direction in texts[1].removesuffix(room)


def test_text_has_no_trace_of_the_interpreter():
    env = make()
    for seed in range(12):
        text, _ = env.reset(seed=seed)
        texts = [text] + [told[0] for _, told in walk(env, np.random.default_rng(seed), 12)]
        for text in texts:
            assert text == text.strip() and "   " not in text and "\n\n\n" not in text
            assert not re.search(r"[$\[\]<>|]|RESTART|\d+/\d+|scored", text)


def test_a_short_description_is_the_title_and_the_commands():
    env = make(description="name", admissible=True)
    text, _ = env.reset(seed=0)
    goal, empty, title, commands = text.split("\n")
    assert goal.startswith("Goal") and not empty
    assert re.fullmatch(r"-= [A-Z][\w -]+ =-", title)
    assert commands == "Commands: " + ", ".join(env.admissible_actions() or ())
    lengths = []
    for seed in range(20):
        env.reset(seed=seed)
        told = walk(env, np.random.default_rng(seed), 12)
        lengths += [len(text.split()) for _, (text, *_) in told]
    assert max(lengths) <= 25
    assert 8 <= np.mean(lengths) <= 16


def test_dense_rewards_are_the_signs_of_progress():
    env = make(reward="dense")
    for seed in range(10):
        env.reset(seed=seed)
        needed = distances(env.game.logic())
        generator = np.random.default_rng(seed)
        done = False
        while not done:
            before = needed[env._state.room]
            _, reward, done, _, info = env.step(
                str(generator.choice(env.admissible_actions() or ()))
            )
            won = bool(info.get("success"))
            assert reward == np.sign(before - (0 if won else needed[env._state.room]))


def test_progress_is_the_distance_covered():
    env = make()
    for seed in range(5):
        env.reset(seed=seed)
        needed = distances(env.game.logic())
        steps = str(env.answer()).split(", ")
        assert needed[env._state.room] == len(steps) == 4
        told = [env.progress()]
        for step in steps:
            env.step(step)
            told.append(env.progress())
        assert told == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_train_and_test_games_never_meet_and_are_drawn_again():
    drawn = {}
    for split in ("train", "test"):
        env, again = make(split=split), make(split=split)
        numbers = []
        for seed in range(200):
            env.reset(seed=seed)
            again.reset(seed=seed)
            assert env.game_number == again.game_number and env.game.split == split
            numbers.append(env.game.task)
        drawn[split] = set(numbers)
    assert len(drawn["train"]) > 60 and len(drawn["test"]) > 60
    assert not drawn["train"] & drawn["test"]


def test_a_pool_is_a_range_of_numbers():
    env = make(games=3, first_game=40)
    numbers = set()
    for seed in range(40):
        env.reset(seed=seed)
        numbers.add(env.game_number)
    assert numbers == {40, 41, 42}
    env.reset(options={"game": 7})
    assert env.game_number == 7


def test_a_pinned_game_of_the_other_split_is_refused():
    env = make(split="train")
    plain = make()
    for number in range(6):
        plain.reset(options={"game": number})
        if plain.game.split == "train":
            env.reset(options={"game": number})
        else:
            with pytest.raises(ValueError, match="belongs to split 'test'"):
                env.reset(options={"game": number})


def test_a_pool_without_a_game_of_the_split_is_told():
    plain = make()
    plain.reset(options={"game": 0})
    other = "train" if plain.game.split == "test" else "test"
    with pytest.raises(ValueError, match="widen the pool"):
        make(games=1, split=other).reset(seed=0)


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"level": 0}, "level=0"),
        ({"level": 301}, "level=301"),
        ({"level": 200}, "100"),
        ({"level": "5"}, "level='5'"),
        ({"games": 0}, "games=0"),
        ({"first_game": -1}, "first_game=-1"),
        ({"turn_limit": 0}, "turn_limit=0"),
        ({"split": "dev"}, "split='dev'"),
        ({"reward": "big"}, "reward='big'"),
        ({"objective": "all"}, "objective='all'"),
        ({"description": "long"}, "description='long'"),
    ],
)
def test_a_bad_argument_is_one_line(kwargs, named):
    with pytest.raises(ValueError, match=named) as raised:
        make(**kwargs)
    assert "\n" not in str(raised.value)
