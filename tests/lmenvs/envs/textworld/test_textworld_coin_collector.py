import os
import pickle
import re

import gymnasium
import numpy as np
import pytest

import lmenvs
from lmenvs.envs.textworld.coin_collector import TextWorldCoinCollector, distances, explore
from lmenvs.envs.textworld.play import PLAYER
from lmenvs.envs.textworld.relabel import (
    DIRECTIONS,
    ROOM_NAMES,
    Relabelling,
    draw_relabelling,
)
from lmenvs.testing import check_env

META = (
    "restart",
    "quit",
    "q",
    "save",
    "restore",
    "undo",
    "script",
    "transcript",
    "verify",
    "again",
)
META += ("g", "oops", "goal", "help", "print_state", "tw-trace-actions", "restrict commands", "y")
UNSAFE = ("\0", "look\0", "look\nlook", "\n", "look\n", "\ud800", "a" * 201, "\x1b", "\u2028")


def make(**kwargs) -> TextWorldCoinCollector:
    env = lmenvs.make("lmenvs/TextWorldCoinCollector-v0", **{"level": 104, "games": 256, **kwargs})
    assert isinstance(env, TextWorldCoinCollector)
    return env


def walk(env, generator, turns):
    """Random admissible play; [(action, everything step says)]."""
    told = []
    for _ in range(turns):
        action = str(generator.choice(env.admissible_actions() or ["look"]))
        told.append((action, env.step(action)))
        if told[-1][1][2]:
            break
    return told


def test_it_keeps_the_contract():
    check_env("lmenvs/TextWorldCoinCollector-v0?level=104&games=24&relabel=true")


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


@pytest.mark.parametrize("action", META)
def test_a_meta_verb_is_an_ordinary_invalid_action(action, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = make()
    env.reset(seed=0)
    key = env.state_key()
    text, reward, terminated, truncated, info = env.step(action)
    assert (info["valid"], info["error"]) == (False, "malformed")
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert env.state_key() == key and text
    first = env.step(env.expert_action())
    other = make()
    other.reset(seed=0)
    assert other.step(other.expert_action())[0] == first[0]
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("action", UNSAFE)
def test_text_the_engine_cannot_take_never_reaches_it(action):
    env = make()
    first, _ = env.reset(seed=0)
    misses = PLAYER.misses
    _, reward, _, _, info = env.step(action)
    assert (info["valid"], info["error"], reward) == (False, "unsafe", 0.0)
    assert PLAYER.misses == misses
    assert env.step("look")[0] in first  # the next answer is not one turn late


def test_invalid_texts_are_told_apart():
    env = make()
    env.reset(seed=0)
    for action, error in [
        ("", "malformed"),
        ("   ", "malformed"),
        ("dance", "malformed"),
        ("take", "malformed"),
        ("go", "inadmissible"),
        ("go east. go west", "malformed"),
        ("go nowhere", "inadmissible"),
        ("take coin", "inadmissible"),
        ("drop coin", "inadmissible"),
    ]:
        assert env.step(action)[4]["error"] == error, action


def test_a_question_of_the_interpreter_is_forgotten():
    env = make(turn_limit=20)
    env.reset(seed=0)
    assert env.step("take")[4]["error"] == "malformed"
    assert (
        env.step("coin")[4]["error"] == "malformed"
    )  # not the answer to "what do you want to take?"


def test_synonyms_are_valid():
    env = make(turn_limit=40)
    for seed in range(3):
        env.reset(seed=seed)
        while True:
            action = env.expert_action()
            short = action[3] if action.startswith("go ") else "get coin"
            _, _, done, _, info = env.step(short)
            assert info["valid"]
            if done:
                break
        assert info["success"]


def test_looking_is_valid_and_changes_nothing():
    env = make()
    env.reset(seed=1)
    key = env.state_key()
    for action in ("look", "l", "inventory", "i"):
        _, reward, done, _, info = env.step(action)
        assert info["valid"] and reward == 0.0 and not done and env.state_key() == key


def test_every_listed_action_is_valid_and_changes_the_state():
    env = make()
    for seed in range(10):
        env.reset(seed=seed)
        here = env.snapshot()
        actions = env.admissible_actions() or []
        assert actions == sorted(actions) and actions
        for action in actions:
            env.restore(here)
            key = env.state_key()
            assert env.step(action)[4]["valid"]
            assert env.state_key() != key


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


def test_a_room_has_one_state_key_however_it_was_reached():
    env = make(turn_limit=10_000)
    for seed in range(4):
        env.reset(seed=seed)
        keys = {env._state.room: env.state_key()}
        generator = np.random.default_rng(seed)
        while env.progress() < 1.0:
            env.step(str(generator.choice(env.admissible_actions() or ())))
            room = env._state.room + env._state.won * " with the coin"
            assert keys.setdefault(room, env.state_key()) == env.state_key()
        assert len(keys) == len(set(keys.values())) >= 5


def test_a_snapshot_returns_to_the_same_future_in_another_copy():
    env, other = make(relabel=True), make(relabel=True)
    for seed in range(6):
        generator = np.random.default_rng(seed)
        env.reset(seed=seed)
        walk(env, generator, 3)
        kept = pickle.dumps(env.snapshot())
        future = walk(env, np.random.default_rng(99), 9)
        for copy in (env, other):
            copy.restore(pickle.loads(kept))
            assert pickle.dumps(copy.snapshot()) == kept
            assert walk(copy, np.random.default_rng(99), 9) == future


def test_the_memory_of_answers_changes_nothing(empty_cache):
    env = make(admissible=True)
    told = []
    for forget in (True, False, True):
        if forget:
            PLAYER.forget()
        episodes = []
        for seed in range(6):
            text, _ = env.reset(seed=seed)
            episodes.append((text, walk(env, np.random.default_rng(seed), 12)))
        told.append(episodes)
    assert told[0] == told[1] == told[2]


def test_known_games_need_no_interpreter():
    env = make()
    misses = 0
    for _ in range(2):
        misses = PLAYER.misses
        for seed in range(4):
            env.reset(seed=seed)
            walk(env, np.random.default_rng(seed), 12)
    assert PLAYER.misses == misses


def test_the_last_environment_to_close_frees_the_interpreters():
    for user in list(PLAYER.users):
        PLAYER.leave(user)
    PLAYER.forget()
    one, two = make(), make()
    one.reset(seed=0)
    two.reset(seed=1)
    assert PLAYER._sessions
    one.close()
    assert PLAYER._sessions
    two.close()
    assert not PLAYER._sessions
    two.reset(seed=1)  # closing is not for ever
    assert two.step(two.expert_action())[4]["valid"]


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_vector_of_processes_plays_what_one_process_plays(context):
    make().reset(seed=0)  # a live interpreter in the parent must not be touched by a fork
    name = "lmenvs/TextWorldCoinCollector-v0"
    told = []
    for mode, vector_kwargs in (("async", {"context": context}), ("sync", {})):
        envs = gymnasium.make_vec(
            name, 2, vectorization_mode=mode, vector_kwargs=vector_kwargs, level=104, games=16
        )
        texts = [tuple(envs.reset(seed=5)[0])]
        for action in ("go east", "go north", "go west", "go south", "look", "é\0"):
            text, reward, *_ = envs.step((action, action))
            texts.append((tuple(text), tuple(reward)))
        envs.close()
        told.append(texts)
    assert told[0] == told[1]
