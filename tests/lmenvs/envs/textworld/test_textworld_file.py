import json

import pytest

import lmenvs
from lmenvs import NoExactModel
from lmenvs.envs.textworld.file import TextWorldFile
from lmenvs.envs.textworld.games import Recipe, compile_source, find_game, source_of

EXAMPLE = Recipe("coin_collector", (("quest_length", 4), ("nb_rooms", 8)), 0)


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
    with pytest.raises(NoExactModel, match="json"):
        other.start_states()
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


def test_a_json_alone_is_compiled(feast_path, empty_cache):
    with_story = make_file(feast_path)
    told = [with_story.reset(seed=0)[0], *(with_story.step("take spoon")[:2])]
    feast_path.unlink()
    alone = make_file(feast_path.with_suffix(".json"))
    assert not empty_cache.exists()  # nothing is compiled before the first reset
    assert [alone.reset(seed=0)[0], *(alone.step("take spoon")[:2])] == told
    with pytest.raises(FileNotFoundError, match="expected a .z8 story"):
        make_file(feast_path)


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


def test_the_example_is_a_game_of_the_package():
    env = make_file("example", turn_limit=12)
    env.reset(seed=0)
    done, info = False, {}
    while not done:
        *_, done, _, info = env.step(env.expert_action())
    assert info["success"] and env.game.key == find_game(EXAMPLE).key
