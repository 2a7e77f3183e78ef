import json
import re
import shlex
from pathlib import Path

import pytest

from algorithms import cli, tables
from algorithms.tables.engine import FILE as ENGINE
from algorithms.tables.results import FOLDER as RESULTS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line for _, block in BLOCKS for line in block.splitlines() if line.startswith("lmenvs ")
]
# the same commands in miniature: what is added at their ends
SMALL = {
    "eval": "--episodes 8",
    "pretrain": "--episodes 8 --epochs 1 --hidden 32 --layers 1 --heads 2",
    "bench": "--only Microwave --budgets 8 --samples 2",
    "train turn_ppo": "--iterations 1 --episodes 4 --epochs 1 --max-turns 3",
    "train ilql": "--iterations 1 --steps 2 --max-turns 3 --evaluations 2",
    "dataset make": "--episodes 8",
}


def test_the_example_runs_and_prints_the_exact_optimum(capsys):
    (example,) = [block for language, block in BLOCKS if language == "python"]
    assert len([line for line in example.splitlines() if line]) <= 15
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("> move ") and lines[-2] == "-2.5" and "low=" in lines[-1]


def test_the_commands_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert {line.split()[1] for line in COMMANDS} >= set(cli.COMMANDS)
    for line in COMMANDS:
        words = shlex.split(line)[1:]
        small = SMALL.get(words[0], SMALL.get(" ".join(words[:2]), ""))
        code = cli.main([*words, *small.split()])
        assert code == 0, (line, capsys.readouterr().err)
    assert (tmp_path / "runs" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "runs" / "ppo" / "checkpoints" / "model.safetensors").exists()


@pytest.mark.parametrize("text", ["README.md", ".github/CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(text):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^`*make (?:[A-Z]+=\S+ )?([a-z]+)\b", _code(ROOT / text), re.MULTILINE))
    assert named and named <= targets


def _code(file: Path) -> str:
    return "\n".join(re.findall(r"`+[^`]+`+", file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", tables.PAGES)
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert local and all((ROOT / page).parent.joinpath(link).exists() for link in local)


@pytest.mark.parametrize("page", tables.PAGES)
def test_the_tables_say_what_the_code_says(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert tables.filled(page, text) == text


def _write(file, record):
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(record))


def test_a_result_file_without_its_origin_is_refused(tmp_path):
    _write(tmp_path / RESULTS / "demo.json", {"results": [], "command": "x", "seeds": [0]})
    with pytest.raises(ValueError, match="got no commit, machine"):
        tables.results(tmp_path)


def test_results_are_written_with_intervals_and_with_how_they_were_made(tmp_path):
    success = {"mean": 0.9, "low": 0.85, "high": 0.95}
    row = {"env": "lmenvs/X-v0", "n": 64, "success": success, "return": success}
    rows = [{**row, "policy": "ppo"}, {**row, "policy": "ppo (greedy)"}]
    record = {"results": rows, "command": "make demo", "seeds": [0, 1, 2]}
    record |= {"commit": "a" * 40, "machine": {"processor": "CPU Z"}}
    _write(tmp_path / RESULTS / "demo.json", record)
    written = tables.results(tmp_path)
    assert "| ppo | 90.0 % [85.0, 95.0] | 90.0 % [85.0, 95.0] | 64 |" in written
    assert "`make demo`, seeds 0, 1, 2, commit `aaaaaaaaaaaa`, CPU Z" in written


def test_the_engines_speeds_are_written_with_how_they_were_measured(tmp_path):
    rollout = {
        "regime": "random stops",
        "turns": 20,
        "tokens_per_second": 1234.0,
        "episodes_per_second": 11.52,
        "times_generate": 10.44,
        "of_limit": 0.918,
        "forwarded_per_distinct": 0.9987,
    }
    training = {"turns": 20, "tokens_per_second": 9000.0, "of_bare": 0.99}
    shares = {"forward": 0.8, "sampling": 0.01, "chat": 0.027, "scheduling": 0.04}
    shares["environment"] = 0.123
    held = {"early": {"iteration": 100}, "late": {"iteration": 999}}
    record = {
        "command": "lmenvs bench engine",
        "date": "2026-01-31",
        "commit": "b" * 40,
        "machine": {"processor": "CPU Z", "threads": 1},
        "versions": {"torch": "2.13.0", "transformers": "5.23.0"},
        "parts": {
            "rollout: random stops, 20 turns": rollout,
            "rollout: mixed": {**rollout, "regime": "mixed", "times_generate": None},
            "training: 20 turns": {**training, "times_row_per_turn": 9.51},
            "overhead: E": [{"env": "E, first time", "shares": shares}],
            "iteration: archer, cpu": {"seconds": {"collect": 1.5, "save": 0.25}},
            "leaks": {**held, "grown_mib": 0.25, "grown_files": 0},
        },
    }
    assert tables.engine(tmp_path) == ""
    _write(tmp_path / ENGINE, record)
    written = tables.engine(tmp_path)
    assert "`lmenvs bench engine`, 2026-01-31, commit `bbbbbbbbbbbb`, CPU Z, 1 thread," in written
    assert "| random stops | 20 | 1,234 | 11.5 | 10.4 | 0.92 | 1.00 |" in written
    assert "| mixed | 20 | 1,234 | 11.5 |  | 0.92 | 1.00 |" in written
    assert "| 20 turns | 9,000 | 0.99 | 9.5 |" in written
    assert "| `E`, first time | 12.3 % | 2.7 % | 4.0 % | 1.0 % | 80.0 % |" in written
    assert "| archer, cpu | 1.50 | 0.25 |" in written
    assert "From iteration 100 to 999" in written and "+0.2 MiB, +0 open files" in written
