import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from algorithms import tables
from algorithms.bench.credit.draws import DRAWS
from algorithms.bench.credit.environments import ENVIRONMENTS
from algorithms.bench.credit.estimators import ESTIMATORS
from algorithms.bench.credit.learning import (
    Adam,
    Settings,
    action_chances,
    learn,
    place,
    policy_gradient,
    uniform_chances,
)
from algorithms.bench.credit.world import World
from algorithms.bench.tabular_learning import Plan, cell_name, measure, run_cell
from algorithms.tables.learning import LANGUAGE_MODELS, TABULAR

BY_NAME = {estimator.name: estimator for estimator in ESTIMATORS}
SHORT = Settings(iterations=6, episodes=16, every=3)
SMALL = Plan(
    {name: ENVIRONMENTS[name] for name in ("Microwave", "DelayedKey")},
    [BY_NAME["RLOO"], BY_NAME["SPO-tree"]],
    [0, 1],
    SHORT,
)


@pytest.mark.parametrize("name", ["Microwave", "StopOrContinue", "DelayedKey", "Wordle"])
def test_a_step_along_the_exact_gradient_raises_the_exact_value(name):
    here = place(ENVIRONMENTS[name])
    world = World(here.model, uniform_chances(here.model.words))
    table = Adam(np.log(world.chances_P), step_size=0.01)
    values = [here.normalised(world)]
    for _ in range(3):
        table.follow(here.world(table.logits_P).true_gradient)
        values.append(here.normalised(here.world(table.logits_P)))
    assert values[0] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(values) > 1e-4).all()


def test_the_logits_of_a_policy_give_back_its_chances():
    words = place(ENVIRONMENTS["Wordle"]).model.words
    counts = np.diff(words.first_action)
    weights = np.random.default_rng(0).random(counts.sum())
    totals = np.repeat(np.add.reduceat(weights, words.first_action[:-1]), counts)
    chances = weights / totals
    shift_R = np.linspace(-700.0, 700.0, len(words.options))  # what a whole row shares is nothing
    given = action_chances(words, np.log(words.chances(chances)) + shift_R[words.rows])
    assert given == pytest.approx(chances)


def test_the_mean_sampled_gradient_of_exact_credit_is_the_true_one():
    here = place(ENVIRONMENTS["StopOrContinue"])
    world = World(here.model, uniform_chances(here.model.words))
    sample = DRAWS["episodes"](world, 40_000, np.random.default_rng(0))
    exact = policy_gradient(sample, BY_NAME["turn GAE, lambda 0, exact values"])
    assert exact == pytest.approx(world.true_gradient, abs=0.01)


def test_exact_credit_and_a_large_budget_reach_the_optimum():
    settings = Settings(iterations=100, episodes=64, step_size=0.3)
    exact = BY_NAME["turn GAE, lambda 0, exact values"]
    assert learn(place(ENVIRONMENTS["Microwave"]), exact, 0, settings).values[-1] > 0.999


def test_estimators_that_differ_by_a_factor_learn_the_same():
    here = place(ENVIRONMENTS["Microwave"])
    one, other = (
        learn(here, BY_NAME[name], 0, Settings(iterations=20)).values
        for name in ("RLOO", "Dr. GRPO")
    )
    assert one == pytest.approx(other, abs=1e-4)
    assert one[-1] > 0.5


@pytest.mark.parametrize("name", ["StopOrContinue", "Microwave"])
def test_every_way_of_drawing_spends_the_same_turns(name):
    here, settings = place(ENVIRONMENTS[name]), Settings(iterations=40)
    budget = settings.iterations * settings.episodes * here.turns
    users = {estimator.draw: estimator for estimator in ESTIMATORS}
    assert users.keys() == DRAWS.keys()
    for estimator in users.values():
        learned = learn(here, estimator, 0, settings)
        # what is over or left is at most one iteration's luck, or a unit that was too dear
        assert abs(learned.turns / budget - 1.0) < 0.02, estimator.name
        assert len(learned.values) == settings.iterations + 1


@pytest.mark.parametrize("seed", [0, 1])
def test_one_cheap_sample_does_not_spend_the_later_ones(seed):
    # an iteration has one unit, which is long or short by luck, and shorter as the table learns
    settings = Settings(iterations=60, episodes=8, step_size=0.3)
    here = place(ENVIRONMENTS["Maze u"])
    learned = learn(here, BY_NAME["SPO-chain"], seed, settings)
    assert learned.turns == pytest.approx(60 * 8 * here.turns, rel=0.05)


def test_what_no_unit_fits_into_is_saved_for_later():
    here = place(ENVIRONMENTS["DelayedKey"])  # every episode has six turns
    learned = learn(here, BY_NAME["RLOO"], 0, Settings(iterations=8, episodes=2))
    assert (learned.steps, learned.turns) == (2, 2 * 8 * 6)


def test_a_stopped_run_goes_on_and_equals_the_uninterrupted_one(tmp_path):
    def stop(sample):
        raise KeyboardInterrupt

    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    measure(whole, "x", SMALL)
    stopping = replace(BY_NAME["SPO-tree"], credit=stop)
    with pytest.raises(KeyboardInterrupt):
        measure(parts, "x", replace(SMALL, estimators=[BY_NAME["RLOO"], stopping]))
    assert list(json.loads(parts.read_text())["cells"]) == ["Microwave / RLOO"]
    measure(parts, "x", SMALL)
    assert json.loads(parts.read_text()) == json.loads(whole.read_text())
    written = parts.stat().st_mtime_ns
    measure(parts, "x", SMALL)
    assert parts.stat().st_mtime_ns == written


def test_results_of_other_settings_are_not_mixed(tmp_path):
    file = tmp_path / "tabular.json"
    small = replace(SMALL, environments={"Microwave": ENVIRONMENTS["Microwave"]})
    measure(file, "x", small)
    with pytest.raises(ValueError, match="got other seeds, settings; move it away"):
        measure(file, "x", replace(small, seeds=[0], settings=replace(SHORT, episodes=8)))


def test_a_cell_has_the_curve_its_end_and_its_mean():
    cell = run_cell(ENVIRONMENTS["Microwave"], BY_NAME["RLOO"], [0, 1, 2], replace(SHORT, every=1))
    curves = np.array(cell["curves"])
    assert curves.shape == (3, SHORT.iterations + 1) and (curves[:, 0] == 0.0).all()
    assert cell["finals"] == curves[:, -1].tolist()
    assert cell["areas"] == pytest.approx(np.trapezoid(curves, axis=1) / 6, abs=1e-4)
    final = cell["final"]
    assert final["low"] <= final["mean"] <= final["high"]
    assert final["mean"] == pytest.approx(np.mean(cell["finals"]), abs=1e-4)


def test_the_command_in_miniature_says_how_far_a_table_came(monkeypatch, capsys):
    file = Path(__file__).parents[3] / "examples" / "benchmarks" / "tabular_learning.py"
    monkeypatch.setattr(sys, "argv", [str(file), "--smoke"])
    runpy.run_path(str(file), run_name="__main__")
    assert "RLOO on Microwave: 1.00 of the way to optimal play" in capsys.readouterr().out


def _write(file, record):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record))


def _row(written, name):
    (line,) = (line for line in written.splitlines() if line.startswith(f"| {name} |"))
    return line.split(" | ")


ORIGIN = {"command": "python x", "machine": {"processor": "CPU Z"}, "seeds": [0, 1, 2]}


def test_a_table_cell_that_was_not_run_says_so(tmp_path):
    assert tables.tabular(tmp_path) == ""
    final = {"mean": 0.5, "low": 0.25, "high": 0.754}
    cell = {"final": final, "area": {"mean": 0.4, "low": 0.35, "high": 0.45}, "commit": "a" * 40}
    cells = {cell_name(env, "GRPO"): cell for env in ENVIRONMENTS}
    cells[cell_name("Microwave", "RLOO")] = {**cell, "commit": "b" * 40}
    settings = {"iterations": 100, "episodes": 32}
    record = {**ORIGIN, "settings": settings, "cells": cells}
    _write(tmp_path / TABULAR, record)
    written = tables.tabular(tmp_path)
    assert "commit `aaaaaaaaaaaa`, `bbbbbbbbbbbb`, CPU Z" in written
    assert "turns of 3,200 uniform episodes" in written
    assert _row(written, "GRPO")[1:4] == ["0.40", "not run", "0.50 [0.25, 0.75]"]
    assert _row(written, "RLOO")[1:5] == ["not run", "not run", "0.50 [0.25, 0.75]", "not run"]
    assert _row(written, "flattened GAE, .95 / .95 (foil)")[1:3] == ["not run", "not run"]
    low, high = {"mean": 0.3, "low": 0.3, "high": 0.34}, {"mean": 0.5, "low": 0.46, "high": 0.5}
    others = {cell_name(env, "RLOO"): {**cell, "area": low} for env in ENVIRONMENTS}
    others[cell_name("Wordle", "RLOO")]["area"] = high
    others[cell_name("Bandit", "RLOO")] = cell
    _write(tmp_path / TABULAR, {**record, "cells": cells | others})
    written = tables.tabular(tmp_path)
    assert _row(written, "GRPO")[2] == f"{len(ENVIRONMENTS) - 2} / 1"
    assert _row(written, "RLOO")[2] == "0 / 0"


def test_a_language_model_that_was_not_trained_says_so(tmp_path):
    def cell(success):
        return {"success": {"mean": success}, "return": {"mean": -success}, "commit": "a" * 40}

    cells = {f"maze / grpo / {seed}": cell(0.5) for seed in range(3)}
    cells["maze / rloo / 0"] = cell(0.75)
    starts = {f"maze / {seed}": cell(0.25 * seed) for seed in range(3)}
    _write(tmp_path / LANGUAGE_MODELS, {**ORIGIN, "cells": cells, "starts": starts})
    written = tables.language_models(tmp_path)
    assert _row(written, "start")[1:4] == ["0.25 [-0.35, 0.85]", "-0.25 [-0.85, 0.35]", "not run"]
    assert _row(written, "grpo")[1:3] == ["0.50 [0.50, 0.50]", "-0.50 [-0.50, -0.50]"]
    assert _row(written, "rloo")[1] == "0.75, 1 of 3 seeds"
    assert _row(written, "gigpo")[1] == "not run"
