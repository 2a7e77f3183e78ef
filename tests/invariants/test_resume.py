"""A run that was stopped and resumed is the run that was not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algorithms import archer, behaviour_cloning, reinforce, support, turn_ppo
from algorithms.behaviour_cloning import TinyConfig
from tests.support.language import interrupted_after
from tests.support.training import MICROWAVE, assert_same_run, cloning, metrics, start

Trainer = Callable[[Path, bool], Path]
SHORT: dict[str, Any] = {"iterations": 3, "max_new_tokens": 8}
PPO = turn_ppo.Config(**SHORT, episodes=6)
ARCHER = archer.Config(
    **SHORT,
    episodes=6,
    warmup_iterations=1,
    critic_steps=2,
    batch_size=4,
    actor_steps=2,
    token_baseline=True,
)
REINFORCE = reinforce.Config(**SHORT, groups=2, group_size=3)
LORA: dict[str, Any] = {"lora_rank": 2}

TRAINERS: dict[str, Trainer] = {
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
    "reinforce": lambda out, again: reinforce.train(
        MICROWAVE, start(), out, REINFORCE, resume=again
    ),
    "turn_ppo": lambda out, again: turn_ppo.train(MICROWAVE, start(), out, PPO, resume=again),
    "archer": lambda out, again: archer.train(MICROWAVE, start(), out, ARCHER, resume=again),
    "reinforce with LoRA": lambda out, again: reinforce.train(
        MICROWAVE, start(), out, reinforce.Config(**SHORT, **LORA, groups=2), resume=again
    ),
    "turn_ppo with LoRA": lambda out, again: turn_ppo.train(
        MICROWAVE, start(), out, turn_ppo.Config(**SHORT, **LORA, episodes=6), resume=again
    ),
    "archer with LoRA": lambda out, again: archer.train(
        MICROWAVE,
        start(),
        out,
        archer.Config(
            **SHORT,
            **LORA,
            episodes=6,
            warmup_iterations=1,
            critic_steps=2,
            batch_size=4,
            actor_steps=2,
        ),
        resume=again,
    ),
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
