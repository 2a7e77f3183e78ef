import runpy
import sys
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
SAYS = {
    "01_play": ["valid: False", "solved: True", "[-1. -1. -1.]"],
    "02_evaluate_expert": ["lmenvs/Maze-v0, 16 tasks", "split test", "expert - random = "],
    "03_train_turn_ppo": ["start: held-out success", "trained: held-out success", "report.html"],
    "04_exact_values": [
        "optimal return 1, of uniform play 0.375",
        "open the microwave       q +0.750  A +0.375",
        "maze, partial view: -7.24 for a player, -6.84 for an onlooker",
    ],
    "05_bandits": ["ucb       regret after", "recommending films, linucb", "Answer: comets"],
    "06_serve_and_train": ["served: success", "trained through HTTP: success", "exchange: []"],
    "07_measure_credit": [
        "the policy is worth 0.691, the best one 1",
        "1985 turns of 512 episodes",
        "truth                                   100.0%        1.000",
    ],
}


@pytest.fixture(autouse=True)
def _one_folder_for_all_they_write(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_runs_and_says_what_it_shows(file, capsys, monkeypatch):
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch is not None else None
    monkeypatch.setattr(sys, "argv", [str(file), "--smoke"])
    runpy.run_path(str(file), run_name="__main__")
    if torch is not None and threads is not None:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    for words in SAYS[file.stem]:
        assert words in out


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_fits_one_page(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 80
    assert "try:" not in text and "argparse" not in text
