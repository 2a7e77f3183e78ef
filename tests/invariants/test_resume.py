"""A run that was stopped and resumed is the run that was not."""

import dataclasses
import importlib
import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algorithms import behaviour_cloning, support, turn_ppo
from algorithms.behaviour_cloning import TinyConfig
from algorithms.commands.training import ALGORITHMS
from algorithms.preferences.mcts import Search
from algorithms.trainer.objective import Objective
from tests.support.language import interrupted_after
from tests.support.training import (
    MICROWAVE,
    assert_same_run,
    cloning,
    metrics,
    recorded,
    start,
)

Trainer = Callable[[Path, bool], Path]
# what is set of these is what an algorithm has; two minibatches, so that the order of rows counts
SHORT: dict[str, Any] = {
    **{"iterations": 3, "max_new_tokens": 8, "minibatches": 2},
    **{"episodes": 6, "groups": 2, "group_size": 3, "tasks": 6, "continuations": 2, "forks": 2},
    **{"warmup": 1, "warmup_iterations": 1, "critic_steps": 2, "batch_size": 4, "actor_steps": 2},
    **{"token_baseline": True, "steps": 2, "evaluations": 2, "critic_iterations": 1},
    **{"pool": 8, "classes": 2},
}


def small(name: str, **fields: Any) -> Trainer:
    """The algorithm with so few episodes that a run takes a moment."""
    module = importlib.import_module(f"algorithms.{name}")
    known = {field.name for field in dataclasses.fields(module.Config)}
    config = module.Config(**{k: v for k, v in {**SHORT, **fields}.items() if k in known})
    from_file = "data" in inspect.signature(module.train).parameters

    def train(out: Path, again: bool) -> Path:
        more = {"data": recorded()} if from_file else {}
        return module.train(MICROWAVE, start(), out, config, resume=again, **more)

    return train


OPTIONS = Objective(
    entropy_bonus=0.01,
    target_entropy=1.0,
    reference_kl=0.1,
    kl_in="reward",
    clip_covariance=0.1,
    kl_covariance=0.1,
    entropy_share=0.5,
    sampler_cap=2.0,
    equal_groups="drop",
)
TRAINERS: dict[str, Trainer] = {
    **{name: small(name) for name in ALGORITHMS if name not in ("behaviour_cloning", "mcts_dpo")},
    "pretrain": lambda out, again: behaviour_cloning.pretrain(
        MICROWAVE, out, TinyConfig(hidden=16, layers=1, heads=2, clone=cloning()), resume=again
    ),
    "behaviour_cloning": lambda out, again: behaviour_cloning.train(
        MICROWAVE,
        start(),
        out,
        cloning(demonstrator="expert", episodes=20, batch_size=8),
        resume=again,
    ),
    "mcts_dpo": small("mcts_dpo", search=Search(3, 2)),
    "reinforce with LoRA": small("reinforce", lora_rank=2),
    "turn_ppo with LoRA": small("turn_ppo", lora_rank=2),
    "archer with LoRA": small("archer", lora_rank=2),
    "reinforce on older data": small("reinforce", sync_every=2, form="opmd"),
    "grpo with all options": small("grpo", objective=OPTIONS),
    "turn_ppo with a budget of turns": small("turn_ppo", iterations=9, turn_budget=60),
}


@pytest.mark.parametrize("name", TRAINERS)
def test_stopped_and_resumed_is_as_if_never_stopped(name: str, tmp_path: Path):
    train = TRAINERS[name]
    start()  # made before the decoders' runs are counted
    with interrupted_after(0) as counted:
        whole = train(tmp_path / "whole", False)
    part = tmp_path / "part"
    with pytest.raises(support.Interrupted), interrupted_after(counted.forwards // 2):
        train(part, False)
    assert 0 < len(metrics(part)) < len(metrics(whole)) == 3
    train(part, True)
    assert_same_run(part, whole)


@pytest.mark.parametrize("name", ["turn_ppo", "archer", "reinforce", "pretrain"])
def test_the_same_run_twice_gives_the_same_numbers(name: str, tmp_path: Path):
    first, again = (TRAINERS[name](tmp_path / side, False) for side in ("first", "again"))
    assert_same_run(first, again)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path):
    run = TRAINERS["turn_ppo"](tmp_path / "run", False)
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    TRAINERS["turn_ppo"](tmp_path / "run", True)
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of another process is not portable")
def test_ctrl_c_leaves_a_checkpoint_that_resumes(tmp_path: Path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "algorithms.cli", "train", "turn_ppo", "--env", MICROWAVE]
    command += ["--model", str(start()), "--out", str(out), "--iterations", "400"]
    command += ["--episodes", "4", "--save-every", "1000"]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 240
        while not ((out / "metrics.jsonl").exists() and metrics(out)):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode not in (0, None), said
    done = len(metrics(out))
    assert 0 < done < 400
    assert b"Traceback" not in said
    config = turn_ppo.Config(iterations=400, episodes=4, save_every=1000)
    with pytest.raises(support.Interrupted), interrupted_after(1):
        turn_ppo.train(MICROWAVE, str(start() / "checkpoints"), out, config, resume=True)
    assert [row["iteration"] for row in metrics(out)] == list(range(done + 1))
