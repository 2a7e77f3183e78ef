"""Cells of language models that learn, in miniature (torch)."""

import json
import runpy
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch

from algorithms.bench import learning
from algorithms.bench.learning import Cell, Task
from algorithms.commands.training import ALGORITHMS
from tests.support.training import metrics

TINY = Task(
    env="lmenvs/Microwave-v0",
    held_out="lmenvs/Microwave-v0",
    demonstrator="random",
    demonstrations=24,
    epochs=2,
    hidden=16,
    turn_budget=150,
    max_turns=4,
    evaluations=4,
)
GRPO, RLOO = Cell("tiny", "grpo", 0), Cell("tiny", "rloo", 0)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(learning, "TASKS", {"tiny": TINY})
    monkeypatch.setattr(learning, "EPISODES", 16)


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    """A folder with the cloned model of the tiny task."""
    folder = tmp_path_factory.mktemp("learning")
    learning.start(TINY, 0, folder / "starts" / "tiny-0")
    return folder


def test_a_cell_trains_to_its_budget_and_says_what_it_spent(starts):
    found = learning.run_cell(GRPO, TINY, starts)
    rows = metrics(starts / "tiny-grpo-0")
    turns = [row["rollout/environment_turns"] for row in rows]
    assert found["turns"] == sum(turns) >= TINY.turn_budget > sum(turns[:-1])
    assert found["iterations"] == len(rows) == len(found["training_returns"])
    assert found["episodes"] == TINY.evaluations
    assert found["config"]["turn_budget"] == TINY.turn_budget
    assert 0.0 <= found["success"]["low"] <= found["success"]["mean"] <= 1.0


def test_a_cell_that_the_file_has_is_not_run_again_and_its_start_is_scored_once(
    starts, tmp_path, monkeypatch
):
    ran, scored = list[str](), list[str]()

    def counted(cell, task, folder):
        ran.append(cell.name)
        return {"turns": 1}

    def scores(model, task):
        scored.append(model.name)
        return {"success": {"mean": 0.5}}

    monkeypatch.setattr(learning, "run_cell", counted)
    monkeypatch.setattr(learning, "score", scores)
    file = tmp_path / "deep" / "result.json"
    learning.measure(starts, file, [GRPO], "command")
    learning.measure(starts, file, [GRPO, RLOO], "command")
    assert ran == ["tiny / grpo / 0", "tiny / rloo / 0"] and scored == ["tiny-0"]
    record = json.loads(file.read_text())
    assert list(record["cells"]) == ran and list(record["starts"]) == ["tiny / 0"]
    assert record["tasks"] == {"tiny": asdict(TINY)} and record["command"] == "command"
    written = file.stat().st_mtime_ns
    learning.measure(starts, file, [GRPO, RLOO], "command")
    assert file.stat().st_mtime_ns == written


def test_what_another_process_wrote_while_a_cell_ran_stays(starts, tmp_path, monkeypatch):
    file = tmp_path / "result.json"
    other = Cell("tiny", "tempo", 0)

    def run(cell, task, folder):
        return {"turns": 1}

    def score(model, task):  # the last that takes time before the file is written
        if cells:
            learning.measure(starts, file, [cells.pop()], "command")
        return {"success": {"mean": 0.5}}

    cells = [other]
    monkeypatch.setattr(learning, "run_cell", run)
    monkeypatch.setattr(learning, "score", score)
    learning.measure(starts, file, [GRPO], "command")
    assert json.loads(file.read_text())["cells"].keys() == {GRPO.name, other.name}


def test_cells_of_another_task_are_not_mixed_with_todays(starts, tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "run_cell", lambda cell, task, folder: {"turns": 1})
    monkeypatch.setattr(learning, "score", lambda model, task: {})
    file = tmp_path / "result.json"
    learning.measure(starts, file, [GRPO], "command")
    monkeypatch.setattr(learning, "TASKS", {"tiny": replace(TINY, turn_budget=151)})
    with pytest.raises(ValueError, match="same tasks, got another tiny; move it away"):
        learning.measure(starts, file, [RLOO], "command")


def test_a_stopped_cell_goes_on_and_equals_the_uninterrupted_one(starts, tmp_path, monkeypatch):
    (tmp_path / "starts").symlink_to(starts / "starts")
    whole = learning.run_cell(RLOO, TINY, starts)
    assert whole["iterations"] > 1
    real, asked = learning.support.Run.log, list[object]()

    def stopping(self, *args, **kwargs):
        asked.append(args)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    with monkeypatch.context() as stopped:
        stopped.setattr(learning.support.Run, "log", stopping)
        with pytest.raises(KeyboardInterrupt):
            learning.run_cell(RLOO, TINY, tmp_path)
    kept = metrics(tmp_path / "tiny-rloo-0")
    assert len(kept) == 1
    again = learning.run_cell(RLOO, TINY, tmp_path)
    assert metrics(tmp_path / "tiny-rloo-0")[0] == kept[0], "the first iteration was not run again"
    clock = {"seconds": 0.0}
    assert {**again, **clock} == {**whole, **clock}


def test_every_method_is_an_algorithm_and_at_least_ten_are_measured():
    names = {learning.algorithm_of(method) for method in learning.METHODS}
    assert names <= ALGORITHMS.keys()
    assert len(names) >= 10
    assert {*learning.FORKING, *learning.UNCLIPPED} <= names


@pytest.mark.parametrize("method", learning.METHODS)
def test_the_settings_of_a_method_are_the_shared_ones_and_its_own_defaults(method):
    config = learning.settings(method, TINY, 7)
    known = {field.name for field in fields(config)}
    wanted = {**learning.SHARED, "seed": 7, "turn_budget": TINY.turn_budget, "max_turns": 4}
    wanted["objective"] = learning.OBJECTIVE
    if method == learning.AS_PUBLISHED:
        wanted["objective"] = learning.Objective()
    if method in learning.UNCLIPPED:
        wanted["epochs"] = 1
    wanted |= learning.FORKING.get(method, {})
    if "groups" in known:
        wanted |= {"groups": 2, "group_size": 8}
    elif "episodes" in known:
        wanted["episodes"] = 16
    assert {"seed", "turn_budget", "max_turns", "objective", "learning_rate"} <= known
    for name in known & wanted.keys():
        assert getattr(config, name) == wanted[name], name
    plain = type(config)()
    for name in known - wanted.keys() - {"iterations"}:
        assert getattr(config, name) == getattr(plain, name), name


def test_the_cells_are_every_method_on_every_task_seed_after_seed():
    cells = list(learning.cells())
    assert len(set(cells)) == len(cells) == len(learning.METHODS) * len(learning.SEEDS)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert list(learning.cells(["grpo"], [1])) == [Cell("tiny", "grpo", 1)]


@pytest.mark.slow
def test_the_command_in_miniature_trains_one_cell(monkeypatch, capsys):
    monkeypatch.undo()  # the command has tasks of its own
    file = Path(__file__).parents[3] / "examples" / "benchmarks" / "language_model_learning.py"
    monkeypatch.setattr(sys, "argv", [str(file), "--smoke"])
    threads = torch.get_num_threads()
    runpy.run_path(str(file), run_name="__main__")
    torch.set_num_threads(threads)
    assert "grpo in the maze, " in capsys.readouterr().out
