"""Environments in threads and processes: the same episodes, whatever happens to a worker."""

import functools
import threading
from typing import Any

import pytest
from gymnasium.wrappers import TimeLimit

from agents.branching import branch
from agents.protocols import Conversation
from agents.rollout import collect, evaluate
from agents.scripted import NoisyPolicy, RandomPolicy
from lmenvs import Episode
from tests.support.games import Dice, Scripted, dice_in_the_table, in_turn, on_seed, rolls
from tests.support.troubles import Troubled


def limited() -> TimeLimit:
    return TimeLimit(Dice(), 3)  # type: ignore[return-value]


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
