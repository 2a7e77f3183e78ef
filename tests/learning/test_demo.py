"""The demo reaches its goal; ten minutes on two idle cores, so behind the mark `slow`."""

import json

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from algorithms import demo


@pytest.mark.slow
def test_a_tiny_model_learns_textworld_beyond_the_goal(tmp_path):
    assert demo.main(["--out", str(tmp_path / "demo"), "--seed", "7"]) == 0
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    success = {row["policy"]: row["success"]["mean"] for row in summary["results"]}
    assert summary["distinct_games"] >= 64
    assert success["random"] < success["start"] < success["turn_ppo"] < success["expert"] + 1e-9
    assert success["turn_ppo"] >= demo.GOAL
    folder = tmp_path / "demo" / "checkpoints"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert 1e6 <= model.num_parameters() <= 4e6
    assert AutoTokenizer.from_pretrained(folder).is_fast


def test_the_note_names_the_better_trainer_and_what_it_reached(tmp_path):
    row = {"mean": 0.5, "low": 0.4, "high": 0.6}
    success = {"start": row, "turn_ppo": {**row, "mean": 0.95}, "archer": row}
    results = [{"policy": name, "success": value} for name, value in success.items()]
    (tmp_path / "archer").mkdir()
    share = {"critic/advantage_explained_variance": 0.005}
    waits = {"critic/explained_variance": 0.1, **share}
    moves = {"critic/explained_variance": 0.2, "actor/advantage_std": 0.1, **share}
    lines = "".join(json.dumps(line) + "\n" for line in (waits, waits, moves))
    (tmp_path / "archer" / "metrics.jsonl").write_text(lines)
    said = " ".join(demo.notes(results, 90, tmp_path))
    assert "95.0%" in said
    assert "reaches the goal of 90%" in said
    assert "turn_ppo is the model in checkpoints/" in said
    assert "in 1 of 3 iterations" in said
    assert "explain 0.5% of what" in said
    success["turn_ppo"] = {**row, "mean": 0.6}
    results = [{"policy": name, "success": value} for name, value in success.items()]
    assert "does not reach" in " ".join(demo.notes(results, 90, tmp_path))
