import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from algorithms import cli
from algorithms.commands.evaluation import print_scores
from algorithms.commands.training import ALGORITHMS
from lmenvs import TABLE
from lmenvs.references import references
from lmenvs.types import read_episodes

ROOT = Path(__file__).parents[2]
MICROWAVE = "lmenvs/Microwave-v0"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command, in this process."""
    try:
        code = cli.main(list(arguments))
    except SystemExit as end:  # tyro ends --help so
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that bad input gets."""
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and err.startswith("lmenvs: ")
    return err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_subcommand_explains_itself_with_examples(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"usage: lmenvs {command}" in out
    assert f"  lmenvs {command} " in out[out.index("Examples:") :]


def test_the_overview_names_every_subcommand(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0 and all(f"  {name} " in out for name in cli.COMMANDS)


def test_every_algorithm_file_is_a_train_subcommand():
    files = (ROOT / "algorithms").glob("*.py")
    trainable = {
        f.stem
        for f in files
        if "\nclass Config:" in f.read_text() and "\ndef train(" in f.read_text()
    }
    assert set(ALGORITHMS) == trainable


def test_list_shows_every_id_and_json_can_be_read(capsys):
    _, table, _ = run(capsys, "list")
    assert [line.split()[0] for line in table.splitlines()[1:]] == list(TABLE)
    _, text, _ = run(capsys, "list", "--json", "--tag", "exact")
    rows = json.loads(text)
    assert {row["id"] for row in rows} == {i for i, s in TABLE.items() if "exact" in s.tags}
    assert "exact" in refused(capsys, "list", "--tag", "exakt")


def test_list_shows_reference_scores_their_errors_and_what_measures_them(capsys):
    name = "lmenvs/ContextualBandit-v0"
    _, table, _ = run(capsys, "list", "--tag", "bandit")
    row = next(line for line in table.splitlines() if line.startswith(f"{name} "))
    known = references(name)
    shown = [f"{known[n].value:.4g} +- {known[n].error:.2g}" for n in ("min", "average", "max")]
    assert " / ".join([*shown, known["expert"].shown(4)]) in row
    _, text, _ = run(capsys, "list", "--json", "--tag", "bandit")
    rows = {row["id"]: row["references"][row["id"]] for row in json.loads(text)}
    assert rows[name]["expert"]["command"] == f"python -m lmenvs.measuring {name}"
    assert rows["lmenvs/BernoulliBandit-v0"]["max"]["command"] is None  # by arithmetic


def test_play_shows_every_turn_and_writes_the_episode(capsys, tmp_path):
    file = tmp_path / "e.jsonl"
    code, out, _ = run(capsys, "play", MICROWAVE, "--out", str(file))
    assert code == 0
    assert "[3] > close the microwave   (+1)" in out
    assert out.endswith("solved after 3 turns, return 1\n")
    (episode,) = read_episodes(file)
    assert episode.success and len(episode.turns) == 3
    assert "expected a new file" in refused(capsys, "play", MICROWAVE, "--out", str(file))


def test_a_person_can_play_and_an_end_of_input_is_one_line():
    command = [sys.executable, "-m", "algorithms.cli", "play", MICROWAVE, "--policy", "human"]
    moves = "open the microwave\nput the pancake in the microwave\nclose the microwave\n"
    played = subprocess.run(
        command, input=moves, capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "solved after 3 turns" in played.stdout
    broken = subprocess.run(
        command, input="open\n", capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert broken.returncode == 2 and broken.stderr.startswith("lmenvs: the input ended")


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("evaluations")
    for policy in ("expert", "random"):
        arguments = ["eval", "--env", f"{MICROWAVE},lmenvs/Maze-v0?layout=u", "--policy", policy]
        out = ["--episodes", "12", "--out", str(folder / policy)]
        assert cli.main([*arguments, *out]) == 0
    return {policy: folder / policy for policy in ("expert", "random")}


def test_eval_writes_configuration_scores_episodes_and_a_report(evaluations):
    folder = evaluations["expert"]
    files = {file.name for file in folder.iterdir()}
    assert files == {"config.json", "summary.json", "episodes.jsonl", "report.html"}
    results = json.loads((folder / "summary.json").read_text())["results"]
    assert [(r["env"], r["n"], r["success"]["mean"]) for r in results] == [
        (MICROWAVE, 12, 1.0),
        ("lmenvs/Maze-v0?layout=u", 12, 1.0),
    ]
    seeds = [e.seed for e in read_episodes(folder / "episodes.jsonl")]
    assert sorted(seeds) == sorted(2 * list(range(12)))


def test_a_score_is_the_normalised_return_with_its_interval(capsys):
    estimate = {"mean": 0.375, "low": -1.0, "high": 1.0}
    result = {"env": MICROWAVE, "policy": "p", "n": 2, "turns": 3.0, "invalid": 0.0}
    print_scores([{**result, "success": estimate, "return": estimate}])
    assert "50.0 [0.0, 100.0]" in capsys.readouterr().out


def test_eval_refuses_a_folder_that_holds_another_run(capsys, evaluations):
    before = (evaluations["expert"] / "summary.json").read_bytes()
    arguments = ["eval", "--env", MICROWAVE, "--policy", "random", "--episodes", "2"]
    line = refused(capsys, *arguments, "--out", str(evaluations["expert"]))
    assert "expected an empty folder" in line
    assert (evaluations["expert"] / "summary.json").read_bytes() == before


def test_compare_pairs_by_seed_and_bounds_the_difference(capsys, evaluations, tmp_path):
    file = tmp_path / "c.json"
    both = [str(evaluations["expert"]), str(evaluations["random"])]
    code, out, _ = run(capsys, "compare", *both, "--out", str(file))
    assert code == 0 and "A - B" in out
    rows = json.loads(file.read_text())["compared"]
    assert len(rows) == 4 and all(row["pairs"] == 12 for row in rows)
    scores = [json.loads((Path(f) / "summary.json").read_text())["results"] for f in both]
    for row in rows:
        means = [next(r for r in s if r["env"] == row["env"]) for s in scores]
        difference = means[0][row["measure"]]["mean"] - means[1][row["measure"]]["mean"]
        assert row["difference"] == pytest.approx(difference)
        assert row["low"] <= row["difference"] <= row["high"]
    assert "found no episodes.jsonl" in refused(capsys, "compare", both[0], str(tmp_path))


def test_a_corrupt_episode_file_is_named_with_its_line(capsys, evaluations, tmp_path):
    copy = shutil.copytree(evaluations["random"], tmp_path / "copy")
    with (copy / "episodes.jsonl").open("a") as file:
        file.write('{"id": 3\n')
    line = refused(capsys, "compare", str(evaluations["expert"]), str(copy))
    assert "episodes.jsonl, line 25" in line


def test_report_writes_one_page_of_several_runs(capsys, evaluations, tmp_path):
    page = tmp_path / "page.html"
    folders = [str(folder) for folder in evaluations.values()]
    code, out, _ = run(capsys, "report", *folders, "--out", str(page), "--title", "Both")
    assert code == 0 and out.strip() == str(page)
    assert "<title>Both</title>" in page.read_text()
    assert "expected the folder of a run" in refused(
        capsys, "report", str(tmp_path), "--out", str(tmp_path / "other.html")
    )


MAZE = "--env lmenvs/Maze-v0"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("pley lmenvs/Maze-v0", "did you mean play?"),
        ("", "expected a subcommand, got 'none'"),
        ("play lmenvs/Maize-v0", "did you mean lmenvs/Maze-v0?"),
        ("play lmenvs/Maze-v0?layuot=u", "layuot"),
        ("play lmenvs/Maze-v0 --policy robot", "policy 'robot'; expected"),
        ("play lmenvs/Maze-v0 --seed many", "--seed"),
        ("play lmenvs/Maze-v0 --sed 3", "did you mean --seed?"),
        ("eval {maze} --policy random", "--out"),
        ("eval {maze} --policy random --episodes 0 --out {out}", "episodes"),
        ("eval {maze} --policy random --seed -1 --out {out}", "--seed -1; expected"),
        ("eval --env , --policy random --out {out}", "no environment"),
        ("eval {maze} --policy random --out \udcff", "in UTF-8, got '\\\\udcff'; rename"),
        ("list --out {file}/a", "choose a folder; a file is in its place"),
        ("play lmenvs/Maze-v0 --max-turns 1 --out {long}", "too long; choose a shorter name"),
        ("compare {long} {long}", "too long; choose a shorter name"),
        ("bench env --seconds nan", "seconds = nan"),
        ("pretrain {maze} --out {out} --heads 3", "heads that divide hidden"),
        ("pretrain {maze} --out {out} --demonstrations {file}/a", "a file is in its place"),
        ("eval {maze} --policy hf:no/such/folder --out {out}", "no/such/folder"),
        ("eval --env lmenvs/Maze-v0,lmenvs/Nope-v0 --policy random --out {out}", "lmenvs/Nope-v0"),
        ("eval {maze} --policy openai:m@http://127.0.0.1:9/v1 --out {out}", "127.0.0.1:9"),
        ("train turn_pop --env lmenvs/Maze-v0", "did you mean turn_ppo?"),
        ("train turn_ppo {maze} --model no/such/folder --out {out}", "no/such/folder"),
        ("train turn_ppo {maze} --model m --out {out} --learning-rat 1", "--learning-rate?"),
        ("train turn_ppo {maze} --model m --out {out} --clip-high -1", "clip_high -1"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line_and_leaves_nothing_behind(capsys, tmp_path, arguments, says):
    out = tmp_path / "out"
    (file := tmp_path / "file").write_text("mine")
    given = {"out": out, "maze": MAZE, "file": file, "long": tmp_path / ("x" * 300)}
    assert says in refused(capsys, *arguments.format(**given).split())
    assert file.read_text() == "mine" and len(list(tmp_path.iterdir())) <= 2
    assert not out.exists() or not any(f.name != "config.json" for f in out.iterdir())


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("LMENVS_DEBUG", "1")
    with pytest.raises(ValueError, match="robot"):
        cli.main(["play", MICROWAVE, "--policy", "robot"])


def test_a_missing_package_is_told_with_its_extra_and_its_use():
    line = cli.explain(ModuleNotFoundError("No module named 'torch'", name="torch.nn"))
    expected = "torch is not installed, and language models run on it; pip install 'lmenvs[train]'"
    assert line == expected


def test_without_torch_training_says_what_to_install():
    program = (
        "import sys; sys.modules['torch'] = None; from algorithms.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "train", "turn_ppo", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "pip install 'lmenvs[train]'" in done.stderr and done.stderr.count("\n") == 1


def test_list_and_play_load_no_torch_and_are_quick():
    program = (
        "import sys; from algorithms.cli import main; code = main();"
        "print(any(m in sys.modules for m in ('torch', 'transformers', 'textworld', 'matplotlib')))"
    )
    for arguments in (["list"], ["play", MICROWAVE]):
        command = [sys.executable, "-c", program, *arguments]
        spent: list[float] = []
        while len(spent) < 5 and not (spent and min(spent) < 1):
            began = time.perf_counter()  # other work on the machine only ever slows down
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
            spent.append(time.perf_counter() - began)
            assert done.stdout.splitlines()[-1] == "False"
        assert min(spent) < 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes differ")
def test_a_reader_that_has_enough_is_no_error():
    command = f"{sys.executable} -m algorithms.cli list --json | head -1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=ROOT, env=os.environ, check=True
    )
    assert done.stdout == "[\n" and done.stderr == ""
