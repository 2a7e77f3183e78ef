"""Quests on few pinned games: each costs half a second to compile when the cache is empty."""

import json
import shutil

import numpy as np
import pytest

import lmenvs
from lmenvs.envs.textworld.file import TextWorldFile
from lmenvs.envs.textworld.games import Recipe, compile_source, find_game, source_of
from lmenvs.envs.textworld.play import PLAYER
from lmenvs.envs.textworld.quest import TextWorldQuest, goal_phrases
from lmenvs.envs.textworld.session import Session
from lmenvs.testing import check_env

POOL = "lmenvs/TextWorldQuest-v0?games=8"
EXAMPLE = Recipe("coin_collector", (("quest_length", 4), ("nb_rooms", 8)), 0)


def make(**kwargs) -> TextWorldQuest:
    env = lmenvs.make(POOL, **kwargs)
    assert isinstance(env, TextWorldQuest)
    return env


def random_play(env, generator, turns, listed=True):
    """Random commands, some of them not allowed; [(action, everything step says)]."""
    told = []
    for _ in range(turns):
        actions = env.admissible_actions() or ["look"]
        action = str(generator.choice(actions)) if generator.random() < 0.9 else "open everything"
        told.append((action, env.step(action)))
        if told[-1][1][2]:
            break
    return told


def test_it_keeps_the_contract():
    check_env(POOL)


def test_the_plan_of_the_game_wins_in_half_the_turns():
    env = make()
    for number in range(4):
        env.reset(options={"game": number})
        for turn in range(4):
            progress = env.progress()
            assert progress == turn / 4
            _, reward, done, _, info = env.step(env.expert_action())
            assert reward == (1.0 if turn == 3 else 0.0) and done == (turn == 3)
            assert info.get("success") == (True if turn == 3 else None)
        assert env.progress() == 1.0 and env.turn_limit == 8


def test_the_goal_keeps_the_steps_to_itself():
    for number in range(4):
        goal, full = make(), make(objective="full")
        text, room = goal.reset(options={"game": number})[0].split("\n\n", 1)
        told = full.reset(options={"game": number})[0]
        assert told.endswith("\n\n" + room)
        assert text.startswith("Goal: ") and text.endswith(".") and "\n" not in text
        steps = str(goal.answer()).split(", ")
        for step in steps[:-1]:
            assert step not in text.lower()
        assert len(told.removesuffix(room)) > 2 * len(text)
        assert make(objective="none").reset(options={"game": number})[0] == room


def test_dense_rewards_sum_to_the_length_of_the_plan_on_it():
    env = make(reward="dense")
    env.reset(options={"game": 1})
    rewards = []
    done = False
    while not done:
        _, reward, done, _, _ = env.step(env.expert_action())
        rewards.append(reward)
    assert rewards == [1.0] * 4


def test_undoing_a_step_costs_what_the_step_gave():
    env = make(reward="dense", turn_limit=30)
    undo = {"north": "south", "south": "north", "east": "west", "west": "east"}
    tried = 0
    for number in range(8):
        env.reset(options={"game": number})
        first = str(env.answer()).split(", ")[0]
        if first.startswith("go "):
            actions = (first, f"go {undo[first[3:]]}", "look", first)
            assert [env.step(action)[1] for action in actions] == [1.0, -1.0, 0.0, 1.0]
            tried += 1
    assert tried >= 2


def test_equal_state_keys_have_equal_futures():
    # the reference is the interpreter itself, brought there by the whole history of each walk
    env = make(turn_limit=10_000)
    for number in range(3):
        game = find_game(Recipe("quest", env._parameters, number))
        futures: dict[tuple[str, str], tuple[object, ...]] = {}
        met = 0
        for seed in range(4):
            generator = np.random.default_rng((number, seed))
            session = Session(game)
            for _ in range(40):
                if session.state.over:
                    break
                key = session.state.key
                command = str(generator.choice(session.state.commands or ()))
                answer = session.run(command)
                after = answer.state
                future = (answer.text, answer.valid, answer.progress_sign, after)
                met += (key, command) in futures
                assert futures.setdefault((key, command), future) == future
        assert met > 20


def test_things_put_down_in_another_order_are_another_state():
    session = Session(find_game(Recipe("quest", make()._parameters, 0)))
    seen = {}
    generator = np.random.default_rng(0)
    for _ in range(300):
        if session.state.over:
            session.begin()
        answer = session.run(str(generator.choice(session.state.commands or ())))
        look = session.run("look").text, session.run("inventory").text
        assert seen.setdefault(answer.state.key, look) == look


def test_a_snapshot_of_a_quest_returns_to_the_same_future():
    env, other = make(turn_limit=30), make(turn_limit=30)
    for number in range(3):
        env.reset(options={"game": number}, seed=number)
        random_play(env, np.random.default_rng(1), 5)
        snapshot = env.snapshot()
        future = random_play(env, np.random.default_rng(2), 12)
        PLAYER.forget()  # the other copy replays on the interpreter
        other.restore(snapshot)
        assert other.snapshot() == snapshot
        assert random_play(other, np.random.default_rng(2), 12) == future


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [({"rooms": 0}, "rooms=0"), ({"objects": 31}, "objects=31"), ({"quest_length": 2.0}, "2.0")],
)
def test_a_bad_argument_is_one_line(kwargs, named):
    with pytest.raises(ValueError, match=named):
        make(**kwargs)


# ---- files -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def feast():
    """A game with two quests and a way to lose: (logic, story)."""
    from lmenvs.envs.textworld.engine import textworld
    from lmenvs.envs.textworld.games import rules_of

    package = textworld()
    from textworld.generator.game import Event, GameOptions, Quest

    options = GameOptions()
    options.seeds = 1
    options.kb = rules_of("quest")
    maker = package.GameMaker(options)
    room = maker.new_room("kitchen")
    maker.set_player(room)
    apple, spoon = maker.new("f", name="apple"), maker.new("o", name="spoon")
    apple.add_property("edible")
    room.add(spoon)
    maker.inventory.add(apple)
    fact = maker.new_fact
    maker.quests = [
        Quest(win_events=[Event(conditions={fact("in", spoon, maker.inventory)})], reward=2),
        Quest(
            win_events=[Event(conditions={fact("at", apple, room)})],
            fail_events=[Event(conditions={fact("eaten", apple)})],
            reward=3,
        ),
    ]
    logic = maker.build()
    return logic, compile_source(source_of(logic))


@pytest.fixture
def feast_path(feast, tmp_path):
    logic, rom = feast
    (tmp_path / "feast.z8").write_bytes(rom)
    logic.save(str(tmp_path / "feast.json"))
    return tmp_path / "feast.z8"


def make_file(path, **kwargs) -> TextWorldFile:
    env = lmenvs.make("lmenvs/TextWorldFile-v0", path=str(path), **kwargs)
    assert isinstance(env, TextWorldFile)
    return env


def test_the_reward_of_a_turn_is_the_difference_of_the_score(feast_path):
    env = make_file(feast_path)
    text, _ = env.reset(seed=0)
    assert text.startswith(
        "Goal: get the spoon and leave the apple in the kitchen.\n\n-= Kitchen =-"
    )
    told = [env.step(action) for action in ("take spoon", "drop spoon", "take spoon", "drop apple")]
    assert [(reward, done) for _, reward, done, *_ in told] == [
        (2.0, False),
        (0.0, False),
        (0.0, False),
        (3.0, True),
    ]
    assert told[-1][4]["success"] and env.progress() == 1.0


def test_a_lost_game_is_terminated_without_success(feast_path):
    env = make_file(feast_path, reward="dense")
    env.reset(seed=0)
    assert env.step("take spoon")[1] == 0.0  # no plan leads there: this game was written as facts
    text, reward, done, truncated, info = env.step("eat apple")
    assert (reward, done, truncated, info["success"], info["valid"]) == (
        -1.0,
        True,
        False,
        False,
        True,
    )
    assert "You lost" in text and env.progress() < 1.0


def test_a_story_without_its_json_can_be_played(feast_path):
    feast_path.with_suffix(".json").unlink()
    env = make_file(feast_path)
    text, _ = env.reset(seed=0)
    assert text.startswith("Goal: score all the points.\n\n-= Kitchen =-")
    assert env.admissible_actions() is None and env.answer() is None
    for action, valid in [("restart", False), ("goal", False), ("dance", False), ("quit", False)]:
        assert env.step(action)[4]["valid"] == valid
    snapshot = env.snapshot()
    assert [env.step(action)[1] for action in ("take spoon", "look", "drop apple")] == [
        2.0,
        0.0,
        3.0,
    ]
    assert env.progress() == 1.0
    other = make_file(feast_path)
    other.restore(snapshot)
    assert other.step("take spoon")[1] == 2.0
    with pytest.raises(ValueError, match="json"):
        other.expert_action()
    with pytest.raises(ValueError, match="dense"):
        make_file(feast_path, reward="dense")


def test_a_question_of_the_interpreter_is_forgotten(tmp_path):
    (tmp_path / "house.z8").write_bytes(find_game(EXAMPLE).rom())
    env = make_file(tmp_path / "house.z8")
    env.reset(seed=0)
    for _ in range(2):
        assert "What do you want" in env.step("take")[0]
        # as an answer to the question it would be a thing that is not here
        text, _, _, _, info = env.step("coin")
        assert (text, info["error"]) == ("That's not a verb I recognise.", "malformed")


def test_the_json_names_the_game_as_well(feast_path):
    first = make_file(feast_path.with_suffix(".json")).reset(seed=0)[0]
    assert first == make_file(feast_path).reset(seed=0)[0]


def test_a_file_that_is_no_game_is_told_in_one_line(tmp_path, feast):
    _, rom = feast
    (tmp_path / "text.z8").write_text("no story")
    (tmp_path / "half.z8").write_bytes(rom[: len(rom) // 2])
    (tmp_path / "bad.z8").write_bytes(rom[:5000] + b"\0\1\2" + rom[5003:])
    (tmp_path / "game.ulx").write_bytes(b"Glul")
    (tmp_path / "odd.z8").write_bytes(rom)
    (tmp_path / "odd.json").write_text("{")
    (tmp_path / "other.z8").write_bytes(rom)
    (tmp_path / "other.json").write_text(json.dumps({"world": []}))
    for name in ("text.z8", "half.z8", "bad.z8", "game.ulx", "odd.z8", "other.z8"):
        with pytest.raises(ValueError, match=name.split(".")[0]) as raised:
            make_file(tmp_path / name)
        assert "\n" not in str(raised.value)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make_file(tmp_path / "nowhere.z8")
    shutil.rmtree(tmp_path)


def test_the_example_is_a_game_of_the_package():
    env = make_file("example", turn_limit=12)
    env.reset(seed=0)
    done, info = False, {}
    while not done:
        *_, done, _, info = env.step(env.expert_action())
    assert info["success"] and env.game.key == find_game(EXAMPLE).key


def test_every_kind_of_goal_has_its_words():
    env = make()
    told = set()
    for number in range(8):
        (phrase,) = goal_phrases(find_game(Recipe("quest", env._parameters, number)).logic())
        told.add(phrase.split()[0])
    assert told <= {"get", "put", "leave", "open", "close", "lock", "unlock", "eat"}
    assert len(told) >= 4
