"""A secret that a user gives in any place is in no file and no output of eval, train or report."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from algorithms import cli, support
from lmenvs.types import Action, Episode, Turn
from tests.support.openai_server import Echo, serving
from tests.support.training import MICROWAVE, start

SECRET = "hunter2-Zq7w"
ROOT = Path(__file__).resolve().parents[2]

Said = Callable[[], str]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Said]:
    def everything() -> str:
        captured = capfd.readouterr()
        return captured.out + captured.err + caplog.text

    yield everything


def assert_nowhere(folder: Path, *texts: str) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    for name, text in [
        *((str(file), file.read_bytes().decode("utf-8", "replace")) for file in files),
        *(("output", text) for text in texts),
    ]:
        assert SECRET not in text, f"{name}: {text[max(0, text.find(SECRET) - 80) :][:160]}"


def test_eval_and_report_write_and_say_no_secret(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: Said,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG)  # httpx logs what it asks for
    monkeypatch.setenv("OPENAI_API_KEY", f"key-{SECRET}")

    class Leaky(Echo):
        """Replies with the key, as a proxy that shows what it was sent might."""

        def act(self, conversations):
            said = f"put the potato, Bearer key-{SECRET}"
            return [replace(action, text=said) for action in super().act(conversations)]

    out = tmp_path / "out"
    with serving(Leaky()) as server:
        address = urlsplit(server.url)
        url = f"http://me:{SECRET}@{address.hostname}:{address.port}{address.path}"
        extra = json.dumps({"api_key": SECRET}, separators=(",", ":"))
        spec = f"openai:tiny@{url}?extra={extra}"
        arguments = ["eval", "--env", MICROWAVE, "--policy", spec, "--episodes", "2"]
        monkeypatch.setattr(sys, "argv", ["lmenvs", *arguments, "--api-key", SECRET])
        assert cli.main([*arguments, "--out", str(out)]) == 0
    record = json.loads((out / "config.json").read_text())
    assert record["config"]["policy"].startswith("openai:tiny@http://***@127.0.0.1")
    assert record["command"][-2:] == ["--api-key", "***"]
    assert "put the potato" in (out / "episodes.jsonl").read_text()
    titles = ["--title", f"at {url}", "--note", f"my token={SECRET}"]
    assert cli.main(["report", str(out), "--out", str(tmp_path / "r.html"), *titles]) == 0
    assert "my token=***" in (tmp_path / "r.html").read_text()
    assert_nowhere(tmp_path, said())


def test_play_writes_and_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said
):
    monkeypatch.setenv("LMENVS_API_KEY", SECRET)

    class Leaky(Echo):
        """Replies with the key."""

        def act(self, conversations):
            return [replace(one, text=f"use {SECRET}") for one in super().act(conversations)]

    with serving(Leaky()) as server:
        arguments = ["play", MICROWAVE, "--policy", f"openai:tiny@{server.url}"]
        assert cli.main([*arguments, "--out", str(tmp_path / "played.jsonl")]) == 0
    told = said()
    assert "use ***" in told and "use ***" in (tmp_path / "played.jsonl").read_text()
    assert_nowhere(tmp_path, told)


@pytest.mark.parametrize(
    "policy",
    [
        "openai:tiny@http://me:{}@127.0.0.1:9/v1",  # nobody answers there
        "openai:tiny@http://127.0.0.1:9/v1?api_key={}",  # no such option
        "openai:tiny@ftp://me:{}@127.0.0.1/v1",
        "openai:tiny@http://me:{}@[broken/v1",
        "hf:https://me:{}@127.0.0.1/model",
        "robot?token={}",
    ],
)
def test_a_mistake_is_told_without_its_secret(policy: str, tmp_path: Path, said: Said):
    arguments = ["--env", MICROWAVE, "--policy", policy.format(SECRET), "--episodes", "1"]
    assert cli.main(["eval", *arguments, "--out", str(tmp_path / "out")]) == 2
    told = said()
    assert len(told.strip().splitlines()) == 1 and told.startswith("lmenvs: ")
    assert_nowhere(tmp_path, told)


def test_a_traceback_shows_no_secret(tmp_path: Path):
    spec = f"openai:tiny@http://me:{SECRET}@127.0.0.1:9/v1"
    command = [sys.executable, "-m", "algorithms.cli", "play", MICROWAVE, "--policy", spec]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "LMENVS_DEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and "Traceback" in done.stderr and "***@127.0.0.1" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_train_writes_and_says_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said
):
    monkeypatch.setenv("HF_TOKEN", f"hf_{SECRET}")
    out = tmp_path / "out"
    arguments = ["train", "reinforce", "--env", MICROWAVE, "--model", str(start())]
    arguments += ["--iterations", "1", "--groups", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["lmenvs", *arguments, f"--hub-token={SECRET}"])
    assert cli.main(arguments) == 0
    assert cli.main(["train", "reinforce", "--env", MICROWAVE, "--api-key", SECRET]) == 2
    record = json.loads((out / "config.json").read_text())
    assert record["command"][-1] == "--hub-token=***"
    assert_nowhere(tmp_path, said())


def test_logs_of_a_run_hold_no_secret_and_a_new_one_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LMENVS_API_KEY", SECRET)
    config = {"env": f"lmenvs/X-v0?password={SECRET}", "n": {"token": SECRET, "url": [SECRET]}}
    run = support.open_run(tmp_path, config)
    turn = Turn(f"the server says {SECRET}", Action("go"), 1.0)
    env = f"lmenvs/X-v0?words=http://me:word@host/w&password={SECRET}"
    run.episodes([Episode("e", env, 0, "all", "", (turn,), "", True, False, True)])
    run.credit([(f"e {SECRET}", [0.5], None)])
    run.log(0, {f"rollout/{SECRET}": 1.0})
    assert_nowhere(tmp_path)
    monkeypatch.setenv("LMENVS_API_KEY", "another-key")  # a key may change between two sittings
    changed = json.loads(json.dumps(config).replace(SECRET, "another-key"))
    support.open_run(tmp_path, changed, resume=True)
