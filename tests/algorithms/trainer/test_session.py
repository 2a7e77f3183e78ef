import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from algorithms import grpo, turn_ppo
from algorithms.trainer.session import Session, open_session
from lmenvs.types import Episode
from tests.support.training import MICROWAVE, flat, metrics, start, weights

CONFIG = grpo.Config(iterations=3, groups=2, group_size=2, max_new_tokens=8)


def opened(out: Path, config: grpo.Config = CONFIG, *, resume: bool = False) -> Session:
    return open_session("grpo", MICROWAVE, start(), out, config, resume=resume)


def test_branches_cost_the_turns_that_were_newly_played(tmp_path: Path):
    session = opened(tmp_path / "run", replace(CONFIG, iterations=1))
    mine: list[Episode] = []
    forked: list[Episode] = []
    for iteration, _ in session.iterations():
        with session.sampler(iteration) as policy:
            mine = session.collect(policy, [1, 2])
            forked = session.branch(policy, mine, [1], 3)
        assert [one.parent for one in forked] == [(one.id, 1) for one in mine for _ in range(3)]
        experience = session.read([*mine, *forked])
        session.log(
            iteration, experience, [np.zeros(len(e.turns)) for e in experience.episodes], {}
        )
    (row,) = metrics(session.path)
    new = sum(len(one.turns) - 1 for one in forked)
    assert row["rollout/environment_turns"] == sum(len(one.turns) for one in mine) + new
    assert row["rollout/episodes"] == 2


def test_a_budget_of_turns_ends_a_run_and_its_learning_rates(tmp_path: Path):
    config = replace(CONFIG, iterations=50, turn_budget=60, anneal=0.1, learning_rate=1e-3)
    run = grpo.train(MICROWAVE, start(), tmp_path / "run", config)
    spent = np.cumsum([row["rollout/environment_turns"] for row in metrics(run)])
    assert len(spent) < 50 and spent[-1] >= 60 > spent[-2]
    session = opened(tmp_path / "rates", config)
    rates = {}
    for iteration, _ in session.iterations():
        (group,) = session.learner.optimizer.param_groups
        rates[iteration] = group["lr"]
        with session.sampler(iteration) as policy:
            episodes = session.collect(policy, np.arange(2), 2)
        experience = session.read(episodes)
        session.log(iteration, experience, [np.zeros(len(e.turns)) for e in episodes], {})
    spent = np.cumsum([0.0, *(row["rollout/environment_turns"] for row in metrics(session.path))])
    late = np.maximum(0.0, 3 * spent[:-1] / 60 - 2)
    assert list(rates.values()) == approx(list(1e-3 * (1 - 0.9 * late)))
    assert late[-1] > 0


def test_a_run_begins_and_ends_with_the_models_that_were_given(tmp_path: Path):
    before = torch.random.get_rng_state()
    session = opened(tmp_path / "run")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert session.learner.critic is None
    first = flat(session.learner.model)
    del session
    run = turn_ppo.train(
        MICROWAVE,
        start(),
        tmp_path / "other",
        turn_ppo.Config(iterations=1, episodes=4, max_new_tokens=8),
    )
    record = json.loads((run / "config.json").read_text())["config"]
    assert record["algorithm"] == "turn_ppo" and record["objective"]["ratio"] == "token"
    kept = weights(run)
    assert any(name.startswith("state.critic.") for name in kept)
    names = [name for name in kept if not name.startswith("state")]
    assert sum(kept[name].numel() for name in names) == first.numel()


def test_a_run_of_another_algorithm_is_not_gone_on_with(tmp_path: Path):
    run = grpo.train(MICROWAVE, start(), tmp_path / "run", replace(CONFIG, iterations=1))
    with pytest.raises(ValueError, match="expected a run of turn_ppo, got one of grpo"):
        turn_ppo.train(MICROWAVE, start(), run, turn_ppo.Config(), resume=True)


def test_plain_data_that_an_algorithm_keeps_comes_back_with_the_run(tmp_path: Path):
    config = replace(CONFIG, iterations=2, save_every=1)
    session = opened(tmp_path / "run", config)
    with pytest.raises(RuntimeError, match="the power failed"):
        for iteration, _ in session.iterations():
            if iteration == 1:
                raise RuntimeError("the power failed")
            session.learner.kept["seen"] = {3: 0.1, "past": [1, 2]}
            session.learner.entropy_bonus = 0.3
            with session.sampler(iteration) as policy:
                experience = session.read(session.collect(policy, [5], 2))
            session.log(
                iteration, experience, [np.zeros(len(e.turns)) for e in experience.played], {}
            )
    del session
    again = opened(tmp_path / "run", config, resume=True)
    assert again.learner.kept == {"seen": {3: 0.1, "past": [1, 2]}}
    assert again.learner.entropy_bonus == 0.3
    assert next(again.iterations())[0] == 1
