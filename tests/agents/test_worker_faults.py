"""Workers that hang, die or are killed, and what is left of them: nothing."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.evaluation import Crash
from agents.protocols import Conversation
from agents.rollout import collect, evaluate
from agents.workers import keep_workers
from tests.support.games import Dice, Scripted, on_seed, rolls
from tests.support.troubles import Closing, Troubled, Unseeded, children, held

ROOT = Path(__file__).resolve().parents[2]
linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")


def test_an_environment_that_hangs_is_killed_and_its_seed_not_played_again() -> None:
    def answer(one: Conversation) -> str:
        if one.seed[1:] == (3, 0, 0, 1):
            return "hang"
        return "roll" if one.seed[-1] < 3 else "stop"

    crashes: list[Crash] = []
    episodes = collect(
        functools.partial(Troubled, hanging=(1,)),
        Scripted(answer),
        range(5),
        group_size=2,
        width=3,
        env_workers=2,
        step_timeout=3,
        crashes=crashes,
    )
    killed = (
        "TimeoutError: the environment took longer than step_timeout=3 seconds; "
        "its process was killed"
    )
    assert [(crash.seed, crash.noise, crash.turn, crash.error) for crash in crashes] == [
        (1, 0, 0, killed),
        (1, 1, 0, "not played: an episode of seed 1 hung before"),
        (3, 0, 1, killed),
    ]
    # those that lived in the processes that were killed came to no harm
    plain = collect(Troubled, rolls(3), [0, 2, 3, 4], group_size=2)
    assert episodes == [one for one in plain if (one.seed, one.noise) != (3, 0)]


def test_a_hang_is_raised_where_crashes_are_not_recorded() -> None:
    with pytest.raises(TimeoutError, match="step_timeout=2 seconds") as caught:
        collect(Troubled, on_seed(1, "hang"), [0, 1], env_workers=1, step_timeout=2)
    assert caught.value.__notes__ == ["in Troubled, seed 1, noise 0, turn 1"]
    assert not children()


@linux
def test_a_worker_that_is_killed_is_replaced_and_nothing_changes() -> None:
    killed: list[int] = []

    def answer(one: Conversation) -> str:
        if one.seed[1:] == (2, 0, 0, 2) or one.seed[1:] == (4, 0, 0, 1):
            killed.append(pid := min(children()))
            os.kill(pid, signal.SIGKILL)
        return "roll" if one.seed[-1] < 3 else "stop"

    plain = collect(Dice, rolls(3), range(6))
    crashes: list[Crash] = []
    assert collect(Dice, Scripted(answer), range(6), env_workers=2, crashes=crashes) == plain
    assert len(set(killed)) == 2 and crashes == []


def test_an_environment_that_kills_its_process_is_a_crash_and_harms_nobody() -> None:
    report = evaluate(Troubled, on_seed(2, "die"), episodes=5, env_workers=1)
    assert [(crash.seed, crash.turn, crash.error) for crash in report.crashes] == [
        (2, 1, "RuntimeError: the environment's process died (signal 9), twice at the same place")
    ]
    assert report.episodes == evaluate(Troubled, rolls(3), seeds=[0, 1, 3, 4]).episodes


@linux
def test_an_environment_that_answers_otherwise_when_played_again_is_a_crash() -> None:
    def answer(one: Conversation) -> str:
        if one.seed[-1] == 2:
            os.kill(min(children()), signal.SIGKILL)
        return "roll" if one.seed[-1] < 3 else "stop"

    with pytest.raises(RuntimeError, match="answered otherwise than before"):
        collect(Unseeded, Scripted(answer), [0], env_workers=1)


def test_when_most_episodes_break_the_rollout_is_given_up() -> None:
    def answer(one: Conversation) -> str:
        return "crash" if one.seed[1] < 3 else "stop"

    crashes: list[Crash] = []
    assert len(collect(Dice, Scripted(answer), range(6), crashes=crashes)) == len(crashes) == 3
    with pytest.raises(RuntimeError, match="3 episodes broke, expected at most 2") as caught:
        collect(Dice, Scripted(answer), range(5), crashes=[])
    assert "\n" not in str(caught.value) and "the table broke" in str(caught.value)
    assert str(caught.value.__cause__) == "the table broke"


class Interrupting(Scripted):
    """Presses Ctrl-C at its third round."""

    def act(self, conversations: Any) -> Any:
        if len(self.widths) == 2:
            signal.raise_signal(signal.SIGINT)
        return super().act(conversations)


def nothing_is_left_since(before: tuple[int, set[int], int]) -> bool:
    files, processes, threads = held()
    # a connection or a thread of an earlier test may have ended meanwhile
    return files <= before[0] and processes <= before[1] and threads <= before[2]


def succeed(**options: Any) -> None:
    collect(Troubled, rolls(2), range(4), **options)


def break_down(**options: Any) -> None:
    with pytest.raises(RuntimeError, match="the table broke"):
        collect(Troubled, on_seed(1, "crash"), range(4), **options)


def press_ctrl_c(**options: Any) -> None:
    # a process that runs tests beside others ignores Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            collect(Troubled, Interrupting(lambda one: "roll"), range(4), max_turns=9, **options)
    finally:
        signal.signal(signal.SIGINT, before)


@linux
@pytest.mark.parametrize("worker", ["thread", "process"])
@pytest.mark.parametrize("what", [succeed, break_down, press_ctrl_c])
def test_nothing_is_left_open(what: Callable[..., None], worker: Any) -> None:
    before = held()
    what(env_workers=2, worker=worker)
    assert nothing_is_left_since(before)


@linux
def test_kept_workers_serve_the_next_rollout_and_end_with_the_block() -> None:
    before = held()
    plain = collect(Dice, rolls(3), range(4))
    with keep_workers():
        assert collect(Dice, rolls(3), range(4), env_workers=2) == plain
        workers = children()
        assert len(workers) == 2
        assert collect(Dice, rolls(3), range(4), env_workers=2) == plain
        assert children() == workers
        os.kill(min(workers), signal.SIGKILL)
        assert collect(Dice, rolls(3), range(4), env_workers=2) == plain
        assert children() & workers == {max(workers)} and len(children()) == 2
        with pytest.raises(RuntimeError, match="the table broke"):
            collect(Troubled, on_seed(1, "crash"), range(4), env_workers=2)
        assert collect(Dice, rolls(3), range(4), env_workers=2) == plain
    assert nothing_is_left_since(before)


@linux
def test_environments_are_closed_in_their_processes(tmp_path: Path) -> None:
    report = evaluate(
        functools.partial(Closing, folder=str(tmp_path)),
        on_seed(1, "crash"),
        episodes=4,
        width=3,
        env_workers=2,
    )
    assert report.n == 3
    made, closed = ({one.stem for one in tmp_path.glob(f"*.{what}")} for what in ("made", "closed"))
    assert made == closed
    # three beside each other, here the one that was asked for its name; a fourth is made where the
    # broken one is replaced before another episode has left its place
    processes = [int(name.partition("-")[0]) for name in closed]
    assert 4 <= len(processes) <= 5 and processes.count(os.getpid()) == 1
    assert len(set(processes)) == 3


@linux
def test_a_hanging_worker_ends_with_its_parent() -> None:
    script = (
        "import os\n"
        "from agents.rollout import collect\n"
        "from tests.support.games import Scripted\n"
        "from tests.support.troubles import Troubled, children\n"
        "def answer(one):\n"
        "    print(*children(), flush=True)\n"
        "    return 'hang'\n"
        "collect(Troubled, Scripted(answer), [0], env_workers=1)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while _runs(worker) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(worker)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
