import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from algorithms import (
    archer,
    bilevel_ppo,
    cli,
    grpo,
    poad,
    reinforce,
    single_stream,
    slate,
    token_ppo,
    tppo,
    turn_ppo,
)
from algorithms.trainer.checks import check_episodes
from algorithms.trainer.objective import Objective
from lmenvs import Outcome
from lmenvs.envs.control.microwave import Microwave
from lmenvs.types import Action, Episode, Turn
from tests.support.training import MICROWAVE, start


def said(*logprobs: float, reward: float = 0.0) -> Turn:
    return Turn("o", Action("a", (10,), (20, 21), logprobs=logprobs), reward)


def play(*turns: Turn, truncated: bool = False, **fields: Any) -> Episode:
    ended: dict[str, Any] = {"terminated": not truncated, "truncated": truncated}
    known: dict[str, Any] = {
        "id": "one",
        "env": "e",
        "seed": 3,
        "split": "all",
        "group": "g",
        **ended,
        **fields,
    }
    return Episode(instructions="i", turns=turns, final_observation="", success=False, **known)


GOOD = play(said(-1.0, -2.0), said())


def test_what_credit_can_be_given_for_passes():
    check_episodes([GOOD, replace(GOOD, terminated=False, truncated=True), replace(GOOD, id="b")])
    alone = [play(said(), group=None), play(said(), group=None, seed=4)]
    check_episodes(alone)
    check_episodes([])
    with pytest.raises(ValueError, match="group g: expected one task"):  # in a group they would not
        check_episodes([replace(one, group="g") for one in alone])


REFUSED = {
    "no turn": (play(), r"^episode one: expected at least 1 turn, got 0; .* take a model"),
    "both flags": (
        play(said(), terminated=True, truncated=True),
        "^episode one: expected it to be terminated or truncated, got both; set exactly one$",
    ),
    "no flag": (play(said(), terminated=False), "^episode one: .* got neither; set exactly one$"),
    "nan": (
        play(said(), said(reward=math.nan)),
        "^episode one: expected a finite reward, got nan at turn 1 of 2; mend the environment's",
    ),
    "infinity": (play(said(reward=math.inf)), "^episode one: .*, got inf at turn 0 of 1; mend"),
    "lengths": (
        play(said(), said(-1.0)),
        "^episode one: expected one log-probability per token, got 1 for 2 tokens at turn 1; mend "
        "the sampler",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_credit_cannot_be_given_for_is_refused_by_name(what: str):
    episode, says = REFUSED[what]
    with pytest.raises(ValueError, match=says):
        check_episodes([GOOD, episode])


@pytest.mark.parametrize("other", [{"seed": 4}, {"env": "f"}, {"split": "test"}])
def test_a_group_that_plays_two_tasks_is_refused(other: dict[str, Any]):
    odd = replace(GOOD, id="two", **other)
    says = r"^group g: expected one task, got e#3 \(episode one\) and .* \(episode two\); give each"
    with pytest.raises(ValueError, match=says):
        check_episodes([GOOD, replace(GOOD, group="h", seed=9), odd])


class Priceless(Microwave):
    """The microwave whose second turn is worth no number."""

    def _play(self, action: str) -> Outcome:
        outcome = super()._play(action)
        return replace(outcome, reward=math.nan if self._turn == 2 else outcome.reward)


class Wordy(Microwave):
    """The microwave that says more at once than the model can read."""

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        return 500 * super()._begin(task, options)


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts another class in the place of the microwave."""

    def change(kind: type[Microwave]) -> None:
        registered = replace(gymnasium.spec(MICROWAVE), entry_point=kind)
        monkeypatch.setitem(gymnasium.registry, MICROWAVE, registered)

    return change


@contextmanager
def steps() -> Iterator[SimpleNamespace]:
    """Counts the steps of all optimizers."""
    seen = SimpleNamespace(count=0)

    def count(optimizer: Optimizer, args: object, kwargs: object) -> None:
        seen.count += 1

    hook = register_optimizer_step_pre_hook(count)
    try:
        yield seen
    finally:
        hook.remove()


BROKEN = {
    "a reward": (Priceless, r"episode lmenvs/Microwave-v0#\d+.*got nan at turn 1 of \d; mend"),
    "a prompt": (Wordy, r"episode lmenvs/Microwave-v0#\d+.*expected at least 1 turn, got 0; its"),
}
TRAINERS = {
    "archer": (archer.train, archer.Config(iterations=1, episodes=4, warmup_iterations=0)),
    "grpo": (grpo.train, grpo.Config(iterations=1, groups=2, group_size=2)),
    "reinforce": (reinforce.train, reinforce.Config(iterations=1, groups=2, group_size=2)),
    "token_ppo": (token_ppo.train, token_ppo.Config(iterations=1, episodes=4)),
    "turn_ppo": (turn_ppo.train, turn_ppo.Config(iterations=1, episodes=4)),
}


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_environment_stops_training_before_anything_is_updated(
    what: str, name: str, tmp_path: Path, put: Any
):
    model = start()
    kind, says = BROKEN[what]
    put(kind)
    train, config = TRAINERS[name]
    with steps() as taken, pytest.raises(ValueError, match=says):
        train(MICROWAVE, model, tmp_path / "run", config)  # type: ignore[arg-type]
    assert taken.count == 0
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["config.json"]


def test_the_command_says_it_in_one_line(
    tmp_path: Path, put: Any, capsys: pytest.CaptureFixture[str]
):
    model = str(start())
    put(Priceless)
    arguments = ["train", "turn_ppo", "--env", MICROWAVE, "--model", model, "--episodes", "4"]
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lmenvs: episode lmenvs/Microwave-v0#") and "got nan at turn" in line


@pytest.mark.parametrize(
    "algorithm", [bilevel_ppo, poad, single_stream, slate, token_ppo, tppo, turn_ppo]
)
def test_where_no_groups_are_compared_none_can_be_dropped(algorithm: ModuleType):
    with pytest.raises(ValueError, match=r'^objective.equal_groups "drop": here no whole episodes'):
        algorithm.Config(objective=Objective(equal_groups="drop"))
