import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from agents.lm import LMPolicy
from agents.models import load_model, with_lora
from agents.sampling import Sampling
from agents.serve import PolicyServer
from algorithms import reinforce
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs
from lmenvs.types import Action, Episode, Turn
from tests.support.training import MICROWAVE, beginner, flat, metrics, played, start, weights

CONFIG = reinforce.Config(groups=4, group_size=3, minibatches=1)


def episode(group: str, *rewards: float) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    return Episode("e", "e", 0, "all", "i", turns, "", True, False, False, group=group)


GROUPS = [
    episode("a", 0, 0, 1),
    episode("a", -1),
    episode("a", 0, 0),
    episode("b", 0, 2),
    episode("b", 1, 1),
]


def test_the_advantage_is_the_return_minus_the_mean_of_the_others():
    advantages_ET = reinforce.credit(GROUPS, replace(CONFIG, centre="none"))
    expected = [[1.5] * 3, [-1.5], [0.0] * 2, [0.0] * 2, [0.0] * 2]
    assert [a.tolist() for a in advantages_ET] == expected


def test_centred_over_turns_long_failures_do_not_outweigh_short_successes():
    plain = np.concatenate(reinforce.credit(GROUPS, replace(CONFIG, centre="none")))
    centred = np.concatenate(reinforce.credit(GROUPS, CONFIG))
    assert plain.mean() == approx(0.3)
    assert centred == approx(plain - 0.3)
    assert centred.sum() == approx(0.0, abs=1e-12)


def sgd(model: torch.nn.Module) -> torch.optim.Optimizer:
    # plain descent: Adam would make rounding errors as large as its steps
    return torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)


def test_a_step_goes_along_the_policy_gradient():
    model, chat = beginner()
    episodes = played(4, group_size=3)
    batch = make_batch(episodes, chat)
    advantages_ET = reinforce.credit(episodes, CONFIG)
    logprobs, _ = policy_logprobs(model, batch)
    signal = batch.spread(advantages_ET)
    objective = (logprobs * signal).sum() / batch.policy_tokens
    slopes = torch.autograd.grad(objective, list(model.parameters()))
    expected = flat(model) + 0.1 * torch.cat([slope.flatten() for slope in slopes])
    config = replace(CONFIG, max_norm=1e9)
    generator = np.random.default_rng(0)
    reinforce.update(model, sgd(model), batch, advantages_ET, config, generator)
    torch.testing.assert_close(flat(model), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("minibatches", [1, 3])
def test_eight_micro_batches_of_one_equal_one_of_eight(minibatches: int):
    episodes = played(4, group_size=3)
    after = []
    for micro_tokens in (1, 10**6):
        model, chat = beginner()
        config = replace(CONFIG, micro_tokens=micro_tokens, minibatches=minibatches)
        batch = make_batch(episodes, chat)
        advantages_ET = reinforce.credit(episodes, config)
        generator = np.random.default_rng(0)
        reinforce.update(model, sgd(model), batch, advantages_ET, config, generator)
        after.append(flat(model))
    torch.testing.assert_close(*after, atol=1e-5, rtol=0)
    assert (after[0] - flat(beginner()[0])).abs().max() > 1e-4


def test_equal_returns_move_nothing():
    model, chat = beginner()
    episodes = [replace(one, turns=one.turns[:1]) for one in played(4, group_size=3)]
    batch = make_batch(episodes, chat)
    before = flat(model)
    advantages_ET = reinforce.credit(episodes, CONFIG)
    reinforce.update(model, sgd(model), batch, advantages_ET, CONFIG, np.random.default_rng(0))
    assert torch.equal(flat(model), before)


def test_more_minibatches_than_episodes_are_no_mistake():
    model, chat = beginner()
    batch = make_batch(played(4, group_size=3)[:2], chat)
    config = replace(CONFIG, minibatches=5)
    credit = [np.ones(10), np.ones(10)]
    measured = reinforce.update(model, sgd(model), batch, credit, config, np.random.default_rng(0))
    assert measured["loss/grad_norm"] > 0
    # the one step of one episode is as long as that of one minibatch
    norms = []
    for minibatches in (1, 5):
        model, chat = beginner()
        alone = make_batch(played(4, group_size=3)[:1], chat)
        config = replace(CONFIG, minibatches=minibatches)
        chance = np.random.default_rng(0)
        measured = reinforce.update(model, sgd(model), alone, credit[:1], config, chance)
        norms.append(measured["loss/grad_norm"])
    assert norms[0] == approx(norms[1], rel=1e-5)


def test_lora_trains_its_adapters_and_nothing_else():
    model, chat = beginner()
    base = {name: weight.clone() for name, weight in model.state_dict().items()}
    adapted = with_lora(model, rank=2)
    episodes = played(4, group_size=3)
    batch = make_batch(episodes, chat)
    credit = reinforce.credit(episodes, CONFIG)
    reinforce.update(adapted, sgd(adapted), batch, credit, CONFIG, np.random.default_rng(0))
    now = adapted.state_dict()
    moved = [name for name in now if "lora_B" in name and now[name].abs().max() > 0]
    assert moved
    kept = {
        name.replace(".base_layer", "").removeprefix("base_model.model."): now[name]
        for name in now
        if "lora_" not in name
    }
    assert kept.keys() == base.keys()
    assert all(torch.equal(kept[name], base[name]) for name in base)


def test_a_lora_run_saves_its_adapters_and_nothing_else(tmp_path: Path):
    config = reinforce.Config(iterations=1, groups=4, group_size=4, lora_rank=2, max_new_tokens=8)
    run = reinforce.train(MICROWAVE, start(), tmp_path / "run", config)
    kept = {name: value for name, value in weights(run).items() if not name.startswith("state")}
    assert kept and all("lora_" in name for name in kept)
    assert any(value.abs().max() > 0 for name, value in kept.items() if "lora_B" in name)
    assert len(metrics(run)) == 1


@pytest.mark.parametrize("wrong", [{"group_size": 1}, {"groups": 0}, {"minibatches": 0}])
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, int]):
    with pytest.raises(ValueError, match="at least"):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["openai", "continuous"])
def test_episodes_that_another_engine_sampled_are_trained_on_as_ones_of_this_process(
    kind: str, tmp_path: Path
):
    policy = LMPolicy(*load_model(start()), Sampling(max_new_tokens=1))
    server = PolicyServer(policy, "tiny", weights=tmp_path)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    engine = f"openai:tiny@{server.url}?weights={tmp_path}" if kind == "openai" else "continuous"
    config = replace(CONFIG, iterations=2, max_new_tokens=8, learning_rate=3e-3, engine=engine)
    try:
        run = reinforce.train(MICROWAVE, start(), tmp_path / "run", config)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    first, second = metrics(run)
    for row in (first, second):  # the engine had the weights that were to be trained, each time
        assert 0 <= row["kl/sampler"] < 1e-6 and row["rollout/turns"] > 1
    (before,), (after,) = ([flat(load_model(path)[0])] for path in (start(), run))
    assert (before - after).abs().max() > 1e-3
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
