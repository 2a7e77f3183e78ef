"""Where nothing can be written, nothing is lost: full disks, closed folders, others' work."""

import errno
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.lm import load_policy
from agents.models import load_model
from algorithms import locks, support
from tests.support.killing import server, train_on_a_small_disk
from tests.support.runs import as_nobody, in_child, model, step
from tests.support.training import start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="works in forked processes")


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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    # lazily: a run that is still in scope holds its folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full_costs_neither_checkpoint_nor_log(disk: Path):
    path = disk / "run"
    run = support.open_run(path, {})
    step(run, 1)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    full = "No space left on device; free some space and go on"
    with pytest.raises(OSError, match=f"{full}; --resume goes on from the last checkpoint"):
        run.save(model(2), {"iteration": 2, "weights": torch.zeros(100_000)})
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    with pytest.raises(OSError, match=rf"cannot write .*metrics\.jsonl: {full}"):
        for _ in range(1000):
            run.log(2, {"x" * 1000: 1.0})
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) > 50
    state = support.open_run(path, {}, resume=True).load_state()
    assert state is not None and state["iteration"] == 1


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


@pytest.mark.parametrize("where", ["a file", "a folder to read", "a closed folder", "a long name"])
def test_a_folder_that_cannot_be_made_is_one_line(where: str):
    def refused(path: Path) -> None:
        with pytest.raises(OSError) as caught:
            support.open_run(path, {})
        assert f"cannot write {path}: " in str(caught.value) and "; choose " in str(caught.value)

    with tempfile.TemporaryDirectory() as name:  # where others may enter, unlike tmp_path
        folder = Path(name, "runs")
        if where == "a file":
            folder.write_text("mine")
        else:
            folder.mkdir()
        Path(name).chmod(0o755)
        folder.chmod({"a folder to read": 0o555, "a closed folder": 0}.get(where, 0o755))
        path = folder / ("x" * 300 if where == "a long name" else "a")
        assert as_nobody(lambda: refused(path)) == 0
        folder.chmod(0o755)


def test_a_run_that_may_only_be_read_is_not_changed_and_told_in_one_line():
    def refused(path: Path) -> None:
        run = support.open_run(path, {}, resume=True)
        for write in (lambda: run.log(2, {}), lambda: step(run, 2)):
            with pytest.raises(OSError, match="choose a folder that you may write to"):
                write()
        with pytest.raises(OSError, match="you may write to; --resume goes on from the last"):
            run.save(model(2), {"iteration": 2})

    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "run")
        step(support.open_run(path, {}), 1)
        before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
        for entry in (Path(name), *path.parent.rglob("*")):
            entry.chmod(0o555)
        assert as_nobody(lambda: refused(path)) == 0
        assert {f: f.read_bytes() for f in path.rglob("*") if f.is_file()} == before
        for entry in (Path(name), *path.parent.rglob("*")):
            entry.chmod(0o755)


def test_a_run_that_was_killed_while_it_began_begins_again(tmp_path: Path):
    (tmp_path / "config.json.part").write_text('{"conf')
    run = support.open_run(tmp_path, {"n": 1}, resume=True)
    assert [file.name for file in run.path.iterdir()] == ["config.json"]
    again = support.open_run(tmp_path, {"n": 2})  # it had done nothing
    assert json.loads((again.path / "config.json").read_text())["config"] == {"n": 2}


def test_a_configuration_of_somebody_else_is_not_replaced(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    for resume in (False, True):
        with pytest.raises(ValueError, match="choose another folder|name another folder"):
            support.open_run(tmp_path, {}, resume=resume)
    assert (tmp_path / "config.json").read_text() == '{"model_type": "gpt2"}'


def test_two_processes_do_not_work_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "run"
    step(support.open_run(path, {}), 1)
    program = (
        "import sys; from pathlib import Path; from algorithms.runs import open_run;"
        "run = open_run(Path(sys.argv[1]), {}, resume=True); run.log(2, {});"
        "print(flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert other.stdin is not None and other.stdout is not None
    other.stdout.readline()
    before = (path / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(locks, "WAIT", 0.0)
    with pytest.raises(ValueError, match="another process has open; stop that one"):
        support.open_run(path, {}, resume=True)
    assert (path / "metrics.jsonl").read_bytes() == before
    other.kill()
    other.communicate()
    monkeypatch.undo()
    assert support.open_run(path, {}, resume=True).load_state() is not None
    assert len((path / "metrics.jsonl").read_text().splitlines()) == 1
