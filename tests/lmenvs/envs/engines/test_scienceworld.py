import shutil
from typing import Any

import pytest

import lmenvs
from lmenvs.envs.engines.replay import REPLAYS, WORTH
from lmenvs.envs.engines.scienceworld import read_command
from lmenvs.envs.engines.scienceworld_machine import MACHINES, Machine

pytest.importorskip("scienceworld")
if shutil.which("java") is None:
    pytest.skip("needs Java", allow_module_level=True)

SHORT = "lmenvs/ScienceWorld-v0?task=find-animal"


@pytest.fixture(scope="module", autouse=True)
def stop_java():
    yield
    stop()


def stop():
    REPLAYS.forget()
    MACHINES.stop()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (" Look   AROUND ", "look around"),
        ("0", "0"),
        ("", ""),
        ("wait\nwait", None),
        ("wait\x00", None),
        ("\ud800", None),
        ("café", None),
        ("x" * 100_000, None),
    ],
)
def test_an_action_is_one_short_line(text, command):
    assert read_command(text) == command


def test_the_gold_path_earns_everything_and_each_point_is_a_difference_of_the_score():
    env = lmenvs.make(SHORT)
    text, _ = env.reset(seed=0)
    assert text.startswith("Your task is to find a(n) animal.")
    total, done, info = 0.0, False, {}
    while not done:
        before = env.progress()
        _, reward, done, truncated, info = env.step(env.expert_action())
        assert reward == pytest.approx(env.progress() - before) and not truncated
        total += reward
    assert total == pytest.approx(1.0) and info["success"] and env.progress() == 1.0


def test_focusing_on_the_wrong_thing_spoils_the_task():
    env = lmenvs.make(SHORT)
    env.reset(seed=0)
    _, reward, done, _, info = env.step("focus on air")
    assert (reward, done, info["success"], info["valid"]) == (-1.0, True, False, True)
    assert env.progress() == 0.0


def test_what_is_not_understood_takes_no_time():
    env = lmenvs.make(SHORT)
    env.reset(seed=0)
    key = env.state_key()
    for text, error in [("dance", "malformed"), ("7", "malformed"), ("a\nb", "unsafe")]:
        assert env.step(text)[4]["error"] == error
    assert env.state_key() == key
    assert env.step("look around")[4]["valid"] and env.state_key() == key
    assert env.step("wait1")[4]["valid"] and env.state_key() != key


def test_a_question_is_answered_by_its_number_or_taken_back():
    env = lmenvs.make(SHORT)
    env.reset(seed=0)
    assert env.step("teleport to kitchen")[4]["valid"]
    text, _, _, _, info = env.step("open door")
    assert text.startswith("Ambiguous request") and "or cancel" in text and info["valid"]
    choices = env.admissible_actions() or []
    assert choices[0] == "0" and choices[-1] == "cancel"
    asked = env.snapshot()
    assert env.step("look around")[4]["error"] == "inadmissible"
    assert env.snapshot().state == asked.state
    assert "already open" in env.step("0")[0]
    env.restore(asked)
    assert env.step("cancel")[0] == "Never mind."
    assert env.step("0")[4]["error"] == "malformed"


def test_splits_are_scienceworlds_own():
    seen = {}
    for split in ("train", "dev", "test"):
        env: Any = lmenvs.make(SHORT, split=split)
        seen[split] = set()
        for seed in range(30):
            env._game = env._draw_game(__import__("numpy").random.default_rng((seed, 0)), {})
            seen[split].add(env.game.variation)
    assert not seen["train"] & seen["dev"] and not seen["train"] & seen["test"]
    assert max(seen["train"]) < 150 <= min(seen["dev"]) <= max(seen["dev"]) < 225
    assert 225 <= min(seen["test"]) <= max(seen["test"]) < 300


def test_the_engine_can_be_stopped_in_the_middle_of_an_episode():
    env = lmenvs.make(SHORT)
    env.reset(seed=2)
    for _ in range(4):
        env.step(env.expert_action())
    snapshot = env.snapshot()
    way = ["look around", "wait1", "look around", "inventory"]
    told = [env.step(action) for action in way]
    stop()  # the next Java process plays the commands again
    other = lmenvs.make(SHORT)
    other.restore(snapshot)
    assert [other.step(action) for action in way] == told


def test_members_of_a_group_are_told_what_each_would_be_told_alone():
    first: Any = lmenvs.make(SHORT)
    second = lmenvs.make(SHORT)
    ways = [
        [f"teleport to {room}", *["wait1"] * WORTH, "inventory"]
        for room in ("kitchen", "greenhouse")
    ]

    def play(env, action):
        told = env.step(action)
        return told, env.admissible_actions(), env.progress()

    first.reset(seed=4)
    second.reset(seed=4)
    together = [(play(first, one), play(second, other)) for one, other in zip(*ways, strict=True)]
    assert len([key for key, _ in REPLAYS._worlds if key == first.game.key]) == 2
    stop()
    for number, (env, way) in enumerate(zip((first, second), ways, strict=True)):
        env.reset(seed=4)
        assert [play(env, action) for action in way] == [both[number] for both in together]


def test_what_lies_behind_a_closed_door_is_not_listed():
    env: Any = lmenvs.make("lmenvs/ScienceWorld-v0?task=boil")
    env.reset(seed=0, options={"variation": 25})  # in the greenhouse, with a closed bee hive
    listed = env.admissible_actions()
    assert "open bee hive" in listed and not any("bee 2" in action for action in listed)
    env.reset(options={"variation": 0})
    assert {"put down orange", "teleport to kitchen"} <= set(env.admissible_actions())


def test_a_variation_can_be_pinned():
    env: Any = lmenvs.make(SHORT)
    env.reset(seed=0, options={"variation": 7})
    assert env.game.variation == 7
    with pytest.raises(ValueError, match="options"):
        env.reset(options={"variation": 999})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "fly"}, "task='fly'; expected 'all' or names of boil"),
        ({"task": []}, "expected 'all'"),
        ({"task": 3}, "expected 'all'"),
        ({"simplifications": None}, "simplifications=None"),
        ({"split": "valid"}, "split='valid'"),
        ({"simplifications": "easy,openDoors"}, "simplifications="),
        (
            {"task": "test-conductivity", "simplifications": "noElectricalAction"},
            "without a solution",
        ),
        ({"turn_limit": 0}, "turn_limit=0"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        lmenvs.make("lmenvs/ScienceWorld-v0", **arguments)
    assert "\n" not in str(caught.value)


def test_a_java_that_does_not_start_is_told_in_one_line(monkeypatch, tmp_path):
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\necho Unable to locate a Java Runtime >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(ImportError, match="does not start; install OpenJDK") as caught:
        Machine()
    assert "\n" not in str(caught.value)


def test_without_java_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImportError, match="needs Java") as caught:
        lmenvs.make("lmenvs/ScienceWorld-v0")
    assert "\n" not in str(caught.value)
