"""A crash between any two calls to the system leaves a whole checkpoint."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from algorithms import checkpoints, support
from tests.support.runs import in_child, step

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="dies in forked processes")
# what the interpreter announces before it changes a file or a folder
CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}


def assert_whole(path: Path, expected: set[int]) -> int:
    """Resume: model, state and logs belong together. Returns the iteration."""
    run = support.open_run(path, {}, resume=True, keep_checkpoints=3)
    state = run.load_state()
    assert state is not None and state["iteration"] in expected
    value = state["iteration"]
    assert state["step"].tolist() == [value]
    assert (path / "checkpoints" / "config.json").read_text() == str(value)
    assert (path / "checkpoints" / "parts" / "weights").read_text() == str(value)
    rows = [json.loads(row) for row in (path / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == list(range(1, value + 1))
    assert not (path / "checkpoints.new").exists()
    for folder in checkpoints.earlier(path):
        assert (folder / "parts" / "weights").read_text() == folder.name
    return value


def test_a_crash_before_any_change_of_a_file_leaves_a_whole_checkpoint(tmp_path: Path):
    run = support.open_run(tmp_path / "start", {}, keep_checkpoints=3)
    for value in (1, 2, 3):
        step(run, value)
    found: list[int] = []
    code = death = 0
    for death in range(1, 200):
        path = tmp_path / str(death)
        shutil.copytree(tmp_path / "start", path)

        def work(path: Path = path, death: int = death) -> None:
            run = support.open_run(path, {}, resume=True, keep_checkpoints=3)
            seen = 0

            def watch(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal seen
                if event in CHANGES and str(path) in str(arguments[0]):
                    seen += 1
                    if seen == death:
                        os._exit(9)

            sys.addaudithook(watch)
            step(run, 4)

        code = in_child(work)
        found.append(assert_whole(path, {3, 4}))
        assert len(checkpoints.earlier(path)) >= 2
        if code == 0:
            break
        assert code == 9
    assert code == 0 and death > 20 and found == sorted(found) and set(found) == {3, 4}


def test_a_crash_while_a_crash_is_mended_is_mended_too(tmp_path: Path):
    run = support.open_run(tmp_path / "start", {}, keep_checkpoints=3)
    step(run, 1)
    step(run, 2)
    now = tmp_path / "start" / "checkpoints"
    shutil.copytree(now, tmp_path / "start" / "checkpoints.new")  # whole, not yet in its place
    shutil.move(now, tmp_path / "start" / "earlier" / "2")
    code = death = 0
    for death in range(1, 50):
        path = tmp_path / str(death)
        shutil.copytree(tmp_path / "start", path)

        def work(path: Path = path, death: int = death) -> None:
            seen = 0

            def watch(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal seen
                if event in CHANGES and str(path) in str(arguments[0]):
                    seen += 1
                    if seen == death:
                        os._exit(9)

            sys.addaudithook(watch)
            support.open_run(path, {}, resume=True, keep_checkpoints=3)

        code = in_child(work)
        assert_whole(path, {2})
        if code == 0:
            break
    assert code == 0 and death > 3


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_last_k_are_kept(keep: int, tmp_path: Path):
    run = support.open_run(tmp_path, {}, keep_checkpoints=keep)
    for value in range(1, 7):
        step(run, value)
    kept = sorted(int(folder.name) for folder in checkpoints.earlier(tmp_path))
    assert kept == list(range(7 - keep, 6))
    assert (tmp_path / "checkpoints" / "config.json").read_text() == "6"
    with pytest.raises(ValueError, match="keep_checkpoints = 0"):
        support.open_run(tmp_path, {}, resume=True, keep_checkpoints=0)


def test_a_damaged_checkpoint_names_the_one_before_which_then_resumes(tmp_path: Path):
    run = support.open_run(tmp_path, {})
    for value in (1, 2, 3):
        step(run, value)
    (tmp_path / "checkpoints" / "config.json").write_text("")
    with pytest.raises(ValueError, match="earlier/2 into its place") as caught:
        support.open_run(tmp_path, {}, resume=True)
    assert "config.json" in str(caught.value) and "\n" not in str(caught.value)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3  # nothing was cut
    shutil.move(tmp_path / "checkpoints", tmp_path / "away")
    shutil.move(tmp_path / "earlier" / "2", tmp_path / "checkpoints")
    assert assert_whole(tmp_path, {2}) == 2


@pytest.mark.parametrize("name", ["trainer.safetensors", "weights", "planner/weights"])
def test_a_flipped_bit_is_noticed(name: str, tmp_path: Path):
    run = support.open_run(tmp_path, {})

    def save(folder: Path) -> None:
        (folder / "weights").write_bytes(bytes(100))
        (folder / "planner").mkdir()
        (folder / "planner" / "weights").write_bytes(bytes(100))

    run.save(save, {"iteration": 1, "step": torch.zeros(100)})
    file = tmp_path / "checkpoints" / name
    whole = bytearray(file.read_bytes())
    whole[-8] ^= 1
    file.write_bytes(whole)
    with pytest.raises(ValueError, match=f"{name}: .*bytes have changed since it was written"):
        support.open_run(tmp_path, {}, resume=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"files": {}}',
        '{"files": {}, "iteration": "x", "seconds": 1, "sizes": {}}',
        '{"files": {}, "iteration": 1, "seconds": 1, "sizes": {"metrics.jsonl": -4}}',
    ],
)
def test_a_foreign_progress_file_is_one_line_and_cuts_nothing(text: str, tmp_path: Path):
    step(support.open_run(tmp_path, {}), 1)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "checkpoints" / "progress.json").write_text(text)
    with pytest.raises(ValueError, match=r"progress\.json: expected a whole checkpoint") as caught:
        support.open_run(tmp_path, {}, resume=True)
    assert "\n" not in str(caught.value) and (tmp_path / "metrics.jsonl").read_bytes() == before


def test_a_trainer_state_that_is_a_pickle_is_refused_and_left(tmp_path: Path):
    step(support.open_run(tmp_path, {}), 1)
    (tmp_path / "checkpoints" / "trainer.pt").write_bytes(b"cos\nsystem\n(S'touch x'\ntR.")
    with pytest.raises(ValueError, match="pickle of an older version.*--model"):
        support.open_run(tmp_path, {}, resume=True)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_model_that_no_trainer_left_is_no_checkpoint_and_is_kept(tmp_path: Path):
    support.open_run(tmp_path, {})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "config.json").write_text("years of work")
    run = support.open_run(tmp_path, {}, resume=True)
    assert run.load_state() is None
    step(run, 1)
    assert (tmp_path / "earlier" / "0" / "config.json").read_text() == "years of work"
