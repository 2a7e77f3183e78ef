"""LMRL-Gym's comparison in miniature (torch)."""

import importlib
import json
from pathlib import Path

import pytest
from pytest import approx

from algorithms.bench.lmrl import methods, run, tasks
from algorithms.bench.lmrl.run import Cell
from algorithms.bench.lmrl.tasks import TITLES, Task
from algorithms.datasets.file import EpisodeFile
from algorithms.tables.lmrl import FILE, lmrl
from lmenvs.references import references

TINY = Task(
    env="lmenvs/Maze-v0?layout=u",
    held_out="lmenvs/Maze-v0?layout=u",
    player="expert",
    episodes=20,
    evaluations=8,
    theirs="lmenvs/Maze-v0",
    hidden=16,
    layers=1,
    context=1024,
    epochs=1,
    longest_action=4,
    iterations=1,
    turn_budget=20,
    max_turns=4,
    collected=6,
)
TITLE = "maze, full view"


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "tasks", lambda: {TITLE: TINY})
    monkeypatch.setattr(methods, "STEPS", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lmrl")


def test_every_title_is_a_task_and_wordle_needs_its_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv(tasks.WORDS, raising=False)
    without = tasks.tasks()
    words = tmp_path / "words.txt"
    words.write_text("crane\nslate\ntrace\n")
    monkeypatch.setenv(tasks.WORDS, str(words))
    assert tuple(tasks.tasks()) == TITLES
    assert [title for title in TITLES if title not in without] == ["wordle, their 431 words"]
    told = run.described(tasks.tasks())["wordle, their 431 words"]
    assert str(tmp_path) not in str(told) and "words=sha256:" in told["env"]
    monkeypatch.setenv(tasks.WORDS, str(tmp_path / "missing.txt"))
    with pytest.raises(ValueError, match="expected LMRL-Gym's word list, found no such file"):
        tasks.tasks()


def test_a_cell_is_trained_scored_and_kept(folder: Path, tmp_path: Path):
    result = tmp_path / FILE
    cell = Cell(TITLE, "BC", 0)
    run.measure(folder, result, [cell], "python lmrl.py")
    record = run.read(result)
    found = record["cells"][cell.name]
    assert -401 <= found["sampled"]["return"]["mean"] <= 0 and found["environment_turns"] == 0
    data = EpisodeFile(folder / "data" / "maze-full-view" / "episodes.jsonl")
    assert len(data) == 20
    assert record["bounds"][TITLE]["data"] == approx(data.returns_E.mean())
    assert record["bounds"][TITLE]["max"] == references("lmenvs/Maze-v0")["max"].value
    before = result.read_bytes()
    run.measure(folder, result, [cell], "python lmrl.py")
    assert result.read_bytes() == before
    page = lmrl(tmp_path)
    assert "1 of 3 seeds" in page and "| LMRL-Gym's figures |" in page
    assert page.count("not run") > 60


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_has_a_configuration_for_every_task(method: str):
    chosen = methods.METHODS[method]
    kind = importlib.import_module(f"algorithms.{chosen.algorithm}").Config
    if chosen.kind != "start":
        config = methods.config_of(kind, chosen, TINY, 7)
        assert (config.seed, config.max_new_tokens) == (7, 4)
        assert (config.iterations == 1) == (chosen.kind == "file")
        assert (getattr(config, "episodes", None) == 6) == (chosen.kind == "online")


@pytest.mark.parametrize("method", ["filtered BC", "ILQL", "PPO"])
def test_methods_train_from_nothing_from_the_file_and_online(folder: Path, method: str):
    found = run.run_cell(Cell(TITLE, method, 0), TINY, folder)
    online = methods.METHODS[method].kind == "online"
    assert (found["environment_turns"] >= 20) == online
    assert found["greedy"]["return"]["mean"] <= 0


def test_cells_of_another_task_are_refused(folder: Path, tmp_path: Path):
    result = tmp_path / "lmrl.json"
    run.measure(folder, result, [Cell(TITLE, "BC", 0)], "python lmrl.py")
    record = json.loads(result.read_text())
    record["tasks"][TITLE]["episodes"] = 21
    result.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="expected cells of the same tasks, got another maze"):
        run.read(result)
