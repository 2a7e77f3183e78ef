"""Environments in threads and processes: the same episodes, whatever happens to a worker."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gymnasium.wrappers import TimeLimit

from agents.branching import branch
from agents.evaluation import Crash
from agents.protocols import Conversation
from agents.rollout import collect, evaluate
from agents.scripted import NoisyPolicy, RandomPolicy
from lmenvs import Episode
from tests.support.games import Dice, Scripted, dice_in_the_table, in_turn, rolls
from tests.support.troubles import Troubled, Unseeded, children, held

ROOT = Path(__file__).resolve().parents[2]
linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")


def limited() -> TimeLimit:
    return TimeLimit(Dice(), 3)  # type: ignore[return-value]


def on_seed(seed: int, said: str, turn: int = 1) -> Scripted:
    """Rolls three times and stops, but says something else to one seed at one turn."""

    def answer(one: Conversation) -> str:
        if one.seed[1] == seed and one.seed[-1] == turn:
            return said
        return "roll" if one.seed[-1] < 3 else "stop"

    return Scripted(answer)


@pytest.mark.parametrize("worker", ["thread", "process"])
def test_where_environments_are_stepped_changes_no_episode(worker: Any) -> None:
    policy = NoisyPolicy(RandomPolicy(), 0.5)  # it asks the environment for its legal actions
    here = collect(Dice, policy, range(6), group_size=2)
    for workers, width in ((1, 64), (2, 3)):
        there = collect(
            Dice, policy, range(6), group_size=2, env_workers=workers, worker=worker, width=width
        )
        assert there == here
    bare = collect(limited, rolls(5), range(3), record=False)
    assert collect(limited, rolls(5), [0, 1, 2], record=False, env_workers=2, worker=worker) == bare
    assert bare[0].truncated and bare[0].turns[0].state_key is None


def test_experts_branches_and_tables_work_across_processes() -> None:
    with dice_in_the_table() as name:
        here = evaluate(name, "expert", episodes=4, split="test")
        there = evaluate(name, "expert", episodes=4, split="test", env_workers=2)
        assert there.episodes == here.episodes
        parent = here.episodes[1]
        children_here = branch(name, rolls(2), parent, [0, 2], 2)
        assert branch(name, rolls(2), parent, [0, 2], 2, env_workers=1) == children_here


def test_a_worker_loads_no_torch() -> None:
    (episode,) = collect(Troubled, in_turn("torch"), [0], env_workers=1)
    assert episode.final_observation == "False"


def test_an_exception_in_a_process_is_the_one_of_the_environment() -> None:
    with pytest.raises(RuntimeError, match="the table broke") as caught:
        collect(Troubled, on_seed(2, "crash"), range(4), env_workers=2)
    assert "in _play" in caught.value.__notes__[0]
    assert caught.value.__notes__[1] == "in Troubled, seed 2, noise 0, turn 1"
    report = evaluate(Troubled, on_seed(2, "odd"), episodes=4, env_workers=2)
    assert [crash.error for crash in report.crashes] == ["RuntimeError: OddError: this and that"]
    plain = evaluate(Troubled, rolls(3), seeds=[0, 1, 3])
    assert report.episodes == plain.episodes


def test_wrong_arguments_are_no_crash() -> None:
    with pytest.raises(TypeError, match="feathers"):
        evaluate(functools.partial(Dice, feathers=2), "random", episodes=2)
    with pytest.raises(ValueError, match="feathers"):
        evaluate("lmenvs/Maze-v0?feathers=2", "random", episodes=2, env_workers=1)


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
    with pytest.raises(TimeoutError, match=r"step_timeout=0\.5 seconds") as caught:
        collect(Troubled, on_seed(1, "hang"), [0, 1], env_workers=1, step_timeout=0.5)
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


def succeed(**options: Any) -> None:
    collect(Troubled, rolls(2), range(4), **options)


def break_down(**options: Any) -> None:
    with pytest.raises(RuntimeError, match="the table broke"):
        collect(Troubled, on_seed(1, "crash"), range(4), **options)


def press_ctrl_c(**options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        collect(Troubled, Interrupting(lambda one: "roll"), range(4), **options)


@linux
@pytest.mark.parametrize("worker", ["thread", "process"])
@pytest.mark.parametrize("what", [succeed, break_down, press_ctrl_c])
def test_nothing_is_left_open(what: Callable[..., None], worker: Any) -> None:
    before = held()
    what(env_workers=2, worker=worker)
    assert held() == before


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


@pytest.mark.parametrize(
    ("env", "options", "message"),
    [
        (Dice, {"env_workers": -1}, "env_workers=-1; expected at least 1, or 0"),
        (Dice, {"worker": "ray"}, "worker='ray'; expected 'process' or 'thread'"),
        (Dice, {"step_timeout": 2.0}, "step_timeout=2.0 needs environments in processes"),
        (Dice, {"step_timeout": 0.0, "env_workers": 1}, "expected seconds > 0"),
        (Dice(), {"env_workers": 1}, "a worker process cannot make Dice from an instance"),
        (lambda: Dice(), {"env_workers": 1}, "expected an env string or a function of an import"),
    ],
)
def test_what_no_worker_can_do_is_refused(env: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        collect(env, "random", [0], **options)
    assert "\n" not in str(caught.value)


def test_a_policy_cannot_step_an_environment_of_another_process() -> None:
    def answer(one: Conversation) -> str:
        assert one.env is not None
        assert one.env.turn == one.seed[-1] and one.env.observation == one.messages[-1].content
        one.env.step("roll")
        return "stop"

    with pytest.raises(ValueError, match="cannot be stepped by its policy"):
        collect(Dice, Scripted(answer), [0], env_workers=1)


def test_threads_step_environments_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=20)

    class Meeting(Dice):
        def _play(self, action: str) -> Any:
            meeting.wait()
            return super()._play(action)

    episodes: list[Episode] = collect(Meeting, rolls(2), range(3), env_workers=3, worker="thread")
    assert [len(one.turns) for one in episodes] == [3, 3, 3]
