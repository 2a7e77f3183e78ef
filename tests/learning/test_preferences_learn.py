"""Preference learning on Microwave, from a clone of random play: what is earned, exactly.

A run takes some seconds; all but two are behind the mark `slow`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algorithms import copg, cpl, eto, kto, mcts_dpo, spin, step_dpo, tdpo
from algorithms.preferences.update import Preference
from tests.support.preferring import player, recorded, sure_return
from tests.support.training import MICROWAVE

SHARED: dict[str, Any] = {"learning_rate": 3e-3, "max_new_tokens": 8}
# held near the start, three seeds of each run ended steadier than near the iteration before
ONLINE: dict[str, Any] = {**SHARED, "epochs": 4, "iterations": 6}
ONLINE["preference"] = Preference(reference="start")
OFFLINE: dict[str, Any] = {**SHARED, "iterations": 4, "steps": 16, "evaluations": 0}
SPIN: dict[str, Any] = {**ONLINE, "tasks": 24, "demonstrations": 64, "preference": Preference()}
slow = pytest.mark.slow
BEGIN = 0.37  # what the player earns


@pytest.mark.parametrize(
    ("train", "config"),
    [
        pytest.param(eto.train, eto.Config(tasks=8, **ONLINE), id="eto"),
        pytest.param(step_dpo.train, step_dpo.Config(tasks=8, **ONLINE), id="step", marks=slow),
        pytest.param(mcts_dpo.train, mcts_dpo.Config(**ONLINE), id="mcts", marks=slow),
        pytest.param(spin.train, spin.Config(**SPIN), id="spin", marks=slow),
    ],
)
def test_online_it_earns_more(train: Callable[..., Path], config: Any, tmp_path: Path):
    assert sure_return(train(MICROWAVE, player(), tmp_path / "run", config)) > BEGIN + 0.05


@pytest.mark.parametrize(
    ("train", "config"),
    [
        pytest.param(kto.train, kto.Config(**OFFLINE), id="kto"),
        pytest.param(tdpo.train, tdpo.Config(**OFFLINE), id="tdpo", marks=slow),
        pytest.param(copg.train, copg.Config(**OFFLINE), id="copg", marks=slow),
        pytest.param(cpl.train, cpl.Config(**OFFLINE), id="cpl", marks=slow),
    ],
)
def test_from_a_record_it_earns_more(train: Callable[..., Path], config: Any, tmp_path: Path):
    run = train(MICROWAVE, player(), tmp_path / "run", config, data=recorded())
    assert sure_return(run) > BEGIN + 0.15


def test_the_player_begins_in_the_middle():
    assert sure_return(player()) == pytest.approx(BEGIN, abs=0.05)


@slow
def test_without_the_term_of_rpo_a_small_model_unlearns_what_it_says(tmp_path: Path):
    plain: dict[str, Any] = {**ONLINE, "preference": Preference(sft_weight=0.0)}
    config = step_dpo.Config(tasks=8, **plain)
    run = step_dpo.train(MICROWAVE, player(), tmp_path / "run", config)
    assert sure_return(run) < sure_return(player())
