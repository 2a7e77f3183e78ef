import json
from pathlib import Path

import pytest

from agents.rollout import collect
from algorithms import cli
from lmenvs.types import read_episodes
from tests.support.training import start

MICROWAVE = "lmenvs/Microwave-v0"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = cli.main(list(arguments))
    except SystemExit as end:  # tyro ends --help so
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and err.startswith("lmenvs: ")
    return err


def test_a_dataset_is_made_described_and_trained_on(capsys, tmp_path: Path):
    given = ("--env", MICROWAVE, "--policy", "expert", "--episodes", "24")
    code, out, _ = run(capsys, "dataset", "make", *given, "--out", str(tmp_path / "data"))
    file = tmp_path / "data" / "episodes.jsonl"
    assert code == 0 and f"--data {file}" in out and "│ success " in out and "100.0 %" in out
    assert {path.name for path in file.parent.iterdir()} == {
        *("config.json", "episodes.jsonl", "card.json", "card.md")
    }
    code, shown, _ = run(capsys, "dataset", "card", str(file))
    assert code == 0 and shown in out.replace("written to", "\nwritten to")
    code, by_folder, _ = run(
        capsys, "dataset", "card", str(file.parent), "--out", str(tmp_path / "card")
    )
    assert code == 0 and by_folder == shown
    assert (tmp_path / "card" / "card.json").read_bytes() == (
        tmp_path / "data" / "card.json"
    ).read_bytes()
    given = ("--env", MICROWAVE, "--model", str(start()), "--epochs", "1")
    given = (*given, "--data", str(file), "--out", str(tmp_path / "run"))
    assert run(capsys, "train", "behaviour_cloning", *given)[0] == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"][
        "demonstrations"
    ] == str(file)


def test_a_mixture_and_resuming_have_options(capsys, tmp_path: Path):
    given = ("dataset", "make", "--env", MICROWAVE, "--mix", "random:1,expert:1")
    given = (*given, "--episodes", "8", "--out", str(tmp_path / "data"))
    assert run(capsys, *given)[0] == 0
    assert "expected an empty folder" in refused(capsys, *given)
    assert run(capsys, *given, "--resume")[0] == 0
    assert "seed: 0 -> 1" in refused(capsys, *given, "--resume", "--seed", "1")


def test_a_chat_log_and_a_minari_dataset_are_imported(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"messages": said, "reward": 1}) + "\n{}\n")
    given = ("dataset", "import", "--format", "chat", str(log), "--env", MICROWAVE)
    given = (*given, "--out", str(tmp_path / "chat"))
    assert "log.jsonl, line 2, field messages: expected" in refused(capsys, *given)
    assert not (tmp_path / "chat").exists()
    code, out, _ = run(capsys, *given, "--skip-broken")
    assert code == 0 and "1 broken, left out:" in out and "line 2" in out
    (episode,) = read_episodes(tmp_path / "chat" / "episodes.jsonl")
    assert episode.total_reward == 1.0
    pytest.importorskip("minari", reason="extra minari")
    from lmenvs.integrations.minari import write_minari

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    episodes = collect(MICROWAVE, "expert", range(3))
    write_minari("expert-v0", episodes)
    given = ("dataset", "import", "--format", "minari", "expert-v0")
    assert run(capsys, *given, "--out", str(tmp_path / "m"))[0] == 0
    assert list(read_episodes(tmp_path / "m" / "episodes.jsonl")) == episodes


def test_mistakes_are_answered_in_one_line(capsys, tmp_path: Path):
    out = ("--out", str(tmp_path / "x"))
    make = ("dataset", "make", "--env", MICROWAVE, *out)
    assert "did you mean make?" in refused(capsys, "dataset", "mak")
    assert "expected make, card or import, got 'none'" in refused(capsys, "dataset")
    assert "expected --policy or --mix, got neither" in refused(capsys, *make)
    both = ("--policy", "random", "--mix", "random:1")
    assert "expected --policy or --mix, got both" in refused(capsys, *make, *both)
    assert "episodes 0" in refused(capsys, *make, "--policy", "random", "--episodes", "0")
    assert "expected 'random'" in refused(capsys, *make, "--policy", "nobody")
    given = ("dataset", "make", "--env", "lmenvs/Mase-v0", "--policy", "random", *out)
    assert "did you mean lmenvs/Maze-v0?" in refused(capsys, *given)
    assert "correct the path" in refused(capsys, "dataset", "card", str(tmp_path / "none.jsonl"))
    given = ("dataset", "import", "--format", "chat", str(tmp_path / "none.jsonl"), *out)
    assert "correct the path" in refused(capsys, *given)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("part", ["make", "card", "import"])
def test_every_part_explains_itself_with_examples(capsys, part: str):
    code, out, _ = run(capsys, "dataset", part, "--help")
    assert code == 0 and f"usage: lmenvs dataset {part}" in out
    assert f"  lmenvs dataset {part} " in out[out.index("Examples:") :]
