"""Where the seconds of an iteration go."""

import json
from pathlib import Path

from algorithms import support, turn_ppo
from algorithms.runs import Phases
from tests.support.training import MICROWAVE, start


def test_phases_add_up_and_an_inner_phase_is_taken_out_of_the_outer():
    clock = iter([0.0, 1.0, 3.0, 7.0, 8.0, 10.0, 13.0, 20.0])
    phases = Phases(lambda: next(clock))
    with phases.measure("collect"):  # 1 to 3
        with phases.measure("judge"):  # 3 to 7
            pass
        # 1 to 3, and 7 to 8: what was open goes on
        assert phases.taken() == {"time/collect": 3.0, "time/judge": 4.0}
    assert phases.taken() == {"time/collect": 2.0}  # 8 to 10; nothing was open until 13


def test_a_phase_is_counted_where_it_broke_off():
    clock = iter([0.0, 1.0, 3.0, 4.0])
    phases = Phases(lambda: next(clock))
    try:
        with phases.measure("update"):
            raise ValueError
    except ValueError:
        pass
    assert phases.taken() == {"time/update": 2.0}


def test_a_training_run_logs_its_phases_within_its_time(tmp_path: Path):
    config = turn_ppo.Config(iterations=3, episodes=4, max_new_tokens=8, save_every=1)
    run = turn_ppo.train(MICROWAVE, start(), tmp_path / "run", config)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    phases = ("time/collect", "time/credit", "time/update")
    assert all(row[name] > 0 for row in rows for name in phases)
    assert "time/save" not in rows[0] and rows[1]["time/save"] > 0  # on the line after it
    spent = sum(value for row in rows for name, value in row.items() if name.startswith("time/"))
    assert spent <= rows[-1]["time"] + 0.01


def test_a_run_without_phases_logs_none(tmp_path: Path):
    run = support.open_run(tmp_path, {})
    run.log(0, {"rollout/success": 1.0})
    assert sorted(run.logged) == ["rollout/success"]
    assert "time/" not in (tmp_path / "metrics.jsonl").read_text()
