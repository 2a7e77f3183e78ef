import json
import sys
from pathlib import Path
from typing import Any

import pytest

import lmenvs
from lmenvs.envs.engines.alfworld import TASKS, read_command
from lmenvs.envs.engines.alfworld_example import example_games
from lmenvs.envs.engines.alfworld_world import name_things, read_sheet

WAY = [
    "go to cabinet 1",
    "open cabinet 1",
    "take cup 2 from cabinet 1",
    "go to sinkbasin 1",
    "clean cup 2 with sinkbasin 1",
    "go to cabinet 1",
    "move cup 2 to cabinet 1",
]
GAME = "train/pick_clean_then_place_in_recep-Cup-None-Cabinet-1/trial_1/game.tw-pddl"


@pytest.fixture
def planner():
    pytest.importorskip("fast_downward")


@pytest.fixture
def folder(tmp_path):
    """The example as a data folder in ALFWorld's layout, with trials that ALFWorld leaves out."""
    for name, sheet in example_games().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(sheet))
    broken = {**next(iter(example_games().values())), "solvable": False}
    for kind in ("pick_and_place_simple-Cup-None-Safe-7", "pick_two_obj_and_place-AppleSliced-7"):
        path = tmp_path / "train" / kind / "trial_1" / "game.tw-pddl"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(broken))
    return tmp_path


def make(data: Path | str = "example", **arguments: Any) -> Any:
    return lmenvs.make("lmenvs/ALFWorld-v0", data=str(data), **arguments)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("  Go to  CABINET 1. ", "go to cabinet 1"),
        ("look!", "look"),
        ("", ""),
        ("look\nlook", None),
        ("look\x00", None),
        ("x" * 100_000, None),
    ],
)
def test_a_command_is_one_short_line(text, command):
    assert read_command(text) == command


def test_things_have_alfworlds_names():
    ids = [
        "cabinet_bar__plus_01_dot_50_bar__minus_00_dot_35",
        "cabinet_bar__minus_01_dot_50_bar__plus_00_dot_35",
        "sink_bar__plus_00_dot_10_bar_sinkbasin",
        "loc_bar_3_bar_4",
        "cabinettype",
    ]
    assert name_things(ids) == {
        "cabinet_bar__minus_01_dot_50_bar__plus_00_dot_35": "cabinet 2",
        "cabinet_bar__plus_01_dot_50_bar__minus_00_dot_35": "cabinet 1",
        "cabinettype": "cabinettype",
        "loc_bar_3_bar_4": "loc 1",
        "sink_bar__plus_00_dot_10_bar_sinkbasin": "sinkbasin 1",
    }


def test_a_task_is_done_step_by_step(planner):
    env = make()
    text, _ = env.reset(seed=0, options={"game": GAME})
    assert text.startswith("You are in a room. Around you there is a cabinet 1, a counter 1")
    assert text.endswith("Your task is to: put a clean cup in a cabinet.")
    told = [env.step(command) for command in WAY]
    assert [(reward, done) for _, reward, done, *_ in told] == [(0.0, False)] * 6 + [(1.0, True)]
    assert told[2][0] == "You take the cup 2 out of the cabinet 1."
    assert told[-1][4]["success"] and env.progress() == 1.0 and env.admissible_actions() == []


def test_putting_it_there_unwashed_is_not_enough(planner):
    env = make()
    env.reset(seed=0, options={"game": GAME})
    for command in (*WAY[:3], WAY[-1]):
        _, reward, done, _, info = env.step(command)
        assert info["valid"] and (reward, done) == (0.0, False)
    assert 0.0 <= env.progress() < 1.0


def test_what_the_state_does_not_allow_changes_nothing(planner):
    env = make()
    env.reset(seed=0, options={"game": GAME})
    key = env.state_key()
    for text, error in [
        ("open cabinet 1", "inadmissible"),
        ("take the moon", "inadmissible"),
        ("dance", "malformed"),
        ("", "malformed"),
        ("look\nlook", "unsafe"),
    ]:
        observation, reward, _, _, info = env.step(text)
        assert (observation, reward, info["error"]) == ("Nothing happens.", 0.0, error)
    assert env.state_key() == key


def test_the_planner_solves_each_type_of_task_as_told_at_first(planner):
    env = make()
    for name in example_games():
        if not name.startswith("train/"):
            continue
        env.reset(seed=0, options={"game": name})
        plan, done, reward, played = str(env.answer()).split(", "), False, 0.0, []
        while not done:
            played.append(env.expert_action())
            _, reward, done, _, _ = env.step(played[-1])
        assert played == plan and reward == 1.0 and env.turn >= 3


def test_the_planner_finds_back_after_a_detour(planner):
    env = make()
    env.reset(seed=0, options={"game": GAME})
    for command in ("go to fridge 1", "open fridge 1", "take apple 1 from fridge 1"):
        assert env.step(command)[4]["valid"]
    done, reward = False, 0.0
    while not done:
        _, reward, done, _, _ = env.step(env.expert_action())
    assert reward == 1.0


def test_a_data_folder_is_read_as_alfworld_lays_it_out(planner, folder):
    env, example = make(folder), make()
    assert env.reset(seed=0, options={"game": GAME}) == example.reset(
        seed=0, options={"game": GAME}
    )
    assert [env.step(command)[:3] for command in WAY] == [
        example.step(command)[:3] for command in WAY
    ]
    names = set()
    for seed in range(40):
        env.reset(seed=seed)
        names.add(env.game.name)
    assert names <= set(example_games()), "a trial that is left out was drawn"
    assert len(names) > 10


def test_splits_and_tasks_choose_the_games(planner, folder):
    for split, parts in {
        "train": {"train"},
        "valid_seen": {"valid_seen"},
        "valid_unseen": {"valid_unseen"},
        "test": {"valid_seen", "valid_unseen"},
    }.items():
        env = make(folder, split=split, tasks=[6, "look_at_obj_in_light"])
        seen = set()
        for seed in range(12):
            env.reset(seed=seed)
            part, trial, *_ = env.game.name.split("/")
            seen.add((part, trial.split("-")[0]))
        assert {part for part, _ in seen} == parts
        assert {task for _, task in seen} == {TASKS[5], TASKS[1]}


def test_admissible_commands_can_be_shown(planner):
    env = make(admissible=True)
    text, _ = env.reset(seed=0, options={"game": GAME})
    assert text.split("\nCommands: ")[1].split(", ") == env.admissible_actions()
    assert "\nCommands: " in env.step("dance")[0]


def test_the_planner_leaves_the_programs_arguments_and_output_alone(planner, capfd):
    before = list(sys.argv)
    env = make()
    env.reset(seed=1)
    env.expert_action()
    assert sys.argv == before and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"grammar": ""}'])
def test_a_broken_game_file_is_one_line(content):
    with pytest.raises(ValueError, match=r"x\.tw-pddl: expected a game of ALFWorld") as caught:
        read_sheet(content, "x.tw-pddl")
    assert "\n" not in str(caught.value)


def test_missing_data_and_wrong_arguments_are_one_line(planner, tmp_path):
    import gymnasium

    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "alfworld-download"),
        ({"data": str(tmp_path)}, "there are none; pip install alfworld"),
        ({"data": 3}, "data=3; expected the path"),
        ({"data": "example", "split": "dev"}, "split='dev'"),
        ({"data": "example", "tasks": [7]}, "7 is no task type"),
        ({"data": "example", "tasks": [True]}, "True is no task type"),
        ({"data": "example", "tasks": 3.5}, "3.5 is no task type"),
        ({"data": "example", "tasks": []}, "nothing is no task type"),
        ({"data": "example", "admissible": "yes"}, "admissible='yes'"),
        ({"data": "example", "split": []}, "expected one of 'all', 'train'"),
        ({"data": "example", "turn_limit": 0}, "turn_limit=0"),
    ]
    for arguments, message in wrong:
        with pytest.raises(ValueError, match=message) as caught:
            gymnasium.make("lmenvs/ALFWorld-v0", **arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="of this environment's split"):
        make(split="train").reset(seed=0, options={"game": "elsewhere"})


def test_without_the_planner_one_line_says_what_to_install(monkeypatch):
    pytest.importorskip("textworld")
    monkeypatch.setitem(sys.modules, "fast_downward", None)
    with pytest.raises(ImportError, match=r"pip install 'lmenvs\[alfworld\]'") as caught:
        make()
    assert "\n" not in str(caught.value)
