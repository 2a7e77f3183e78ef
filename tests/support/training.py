"""Small models that play Microwave, for the tests of the algorithms (torch)."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.lm import LMPolicy
from agents.models import load_model
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms import behaviour_cloning
from algorithms.trainer_state import read_state
from lmenvs.types import Episode, write_episodes

MICROWAVE = "lmenvs/Microwave-v0"
_KEPT: list[TemporaryDirectory[str]] = []  # folders that live as long as the tests do


def cloning(**fields: Any) -> behaviour_cloning.Config:
    given: dict[str, Any] = {"demonstrator": "random", "episodes": 64, "epochs": 3}
    given |= {"learning_rate": 1e-2, "batch_size": 16}
    return behaviour_cloning.Config(**{**given, **fields})


@cache
def start(
    hidden: int = 16,
    episodes: int = 128,
    epochs: int = 12,
    layers: int = 1,
    learning_rate: float = 1e-2,
) -> Path:
    """A folder with a model that was cloned on random play of Microwave."""
    _KEPT.append(TemporaryDirectory(prefix="lmenvs-tests-"))
    config = behaviour_cloning.TinyConfig(
        hidden=hidden,
        layers=layers,
        heads=2,
        context=512,
        clone=cloning(episodes=episodes, epochs=epochs, learning_rate=learning_rate),
    )
    with torch.enable_grad():  # a test that needs no gradient may be the first to ask
        return behaviour_cloning.pretrain(MICROWAVE, Path(_KEPT[-1].name) / "start", config)


def beginner() -> tuple[PreTrainedModel, Chat]:
    """That model, read afresh."""
    return load_model(start())


@cache
def played(count: int = 12, max_turns: int | None = None, group_size: int = 1) -> list[Episode]:
    """Its episodes; with `max_turns` most of them are truncated."""
    policy = LMPolicy(*beginner(), Sampling(max_new_tokens=8))
    return collect(MICROWAVE, policy, range(count), max_turns=max_turns, group_size=group_size)


@cache
def recorded() -> Path:
    """A file of random play and of the expert's, three episodes of each task."""
    _KEPT.append(TemporaryDirectory(prefix="lmenvs-tests-"))
    file = Path(_KEPT[-1].name) / "episodes.jsonl"
    players = (("random", 0), ("random", 1), ("expert", 0))  # three ways to play each task
    played_by = [collect(MICROWAVE, who, range(12), policy_seed=k) for who, k in players]
    write_episodes(file, [episode for episodes in played_by for episode in episodes])
    return file


def flat(model: torch.nn.Module) -> torch.Tensor:
    """All weights in one line."""
    return torch.cat([weight.detach().flatten().clone() for weight in model.parameters()])


def metrics(run: Path) -> list[dict[str, float]]:
    """What a run has logged, without the clock."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    clocks = ("time", "memory/")  # seconds and the process's size are no result
    return [
        {name: value for name, value in row.items() if not name.startswith(clocks)} for row in rows
    ]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Everything that a checkpoint holds: of the model, the critics and the optimizers."""
    from safetensors.torch import load_file

    checkpoint = run / "checkpoints"
    (file,) = checkpoint.glob("*model.safetensors")
    return {**load_file(file), **_tensors(read_state(checkpoint), "state")}


def _tensors(value: object, name: str) -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {name: value}
    pairs = value.items() if isinstance(value, dict) else ()
    found: dict[str, torch.Tensor] = {}
    for key, item in pairs:
        found |= _tensors(item, f"{name}.{key}")
    return found


def assert_same_run(one: Path, other: Path) -> None:
    """The same numbers to the last bit: logs, episodes, credit, weights."""
    assert metrics(one) == metrics(other)
    for name in ("episodes.jsonl", "credit.jsonl"):
        files = [run / name for run in (one, other)]
        assert files[0].exists() == files[1].exists()
        if files[0].exists():
            assert files[0].read_text() == files[1].read_text()
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys() and mine
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
