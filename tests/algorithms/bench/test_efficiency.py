"""Sample efficiency in miniature (torch)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

from algorithms.bench import efficiency
from algorithms.bench.efficiency import Cell
from algorithms.bench.learning import Task
from algorithms.tables.efficiency import FILE
from algorithms.tables.efficiency import efficiency as page_of

TINY = Task(
    env="lmenvs/Microwave-v0",
    held_out="lmenvs/Microwave-v0",
    demonstrator="random",
    demonstrations=24,
    epochs=2,
    hidden=16,
    turn_budget=20,
    max_turns=4,
    evaluations=4,
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(efficiency, "TASKS", {"tiny": TINY})
    quick = {"episodes": 4, "critic_steps": 1, "actor_steps": 1}
    small = {name: (quick,) for name in efficiency.SETTINGS}
    monkeypatch.setattr(efficiency, "SETTINGS", small)


def test_a_policy_has_arrived_when_its_last_episodes_earn_the_target():
    returns = [0.0] * 100 + [1.0] * 200
    assert efficiency.turns_until(returns, [3] * 300, 1.0) == 3 * 228
    assert efficiency.turns_until(returns, [3] * 300, 0.5) == 3 * 164
    assert efficiency.turns_until(returns, [3] * 300, 1.1) is None
    assert efficiency.turns_until([1.0] * 127, [3] * 127, 0.5) is None


def test_the_setting_that_arrived_first_counts_or_the_one_that_ended_highest(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(efficiency, "SETTINGS", {"archer": ({}, {})})

    def record(*found: tuple[int | None, float]) -> dict[str, Any]:
        return {
            "cells": {
                Cell("tiny", "archer", efficiency.TUNING_SEED, i).name: {
                    "turns_until": turns,
                    "last": last,
                }
                for i, (turns, last) in enumerate(found)
            }
        }

    assert efficiency.best_setting(record((500, 0.1), (400, 0.0)), "tiny", "archer") == 1
    assert efficiency.best_setting(record((None, 0.9), (400, 0.0)), "tiny", "archer") == 1
    assert efficiency.best_setting(record((None, 0.9), (None, 0.8)), "tiny", "archer") == 0


def test_cells_are_tried_then_counted_and_kept(tmp_path: Path):
    result = tmp_path / FILE
    chosen = list(efficiency.cells())
    assert len(chosen) == 2 + 3 * 2
    few = [cell for cell in chosen if cell.seed in (efficiency.TUNING_SEED, 0)]
    efficiency.measure(tmp_path / "runs", result, few, "python efficiency.py")
    record = efficiency.read(result)
    assert set(record["cells"]) == {cell.name for cell in few}
    scale = record["scales"]["tiny"]
    assert scale["expert"] == approx(1.0) and -1 < scale["random"] < 1
    counted = record["cells"]["tiny / archer / 0"]
    assert counted["turns"] >= 20 and counted["curve"][-1][0] == counted["turns"]
    before = result.read_bytes()
    efficiency.measure(tmp_path / "runs", result, few, "python efficiency.py")
    assert result.read_bytes() == before
    assert "| tiny | " in page_of(tmp_path) and "not run" in page_of(tmp_path)


def test_a_cell_ends_when_it_arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(efficiency, "WINDOW", 6)
    cell = efficiency.Cell("tiny", "token_ppo", 0)
    task = replace(TINY, turn_budget=1000)
    found = efficiency.run_cell(cell, task, {"episodes": 4}, -100.0, tmp_path)
    assert len(found["curve"]) == 2 and found["turns_until"] <= found["turns"] < 1000


def test_the_ratio_is_a_geometric_mean_or_a_bound(tmp_path: Path):
    def cell(turns: int | None) -> dict[str, Any]:
        return {"turns_until": turns, "commit": "abc"}

    def page(ppo: int | None) -> str:
        cells = {f"tiny / archer / {s}": cell(10) for s in (0, 1, 2)}
        cells |= {f"tiny / token_ppo / {s}": cell(t) for s, t in ((0, 20), (1, 20), (2, ppo))}
        record = {"cells": cells, "tasks": {"tiny": {"turn_budget": 20}}, "seeds": [0, 1, 2]}
        record |= {"command": "c", "machine": "m"}
        file = tmp_path / FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record))
        return page_of(tmp_path)

    assert "| 2 [2, 2] |" in page(20)
    assert "| > 2 [2, 2] |" in page(None) and "> 20" in page(None)
