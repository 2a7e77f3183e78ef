"""A crash between any two calls to the system leaves a whole checkpoint; so does a full disk."""

import errno
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.lm import load_policy
from agents.models import load_model
from algorithms import checkpoints, support
from tests.support.killing import server, train_on_a_small_disk
from tests.support.training import start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="dies in forked processes")
# what the interpreter announces before it changes a file or a folder
CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}


def model(value: int) -> Callable[[Path], None]:
    """Saves what stands for a model: two files and a folder."""

    def save(folder: Path) -> None:
        (folder / "config.json").write_text(str(value))
        (folder / "parts").mkdir()
        (folder / "parts" / "weights").write_text(str(value))

    return save


def step(run: support.Run, value: int) -> None:
    run.log(value, {"rollout/success": value})
    run.save(model(value), {"iteration": value, "step": torch.tensor([value])})


def in_child(work: Callable[[], object]) -> int:
    """The exit code of a forked process that does the work."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            work()
            code = 0
        finally:
            os._exit(code)  # as a kill would end it: nothing is closed or cleaned
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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


def disk_usage(folder: Path) -> list[int]:
    return sorted({file.stat().st_size for file in folder.rglob("*") if file.is_file()})


def test_a_file_that_does_not_fit_leaves_the_last_checkpoint_and_a_clear_line(tmp_path: Path):
    language_model, chat = load_model(start())
    path = tmp_path / "run"
    run = support.open_run(path, {})

    def save(iteration: int, into: support.Run = run) -> None:
        state = {"iteration": iteration, "weights": torch.zeros(20_000)}
        into.save(lambda folder: chat.save(language_model, folder), state)

    save(1)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    sizes = disk_usage(path / "checkpoints")
    tried = sorted({size - 1 for size in sizes if size > 1} | {sizes[-1] // 2})
    assert len(tried) > 4

    def refused(limit: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(OSError) as caught:
            save(2)
        said = str(caught.value)
        assert caught.value.errno == errno.EFBIG and "\n" not in said
        assert "File too large; allow larger files (ulimit -f)" in said
        assert said.endswith("--resume goes on from the last checkpoint, which is kept")

    for limit in tried:
        assert in_child(lambda limit=limit: refused(limit)) == 0
        assert {f: f.read_bytes() for f in path.rglob("*") if f.is_file()} == before
    load_policy(str(path))
    save(2, support.open_run(path, {}, resume=True))  # there is space again
    state = support.open_run(path, {}, resume=True).load_state()
    assert state is not None and state["iteration"] == 2


def test_training_on_a_full_disk_ends_in_one_line_and_goes_on_when_there_is_space(tmp_path: Path):
    out, said = tmp_path / "run", tmp_path / "said"
    model = str(start())
    largest = max(file.stat().st_size for file in (start() / "checkpoints").iterdir())
    for limit, expected in ((largest - 1, 2), (1 << 30, 0)):
        child = server().Process(
            target=train_on_a_small_disk, args=(limit, model, str(out), str(said))
        )
        child.start()
        child.join(120)
        assert child.exitcode == expected, said.read_text()
        if expected:
            (line,) = [line for line in said.read_text().splitlines() if "lmenvs: " in line]
            assert "File too large; allow larger files (ulimit -f) and go on; nothing was" in line
            assert "Traceback" not in said.read_text()
    rows = [json.loads(row) for row in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [0, 1]


def test_a_checkpoint_that_cannot_be_made_says_that_there_is_none(tmp_path: Path):
    run = support.open_run(tmp_path, {})
    (tmp_path / "checkpoints.new").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write .*checkpoints.new: .*; nothing was kept yet"):
        run.save(model(1), {"iteration": 1})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("name", ["metrics.jsonl", "episodes.jsonl", "credit.jsonl"])
def test_a_log_on_a_full_disk_is_named_and_the_checkpoint_stays(name: str, tmp_path: Path):
    run = support.open_run(tmp_path, {})
    step(run, 1)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OSError, match=f"cannot write .*{name}: No space left on device; free"):
        run.log(2, {})
        run.credit([("e", [0.5], None)])
        run.episodes([_episode()])
    (tmp_path / name).unlink()
    state = support.open_run(tmp_path, {}, resume=True).load_state()
    assert state is not None and state["iteration"] == 1


def _episode() -> Any:
    from lmenvs.types import Action, Episode, Turn

    turn = Turn("a room", Action("go east"), 1.0)
    return Episode("e", "lmenvs/X-v0", 0, "all", "play", (turn,), "end", True, False, True)


@pytest.mark.parametrize("where", ["a file in its place", "no permission"])
def test_a_folder_that_cannot_be_made_is_one_line(where: str, tmp_path: Path):
    if where == "no permission":
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere")
        tmp_path.chmod(0o500)
    else:
        (tmp_path / "runs").write_text("mine")
    with pytest.raises((OSError, ValueError)) as caught:
        support.open_run(tmp_path / "runs" / "a", {})
    assert "choose" in str(caught.value) and "\n" not in str(caught.value)
    tmp_path.chmod(0o700)
