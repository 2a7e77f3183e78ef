import time

import pytest

from algorithms.bench.environments import bare_steps, environment, footprint
from algorithms.bench.language_models import language_models
from algorithms.bench.measurement import best_rate
from algorithms.bench.parts import measure


def test_an_environment_is_timed_in_steps_a_second():
    rows = [
        r
        for name in ("lmenvs/Maze-v0", "lmenvs/Microwave-v0")
        for r in environment(name, 0.03, seed=0)
    ]
    assert [row["what"] for row in rows] == ["lmenvs/Maze-v0", "lmenvs/Microwave-v0"]
    assert all(row["unit"] == "steps/s" and row["value"] > 1000 for row in rows)


def test_steps_alone_are_faster_than_with_resets_and_choices():
    alone = bare_steps("lmenvs/StopOrContinue-v0", 0.05, seed=0, tasks=8)
    (whole,) = environment("lmenvs/StopOrContinue-v0", 0.05, seed=0)
    assert alone["unit"] == whole["unit"] == "steps/s"
    assert alone["value"] > whole["value"]


def test_the_steps_of_an_engine_are_timed_alone_with_the_games_that_come_along():
    alone = bare_steps("lmenvs/Jericho-v0", 0.03, seed=0, tasks=2)
    assert alone["what"] == "lmenvs/Jericho-v0, steps alone"
    assert alone["value"] > 1000


def test_a_reset_and_the_memory_of_many_environments_are_measured():
    reset, few = footprint("lmenvs/Maze-v0", seed=0, count=10)
    _, many = footprint("lmenvs/Maze-v0", seed=0, count=40)
    assert (reset["unit"], few["unit"]) == ("ms", "MiB")
    assert 0.001 < reset["value"] < 50
    assert few["value"] < many["value"] < 10


def test_a_rate_is_what_was_counted_over_the_time_it_took():
    def work() -> int:
        time.sleep(0.01)
        return 50

    rate = best_rate(work, seconds=0.06)
    assert 1000 < rate <= 5000  # 50 in a little over 10 ms; the best of three is never above


def test_a_text_world_is_timed_with_and_without_its_memory():
    cold, warm = environment("lmenvs/TextWorldFile-v0", 0.01, seed=0)
    assert cold["what"] == "lmenvs/TextWorldFile-v0, first time"
    assert warm["value"] > cold["value"]


def test_sampled_and_trained_tokens_are_counted():
    sampled, trained = language_models(0.01, seed=0, conversations=4)
    assert "sampled" in sampled["what"] and "trained" in trained["what"]
    assert sampled["unit"] == trained["unit"] == "tokens/s"
    assert 10 < sampled["value"] < 1e7 and 10 < trained["value"] < 1e7


def test_no_time_at_all_is_refused():
    with pytest.raises(ValueError, match="expected a positive number"):
        measure("env", 0.0, 0)
