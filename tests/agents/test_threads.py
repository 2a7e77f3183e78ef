"""Threads are set once by every program, and several processes never want more than there are."""

import ast
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from agents.threads import set_threads, usable_cpus

ROOT = Path(__file__).resolve().parents[2]


def python(code: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split("\n")[-2]


AFTER_A_COMMAND = (
    "import sys\nfrom algorithms import cli\ncli.main(['--version'])\n"
    "assert 'torch' not in sys.modules\nimport torch\nprint(torch.get_num_threads())"
)


def test_a_command_uses_the_cpus_it_may_use_and_no_more():
    assert int(python(AFTER_A_COMMAND)) == usable_cpus()
    assert int(python(AFTER_A_COMMAND, OMP_NUM_THREADS="1")) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to CPUs on Linux")
def test_a_process_that_is_bound_to_one_cpu_uses_one():
    bind = "import os\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    assert int(python(bind + AFTER_A_COMMAND)) == 1


def _threads_of_a_child(processes: int) -> int:
    chosen = set_threads(processes=processes)
    import torch

    assert torch.get_num_threads() == chosen
    return chosen


@pytest.mark.parametrize("given", [None, "8"])
def test_children_take_one_thread_each_whatever_the_parent_may(
    given: str | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(_threads_of_a_child, [1, 2])) == [1, 1]


def test_processes_that_share_the_cpus_get_their_part(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    for processes in (1, 2, 3, 64):
        each = set_threads(processes=processes)
        assert each == 1 or processes * each <= usable_cpus()
    set_threads(before)


@pytest.mark.parametrize(
    ("share", "expected"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1)]
)
def test_a_container_s_share_counts(share: str, expected: int | None, tmp_path: Path):
    (tmp_path / "cpu.max").write_text(share + "\n")
    plain = usable_cpus(tmp_path / "missing")
    assert usable_cpus(tmp_path / "cpu.max") == (expected or plain) <= (os.cpu_count() or 1)


@pytest.mark.parametrize("given", ["many", "0", "-1"])
def test_a_wrong_number_is_one_line(given: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    with pytest.raises(ValueError, match="OMP_NUM_THREADS = .*expected an integer >= 1"):
        set_threads()
    with pytest.raises(ValueError, match="threads = 0"):
        set_threads(0)


def test_a_test_process_has_one_thread():
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"]) == 1


def _calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {name.rpartition(".")[2] for name in calls}


def test_every_program_sets_its_threads_and_nothing_else_does():
    # the second deals out what the first has set, and puts it back
    setters = {"agents/threads.py", "algorithms/parallel.py"}
    without_torch = {"algorithms/tables/__main__.py", "lmenvs/measuring.py"}
    without_torch.add("lmenvs/envs/textworld/build.py")
    for folder in ("lmenvs", "agents", "algorithms"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name, calls = path.relative_to(ROOT).as_posix(), _calls(path)
            assert "set_num_threads" not in calls or name in setters, name
            if '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
                assert "set_threads" in calls or name in without_torch, name
