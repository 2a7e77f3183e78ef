import dataclasses
import importlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from algorithms import cli
from algorithms.commands.training import ALGORITHMS
from algorithms.trainer.objective import Objective

ENV = "lmenvs/Microwave-v0"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrained") / "start"
    size = ["--hidden", "16", "--layers", "1", "--heads", "2", "--epochs", "1", "--episodes", "8"]
    arguments = ["pretrain", "--env", ENV, "--demonstrator", "expert", "--out", str(out), *size]
    assert cli.main(arguments) == 0
    return out


def train(start: Path, out: Path, iterations: int, *more: str) -> int:
    size = ["--iterations", str(iterations), "--episodes", "4", "--epochs", "1", *more]
    paths = ["--model", str(start), "--out", str(out)]
    return cli.main(["train", "turn_ppo", "--env", ENV, *paths, *size])


def logged(out: Path) -> list[int]:
    file = out / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["iteration"] for line in lines if line.endswith("}")]


def interrupt_when(ready: Callable[[], bool]) -> threading.Thread:
    """Press Ctrl-C once, as soon as the run is ready for it."""

    def watch() -> None:
        limit = time.monotonic() + 60
        while not ready() and time.monotonic() < limit:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_ctrl_c_during_training_leaves_a_checkpoint_that_resumes(start, tmp_path, capsys):
    out = tmp_path / "run"
    watcher = interrupt_when(lambda: len(logged(out)) >= 2)
    assert train(start, out, 100_000) == 130
    watcher.join()
    first = logged(out)
    assert first == list(range(len(first))) and len(first) >= 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("lmenvs: stopped on request; the checkpoint is saved; go on with:")
    assert told.endswith("--resume") and str(out) in told

    watcher = interrupt_when(lambda: len(logged(out)) > len(first))
    assert train(start, out, 100_000, "--resume") == 130
    watcher.join()
    second = logged(out)
    assert second == list(range(len(second))) and len(second) > len(first)
    AutoModelForCausalLM.from_pretrained(out / "checkpoints")
    AutoTokenizer.from_pretrained(out / "checkpoints")


def test_a_trained_run_can_be_evaluated_and_has_its_report(start, tmp_path):
    out = tmp_path / "run"
    assert train(start, out, 1) == 0
    assert "turn_ppo" in (out / "report.html").read_text()
    scored = tmp_path / "scored"
    policy = f"hf:{out}?temperature=0"
    arguments = ["eval", "--env", ENV, "--policy", policy, "--episodes", "3"]
    assert cli.main([*arguments, "--out", str(scored)]) == 0
    (result,) = json.loads((scored / "summary.json").read_text())["results"]
    assert result["n"] == 3 and result["tokens"] > 0


def test_resuming_with_other_options_is_refused_and_changes_nothing(start, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(start, out, 1) == 0
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    capsys.readouterr()
    assert train(start, out, 1, "--resume", "--clip-high", "0.3") == 2
    err = capsys.readouterr().err
    assert "got objective.clip_high: 0.2 -> 0.3; resume" in err and err.count("\n") == 1
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_algorithm_has_more_than_25_settings(name: str):
    config = importlib.import_module(f"algorithms.{name}").Config
    assert len(dataclasses.fields(config)) <= 25


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_two_options_of_a_command_share_a_name(name: str):
    config = importlib.import_module(f"algorithms.{name}").Config()
    own = {field.name for field in dataclasses.fields(config)}
    assert not own & {field.name for field in dataclasses.fields(Objective)}


def test_the_objectives_options_are_the_commands_own(start, tmp_path):
    out = tmp_path / "run"
    options = ["--reference-kl", "0.1", "--ratio", "turn", "--clip-low", "0.1"]
    options += ["--sampler-cap", "2", "--normalise", "none", "--lam", "0.5"]
    assert train(start, out, 1, *options) == 0
    given = json.loads((out / "config.json").read_text())["config"]
    objective = dataclasses.asdict(
        Objective(reference_kl=0.1, ratio="turn", clip_low=0.1, sampler_cap=2.0, normalise="none")
    )
    assert given["objective"] == objective and given["lam"] == 0.5
    row = json.loads((out / "metrics.jsonl").read_text())
    assert row["loss/reference_kl"] >= 0
    assert "objective.ratio" in (out / "report.html").read_text()


def test_a_folder_that_is_no_model_is_told_before_a_run_begins(tmp_path, capsys):
    (tmp_path / "notes").mkdir()
    assert train(tmp_path / "notes", tmp_path / "run", 1) == 2
    err = capsys.readouterr().err
    assert "config.json" in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
