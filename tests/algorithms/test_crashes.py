"""Training goes on where environments break: the episodes are left out and counted."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from algorithms import archer, grpo, reinforce, segment_po, slate, token_ppo, tppo, turn_ppo
from algorithms.cli import main
from lmenvs import Outcome
from lmenvs.core import Snapshot
from lmenvs.envs.control.microwave import Microwave
from tests.support.training import MICROWAVE, metrics, start

TRAINERS = {
    "archer": (
        archer.train,
        archer.Config(iterations=2, episodes=12, critic_steps=2, batch_size=4, warmup_iterations=0),
    ),
    "grpo": (grpo.train, grpo.Config(iterations=2, groups=4, group_size=3)),
    "reinforce": (reinforce.train, reinforce.Config(iterations=2, groups=4, group_size=3)),
    "token_ppo": (token_ppo.train, token_ppo.Config(iterations=2, episodes=12)),
    "turn_ppo": (turn_ppo.train, turn_ppo.Config(iterations=2, episodes=12)),
}


class Breaking(Microwave):
    """The microwave that breaks at every fourth task's reset."""

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        if (self._seed or 0) % 4 == 0:
            raise RuntimeError("the fuse blew")
        return super()._begin(task, options)


class Brittle(Microwave):
    """The microwave that breaks where every third episode is to go on."""

    def restore(self, snapshot: Snapshot, noise: int | None = None) -> None:
        super().restore(snapshot, noise)
        if noise is not None and noise % 3 == 0:
            raise RuntimeError("the fuse blew")


class Dead(Microwave):
    """The microwave that does nothing at all."""

    def _play(self, action: str) -> Outcome:
        raise RuntimeError("the fuse blew")


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts another class in the place of the microwave."""

    def put(kind: type[Microwave]) -> None:
        registered = replace(gymnasium.spec(MICROWAVE), entry_point=kind)
        monkeypatch.setitem(gymnasium.registry, MICROWAVE, registered)

    return put


@pytest.mark.parametrize("name", TRAINERS)
def test_training_goes_on_without_the_episodes_that_broke(
    name: str, tmp_path: Path, breaking: Any
) -> None:
    model = start()
    breaking(Breaking)
    train, config = TRAINERS[name]
    logged = metrics(train(MICROWAVE, model, tmp_path / "run", config))  # type: ignore[arg-type]
    assert [row["rollout/episodes"] + row["rollout/crashes"] for row in logged] == [12, 12]
    assert sum(row["rollout/crashes"] for row in logged) > 0


FORKING = {
    "segment_po": (
        segment_po.train,
        segment_po.Config(iterations=2, tasks=6, continuations=1, max_new_tokens=8),
    ),
    "segment_po by trees": (
        segment_po.train,
        segment_po.Config(iterations=2, tasks=6, method="tree", max_new_tokens=8),
    ),
    "slate": (slate.train, slate.Config(iterations=2, tasks=6, siblings=2, max_new_tokens=8)),
    "tppo": (
        tppo.train,
        tppo.Config(iterations=6, episodes=12, window=1, warmup=0, max_new_tokens=8),
    ),
}


@pytest.mark.parametrize("name", FORKING)
def test_training_goes_on_without_the_forks_that_broke(
    name: str, tmp_path: Path, breaking: Any
) -> None:
    model = start()
    breaking(Brittle)
    train, config = FORKING[name]
    logged = metrics(train(MICROWAVE, model, tmp_path / "run", config))  # type: ignore[arg-type]
    assert sum(row["rollout/crashes"] for row in logged) > 0
    assert sum(row["loss/grad_norm"] > 0 for row in logged) > 0


@pytest.mark.parametrize("name", TRAINERS)
def test_training_stops_where_most_episodes_break(name: str, tmp_path: Path, breaking: Any) -> None:
    model = start()
    breaking(Dead)
    train, config = TRAINERS[name]
    with pytest.raises(RuntimeError, match="7 episodes broke, expected at most 6"):
        train(MICROWAVE, model, tmp_path / "run", config)  # type: ignore[arg-type]


def test_the_command_tells_in_one_line_that_an_environment_is_broken(
    tmp_path: Path, breaking: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(start())
    breaking(Dead)
    arguments = ["train", "turn_ppo", "--env", MICROWAVE, "--model", model, "--episodes", "4"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lmenvs: {MICROWAVE}: 3 episodes broke, expected at most 2; mend")
    assert line.endswith("RuntimeError: the fuse blew; LMENVS_DEBUG=1 shows where")


def test_the_command_line_steps_environments_in_processes(tmp_path: Path) -> None:
    options = ["--env", MICROWAVE, "--policy", "random", "--episodes", "6"]
    workers = ["--env-workers", "1", "--step-timeout", "60"]
    assert main(["eval", *options, "--out", str(tmp_path / "here")]) == 0
    assert main(["eval", *options, *workers, "--out", str(tmp_path / "there")]) == 0
    here, there = (
        json.loads((tmp_path / k / "summary.json").read_text()) for k in ("here", "there")
    )
    assert here == there
    trained = ["--model", str(start()), "--env", MICROWAVE, "--out", str(tmp_path / "run")]
    small = ["--iterations", "1", "--episodes", "4"]
    assert main(["train", "turn_ppo", *trained, *small, *workers]) == 0
    assert metrics(tmp_path / "run")[0]["rollout/crashes"] == 0
